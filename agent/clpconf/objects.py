"""The objects of a clp.conf, whatever its sections look like: where they stand, and how a path finds them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple, cast

from agent.clpconf.element import Element, segments

Kind = Literal["server", "heartbeat", "partition", "group", "resource", "monitor", "fence"]
KINDS: tuple[Kind, ...] = ("server", "heartbeat", "partition", "group", "resource", "monitor", "fence")

# Sections with a register of types and named instances.
SECTION_OF: dict[str, str] = {
    "heartbeat": "heartbeat", "partition": "networkpartition", "resource": "resource", "monitor": "monitor",
}  # fmt: skip
_KIND_OF = {section: cast(Kind, kind) for kind, section in SECTION_OF.items()}


class Thing(NamedTuple):
    kind: Kind
    type: str  # "fip", "lanhb"; for the others the same as `kind`
    name: str
    element: Element


def things(root: Element) -> Iterator[Thing]:
    """In the order of the file; objects without a name are left out."""
    for part in root.children:
        if part.name in ("server", "group"):
            yield from _thing(cast(Kind, part.name), part.name, part)
        elif part.name in _KIND_OF:
            for element in part.children:
                if element.name != "types":
                    yield from _thing(_KIND_OF[part.name], element.name, element)
        elif part.name == "openclp":
            for element in part.named("fence"):
                yield from _thing("fence", "fence", element)


def of_kind(root: Element, kind: Kind) -> list[Thing]:
    return [thing for thing in things(root) if thing.kind == kind]


def named(root: Element, kind: Kind, name: str) -> Thing | None:
    return next((thing for thing in things(root) if thing.kind == kind and thing.name == name), None)


def thing_at(element: Element) -> Thing | None:
    """What this very element is, None when it is no object."""
    above = element.parent
    if above is None:
        return None
    if above.parent is None and element.name in ("server", "group"):
        return next(_thing(cast(Kind, element.name), element.name, element), None)
    if above.parent is not None and above.parent.parent is None:
        if above.name in _KIND_OF and element.name != "types":
            return next(_thing(_KIND_OF[above.name], element.name, element), None)
        if above.name == "openclp" and element.name == "fence":
            return next(_thing("fence", "fence", element), None)
    return None


def owner_of(element: Element) -> Thing | None:
    """The object that holds this element, itself included."""
    part: Element | None = element
    while part is not None:
        thing = thing_at(part)
        if thing is not None:
            return thing
        part = part.parent
    return None


def below_root(root: Element, path: str) -> str:
    """ "/root/cluster/name" -> "cluster/name"."""
    top = f"/{root.name}"
    return path[len(top) :].strip("/") if path == top or path.startswith(top + "/") else path.strip("/")


def find(root: Element, path: str) -> Element | None:
    """Like Element.find, for sections that stand in several parts as well."""
    below = below_root(root, path)
    return next(_found(root, segments(below)), None) if below else root


def find_all(root: Element, path: str) -> list[Element]:
    below = below_root(root, path)
    return list(_found(root, segments(below))) if below else [root]


def _found(element: Element, way: list[tuple[str, str | None]]) -> Iterator[Element]:
    (name, identity), rest = way[0], way[1:]
    for child in element.children:
        if child.name == name and (identity is None or child.identity == identity):
            if rest:
                yield from _found(child, rest)
            else:
                yield child


def _thing(kind: Kind, type_name: str, element: Element) -> Iterator[Thing]:
    name = element.attributes.get("name", "")
    if name:
        yield Thing(kind, type_name, name, element)
