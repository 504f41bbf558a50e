"""What a rule sees of a configuration: its model, its document, and where each object stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from agent.clpconf.document import Document
from agent.clpconf.element import Element
from agent.clpconf.findings import Finding, Said, Severity
from agent.clpconf.model import Cluster, Group, Heartbeat, Monitor, PartitionResolver, Resource
from agent.clpconf.schema import TypeSpec
from agent.clpconf.sections import whole

Address = IPv4Address | IPv6Address
Thing = Resource | Monitor | Heartbeat | PartitionResolver
_MOST_LISTED = 6
_FLAT = ("resource", "monitor", "heartbeat", "networkpartition")


class Place(NamedTuple):
    path: str
    line: int
    column: int


class Subject:
    """One configuration. `cluster` is what could be read of it: where the file is wrong, it has the defaults."""

    def __init__(self, document: Document, cluster: Cluster, catalog: Mapping[str, TypeSpec]) -> None:
        self.document = document
        self.cluster = cluster
        self.catalog = catalog
        self._whole: dict[tuple[str, str], TypeSpec] = {}

    # Objects by name ------------------------------------------------------------------------------------------------

    @cached_property
    def groups(self) -> dict[str, Group]:
        return {group.name: group for group in self.cluster.groups}

    @cached_property
    def resources(self) -> dict[str, Resource]:
        return {resource.name: resource for resource in self.cluster.resources}

    @cached_property
    def group_of(self) -> dict[str, Group]:
        """Resource -> its group; of several the first."""
        owners: dict[str, Group] = {}
        for group in self.cluster.groups:
            for name in group.resources:
                owners.setdefault(name, group)
        return owners

    def resources_of(self, *types: str) -> list[Resource]:
        return [resource for resource in self.cluster.resources if resource.type in types]

    def monitors_of(self, *types: str) -> list[Monitor]:
        return [monitor for monitor in self.cluster.monitors if monitor.type in types]

    def heartbeats_of(self, *types: str) -> list[Heartbeat]:
        return [heartbeat for heartbeat in self.cluster.heartbeats if heartbeat.type in types]

    def servers_of(self, resource: str) -> tuple[str, ...]:
        """Where it may run; everywhere when it is in no group."""
        group = self.group_of.get(resource)
        return group.policy if group is not None else self.cluster.server_names

    def text(self, thing: Thing, path: str, server: str = "") -> str:
        """As the file states it (for that server), else the default of its type; "" without one."""
        values = thing.on(server) if server and isinstance(thing, Resource | Monitor) else thing.values
        return values.get(path, "").strip() or self._default(thing.type, path)

    def whole(self, type_name: str, section: str) -> TypeSpec | None:
        """The declaration of a type with what all objects of its section have."""
        spec = self.catalog.get(type_name)
        if spec is None:
            return None
        known = self._whole.get((type_name, section))
        if known is None:
            known = self._whole[type_name, section] = whole(spec if spec.section else replace(spec, section=section))
        return known

    def _default(self, type_name: str, path: str) -> str:
        spec = self.catalog.get(type_name)
        param = spec.param(path) if spec is not None else None
        return param.default_text if param is not None else ""

    # Places in the file ---------------------------------------------------------------------------------------------

    @cached_property
    def _elements(self) -> dict[tuple[str, str], Element]:
        found: dict[tuple[str, str], Element] = {}
        for element in self.document.root.children:
            if element.name in _FLAT:
                for child in element.children:
                    if child.name != "types":
                        found.setdefault((element.name, child.attributes.get("name", "")), child)
            elif element.name in ("server", "group"):
                found.setdefault((element.name, element.attributes.get("name", "")), element)
        return found

    def element(self, section: str, name: str) -> Element | None:
        return self._elements.get((section, name))

    def at(self, section: str, name: str, below: str = "") -> Place:
        """An object, or what stands at `below` in it: the object's own place where that is not written."""
        element = self._elements.get((section, name))
        if element is None:
            return self.root(section)
        found = element.find(below) if below else element
        if found is None:
            return Place(f"{element.path}/{below}", element.line, element.column)
        return Place(found.path, found.line, found.column)

    def root(self, path: str) -> Place:
        """What stands at "cluster/heartbeat/timeout", or the nearest that does."""
        root = self.document.root
        found, short = root.find(path), path
        while found is None:
            short = short.rpartition("/")[0]
            found = root.find(short) if short else root
        return Place(f"{root.path}/{path}", found.line, found.column)


def finding(
    code: str, severity: Severity, place: Place | Element, text: str, remedy: str, /, **values: str | Sequence[str]
) -> Finding:
    """`text` and `remedy` are sentences with {names} of values; of several names only the first are shown.

    No value is a word of a language: the sentences are translated, the values are not.
    """
    shown = {name: value if isinstance(value, str) else listed(value) for name, value in values.items()}
    plain = {name: value if isinstance(value, str) else listed(value, ", ") for name, value in values.items()}
    return Finding(
        code, severity, place.path, text.format_map(shown), remedy.format_map(shown), place.line, place.column,
        Said(text, remedy, tuple(plain.items())),
    )  # fmt: skip


Rule = Callable[[Subject], Iterator[Finding]]


def address(text: str) -> Address | None:
    try:
        return ip_address(text.strip())
    except ValueError:
        return None


def listed(names: Sequence[str], last: str = " and ") -> str:
    """As in "a, b and c"; of many only the first."""
    if len(names) > _MOST_LISTED:
        return f"{', '.join(names[:_MOST_LISTED])} ... (+{len(names) - _MOST_LISTED})"
    return last.join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else "".join(names)
