"""Taking an object out of a clp.conf together with what cannot be without it, and with every mention of it.

Rules:
- A group takes its resources along; a resource takes the monitors along that watch it, since they would have nothing
  to watch; a monitor takes those along that only combine monitors of which none is left.
- A heartbeat or resolver goes with the last server that had its device.
- What is only mentioned (recovery target, dependency, order, policy, list of servers) loses the mention.
- A mention whose absence would mean "all" never disappears silently: a group that may run on the removed server alone
  stops the removal; a monitor or a fence device that was meant for that server alone goes with it.
- The last explicit dependency leaves an empty <depend name=""/>: without it the default of the type would hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from agent.clpconf.document import Document
from agent.clpconf.element import Element
from agent.clpconf.findings import Finding
from agent.clpconf.objects import Thing, find_all, owner_of, thing_at, things
from agent.clpconf.references import ATTRIBUTE, LINK, Reference, references
from agent.clpconf.schema import TypeSpec


class RefusedError(Exception):
    def __init__(self, finding: Finding) -> None:
        super().__init__(str(finding))
        self.finding = finding


class Removal:
    """What the removal of one element means. `gone` in the order in which it was found, the element itself first."""

    def __init__(self, root: Element, element: Element, catalog: Mapping[str, TypeSpec]) -> None:
        self.root = root
        self.all = list(references(root, catalog))
        self.catalog = catalog
        self.gone: list[Element] = []
        self._taken: set[int] = set()
        self._take(element)

    def mentions(self) -> list[Reference]:
        """References to what goes, in what stays."""
        things_gone = [thing for element in self.gone if (thing := thing_at(element)) is not None]
        lost = {(thing.kind, thing.name) for thing in things_gone}
        return [one for one in self.all if (one.kind, one.name) in lost and not self._inside(one.element)]

    def _take(self, element: Element) -> None:
        if id(element) in self._taken:
            return
        self._taken.add(id(element))
        self.gone.append(element)
        thing = thing_at(element)
        followers = self._followers(thing) if thing is not None else self._of_device(element)
        for follower in list(followers):
            self._take(follower)

    def _followers(self, thing: Thing) -> Iterator[Element]:
        if thing.kind == "group":
            yield from self._resources_of(thing)
        elif thing.kind == "resource":
            yield from self._watchers(thing)
        elif thing.kind == "monitor":
            yield from self._combinations(thing)
        elif thing.kind == "server":
            yield from self._only_for(thing)

    def _resources_of(self, group: Thing) -> Iterator[Element]:
        links = [one for one in self.all if one.how == LINK]
        inside = {one.name for one in links if owner_of(one.element) == group}
        outside = {one.name for one in links if owner_of(one.element) != group}
        for thing in things(self.root):
            if thing.kind == "resource" and thing.name in inside - outside:
                yield thing.element

    def _watchers(self, resource: Thing) -> Iterator[Element]:
        for one in self.all:
            if one.kind == "resource" and one.name == resource.name:
                owner = owner_of(one.element)
                if owner is not None and owner.kind == "monitor" and not self._is_recovery_target(one.element):
                    yield owner.element

    def _combinations(self, monitor: Thing) -> Iterator[Element]:
        """Monitors of monitors (mtw) that have no other one."""
        for owner in self._mentioning("monitor", monitor.name):
            left = [one for one in self.all if one.kind == "monitor" and owner_of(one.element) == owner]
            if all(one.name == monitor.name for one in left):
                yield owner.element

    def _only_for(self, server: Thing) -> Iterator[Element]:
        """Monitors and fence devices of this server alone, and paths that no other server has."""
        for owner in self._mentioning("server", server.name):
            if not self._has_other_server(owner, server.name):
                if owner.kind == "group":
                    raise RefusedError(_only_policy(owner, server))
                yield owner.element
        for device in server.element.named("device"):
            yield from self._of_device(device)

    def _has_other_server(self, owner: Thing, server: str) -> bool:
        """An override names a server, but does not limit anything to it."""
        limits = self._server_limits(owner)
        return not any(one.name == server for one in limits) or any(one.name != server for one in limits)

    def _server_limits(self, owner: Thing) -> list[Reference]:
        own = [one for one in self.all if one.kind == "server" and owner_of(one.element) == owner]
        if owner.kind in ("monitor", "resource"):
            return [one for one in own if one.how != ATTRIBUTE]
        return own

    def _mentioning(self, kind: str, name: str) -> list[Thing]:
        owners = [owner_of(one.element) for one in self.all if one.kind == kind and one.name == name]
        return list(dict.fromkeys(owner for owner in owners if owner is not None))

    def _of_device(self, element: Element) -> Iterator[Element]:
        """Heartbeats and resolvers over a device that no other server has either."""
        if element.name != "device" or element.parent is None or element.parent.name != "server":
            return
        number = element.identity
        others = [one for one in find_all(self.root, f"server/device@{number}") if not self._inside(one)]
        if not others:
            for owner in self._mentioning("device", number or ""):
                if owner.kind in ("heartbeat", "partition"):
                    yield owner.element

    def _is_recovery_target(self, element: Element) -> bool:
        return element.parent is not None and element.parent.name == "relation"

    def _inside(self, element: Element) -> bool:
        part: Element | None = element
        while part is not None:
            if id(part) in self._taken:
                return True
            part = part.parent
        return False


def remove_mention(document: Document, one: Reference) -> None:
    element = one.element
    parent = element.parent
    if parent is None:
        return  # Went with another mention.
    if one.kind == "resource" and element.name == "depend" and len(parent.named("depend")) == 1:
        document.set_attribute(element, "name", "")
    elif parent.name == "relation":
        remove_with_empty(document, parent)
    elif one.how in (ATTRIBUTE, LINK):
        remove_with_empty(document, element)
    elif parent.identity is not None and thing_at(parent) is None:
        remove_with_empty(document, parent)  # An entry of a list.
    else:
        document.set_text(element, "")


def remove_with_empty(document: Document, element: Element) -> None:
    """And what holds nothing any more then, up to the object."""
    parent = element.parent
    assert parent is not None
    document.remove(element)
    while parent is not None and parent.parent is not None and not parent.children and parent.identity is None:
        if parent.value or parent.parent.parent is None:
            break  # A section stays: the original writes empty ones, too.
        above = parent.parent
        document.remove(parent)
        parent = above


def _only_policy(group: Thing, server: Thing) -> Finding:
    text = f"Group {group.name} may run on {server.name} only: without it, its policy would mean all servers."
    return Finding("edit.policy", "error", group.element.path, text,
                   "Name another server in its failover policy, or remove the group first.")  # fmt: skip
