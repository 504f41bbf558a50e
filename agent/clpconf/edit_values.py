"""Changes to values of a configuration: single ones, lists, and the references between objects."""

from __future__ import annotations

from collections.abc import Sequence

from agent.clpconf import bookkeeping, editing
from agent.clpconf.derived import follow
from agent.clpconf.edit_parts import Parts, refuse
from agent.clpconf.element import Element, segments
from agent.clpconf.objects import Kind, Thing, below_root, find, find_all, of_kind, thing_at
from agent.clpconf.removal import remove_with_empty
from agent.clpconf.sections import declared


class Values(Parts):
    def set(self, path: str, text: str, *, explicit: bool = False) -> None:
        """A default is not written where nothing stands yet, unless `explicit`: only what differs is in the file."""
        with self.change(f"set {path}"):
            self._set(below_root(self.root, path), text, explicit=explicit)

    def unset(self, path: str) -> None:
        """Back to the default; nothing happens where nothing stands."""
        below = below_root(self.root, path)
        element = find(self.root, below)
        if element is None:
            return
        self._owner_exists(below)
        if element.parent is None or thing_at(element) is not None:
            refuse("edit.object", element.path, "This is an object, not a value.", "Remove it.")
        with self.change(f"unset {path}"):
            before, default = self._text(below), self._default(below)
            remove_with_empty(self.document, element)
            follow(self.document, *self._owned(below), before, default)

    def set_list(self, pattern: str, texts: Sequence[str]) -> None:
        """All entries of a list of single values: ("monitor/ipw@ipw1/parameters/list@*/ip", addresses)."""
        head, star, field = below_root(self.root, pattern).partition("@*/")
        if not star or not field or "*" in head + field:
            refuse("edit.path", pattern[:200], "This is no list of values.", "Name it like .../list@*/ip.")
        with self.change(f"list {pattern}"):
            self._owner_exists(head)
            for element in find_all(self.root, head)[len(texts) :]:
                remove_with_empty(self.document, element)
            kept = find_all(self.root, head)
            for number, element in enumerate(kept):
                self.document.set_attribute(element, "id", str(number))
                self._leaf(element, field, texts[number])
            for number in range(len(kept), len(texts)):
                self._set(f"{head}@{number}/{field}", texts[number], explicit=True)

    def set_policy(self, group: str, servers: Sequence[str]) -> None:
        """The order in which servers may run the group, home first; none means all, in the order of their priority."""
        with self.change(f"policy {group} {' '.join(servers)}"):
            holder = self._named("group", group).element
            for name in servers:
                self._named("server", name)
            self._keep_named(holder, "policy", servers)
            for order, name in enumerate(dict.fromkeys(servers)):
                policy = holder.child("policy", name) or self._append_named(holder, "policy", name)
                self._leaf(policy, "order", str(order))

    def set_depends(self, resource: str, names: Sequence[str] | None) -> None:
        """None: the default of the type; (): no dependency; else exactly these."""
        with self.change(f"depend {resource} {names}"):
            holder = self._named("resource", resource).element
            wanted = () if names is None else tuple(dict.fromkeys(names)) or ("",)
            for name in filter(None, wanted):
                self._named("resource", name)
            self._keep_named(holder, "depend", wanted)
            for name in wanted:
                if holder.child("depend", name) is None:
                    self._append_named(holder, "depend", name)

    def set_group_depends(self, group: str, step: str, names: Sequence[str]) -> None:
        """`step` "act": the group starts after these; "deact": it stops after them."""
        with self.change(f"order {group} {step} {' '.join(names)}"):
            holder = self._named("group", group).element
            for name in names:
                self._named("group", name)
            part = editing.make(holder, f"depend/{step}") if names else holder.find(f"depend/{step}")
            if part is None:
                return
            self._keep_named(part, "depend", names)
            for name in dict.fromkeys(names):
                if part.child("depend", name) is None:
                    self._append_named(part, "depend", name)
            if not part.children:
                remove_with_empty(self.document, part)

    def set_servers(self, monitor: str, servers: Sequence[str]) -> None:
        """Where a monitor runs; none means everywhere."""
        thing = self._named("monitor", monitor)
        for name in servers:
            self._named("server", name)
        self.set_list(f"{thing.element.path}/polling/servers@*/name", servers)

    def order(self, kind: Kind, names: Sequence[str]) -> None:
        """Priorities 0, 1, 2 ... of servers, heartbeats or resolvers; those that are not named follow as they were."""
        with self.change(f"order {kind} {' '.join(names)}"):
            present = sorted(of_kind(self.root, kind), key=_priority)
            for name in names:
                self._named(kind, name)
            by_name = {thing.name: thing for thing in present}
            for number, name in enumerate(dict.fromkeys((*names, *by_name))):
                self._leaf(by_name[name].element, "priority", str(number))

    def _set(self, below: str, text: str, *, explicit: bool) -> None:
        if not below:
            refuse("edit.path", "/root", "This path names no value.", "Name one below a section.")
        self._owner_exists(below)
        before = self._text(below)
        element = find(self.root, below)
        if element is None:
            # An element with a name is there or not, whatever its text is: <depend name="fip1"/>.
            if not explicit and segments(below)[-1][1] is None and text.strip() == self._default(below):
                return
            element = self._made(below)
        self.document.set_text(element, text)
        follow(self.document, *self._owned(below), before, text)

    def _made(self, below: str) -> Element:
        """Of a section in several parts, in the one where most of the path is there already."""
        words = below.split("/")
        for count in range(len(words) - 1, 0, -1):
            found = find(self.root, "/".join(words[:count]))
            if found is not None:
                return editing.make(found, "/".join(words[count:]))
        top = self._append_to_root(*segments(words[0])[0])
        return editing.make(top, "/".join(words[1:])) if len(words) > 1 else top

    def _text(self, below: str) -> str:
        element = find(self.root, below)
        return (element.value if element is not None else "") or self._default(below)

    def _default(self, below: str) -> str:
        """ "" where none is known."""
        found = declared(f"/root/{below}", self.catalog)
        return found.param.default_text if found is not None and found.param is not None else ""

    def _owned(self, below: str) -> tuple[Thing | None, str]:
        """The object that a path leads into, and the rest of it."""
        words = below.split("/")
        for count in (1, 2):
            element = find(self.root, "/".join(words[:count]))
            thing = thing_at(element) if element is not None else None
            if thing is not None:
                return thing, "/".join(words[count:])
        return None, below


def _priority(thing: Thing) -> tuple[int, str]:
    number = bookkeeping.number_of(thing.element, "priority")
    return (0 if number is None else number), thing.name
