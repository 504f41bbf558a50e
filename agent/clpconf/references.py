"""What names what in a clp.conf: needed to rename an object, to remove it, and to compare two files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from agent.clpconf.element import Element
from agent.clpconf.objects import Thing, things
from agent.clpconf.schema import TypeSpec

LINK = "link"  # the attribute name= is TYPE@NAME
ATTRIBUTE = "attribute"  # the attribute name= is the name
TEXT = "text"  # the text of the element is the name


class Reference(NamedTuple):
    kind: str  # "server", "group", "resource", "monitor", "device"
    name: str
    element: Element  # that names it
    how: str


def references(root: Element, catalog: Mapping[str, TypeSpec]) -> Iterator[Reference]:
    """All of a file. `catalog` tells which parameters of a type name something (Param.refers)."""
    for thing in things(root):
        yield from of_thing(thing, catalog)
    for section in root.named("alertservice"):
        for element in section.children:
            yield from _text("device", element.child("device"))


def to(root: Element, catalog: Mapping[str, TypeSpec], kind: str, name: str) -> list[Reference]:
    return [one for one in references(root, catalog) if one.kind == kind and one.name == name]


def of_thing(thing: Thing, catalog: Mapping[str, TypeSpec]) -> Iterator[Reference]:
    if thing.kind == "group":
        yield from _of_group(thing.element)
    elif thing.kind == "resource":
        yield from _attributes("resource", thing.element.named("depend"))
        yield from _attributes("server", thing.element.named("server"))
        yield from _of_parameters(thing, catalog)
    elif thing.kind == "monitor":
        yield from _of_monitor(thing.element)
        yield from _of_parameters(thing, catalog)
    elif thing.kind in ("heartbeat", "partition"):
        yield from _text("device", thing.element.child("device"))
    elif thing.kind == "fence":
        yield from _attributes("server", thing.element.named("server"))


def _of_group(group: Element) -> Iterator[Reference]:
    for link in group.named("resource"):
        written = link.attributes.get("name", "").strip()
        yield Reference("resource", written.partition("@")[2] or written, link, LINK)
    yield from _attributes("server", group.named("policy"))
    for order in group.named("depend"):
        for step in order.children:
            yield from _attributes("group", step.named("depend"))


def _of_monitor(monitor: Element) -> Iterator[Reference]:
    yield from _attributes("server", monitor.named("server"))
    yield from _text("resource", monitor.child("target"))
    relation = monitor.child("relation")
    if relation is not None:
        kind = relation.child("type")
        known = {"rsc": "resource", "grp": "group"}.get(kind.value if kind is not None else "")
        if known:
            yield from _text(known, relation.child("name"))
    for polling in monitor.named("polling"):
        for entry in polling.named("servers"):
            yield from _text("server", entry.child("name"))


def _of_parameters(thing: Thing, catalog: Mapping[str, TypeSpec]) -> Iterator[Reference]:
    """What the type itself declares; values that differ on a server included."""
    spec = catalog.get(thing.type)
    if spec is None or not any(param.refers for param in spec.params):
        return
    for holder in (thing.element, *thing.element.named("server")):
        for part in holder.named("parameters"):
            for path, leaf in leaves(part, "parameters/"):
                param = spec.param(path)
                for word in param.refers.split() if param is not None else ():
                    yield from _text(word.partition(":")[0], leaf)


def leaves(element: Element, prefix: str = "") -> Iterator[tuple[str, Element]]:
    """(path below `element`, element) of everything that holds no elements."""
    for child in element.children:
        identity = child.identity
        path = prefix + (child.name if identity is None else f"{child.name}@{identity}")
        if child.children:
            yield from leaves(child, path + "/")
        else:
            yield path, child


def _attributes(kind: str, elements: list[Element]) -> Iterator[Reference]:
    for element in elements:
        name = element.attributes.get("name", "").strip()
        if name:
            yield Reference(kind, name, element, ATTRIBUTE)


def _text(kind: str, element: Element | None) -> Iterator[Reference]:
    if element is not None and element.value:
        yield Reference(kind, element.value, element, TEXT)
