"""What each object of a clp.conf states, value by value, without what carries no meaning.

Left out: order of siblings, blanks, comments, the register of types, the count of objects, marks of the last save,
group numbers, and the numbers of entries in lists. Written otherwise: priorities and failover policies as an order of
names, dependencies as one value, the doubled values of devices once. Defaults are settled where files are compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from agent.clpconf.bookkeeping import number_of
from agent.clpconf.element import Element
from agent.clpconf.objects import SECTION_OF, Thing, things

ORDERED = ("server", "heartbeat", "partition")  # kinds with a priority
BY_TYPE = "(default of the type)"
NONE = "(none)"
ALL = "(all servers by priority)"
LISTED = "#"  # in a key: what follows stands for all that the entry of a list holds
# Lists whose numbers only keep their entries apart.
_LISTS = frozenset(("list", "grp", "servers"))
_LEFT_OUT: Mapping[str, frozenset[str]] = {
    "server": frozenset(("priority", "device")),
    "heartbeat": frozenset(("priority",)),
    "partition": frozenset(("priority",)),
    "group": frozenset(("gid", "policy", "resource")),
    "resource": frozenset(("depend",)),
}
_NOTHING: frozenset[str] = frozenset()
_TYPES = frozenset(("types",))
_OBJECTS_BELOW = frozenset(("types", "fence"))
_BOOKKEEPING = {"webmgr": "client/objectnumber"}


class Value(NamedTuple):
    path: str  # as it stands in the file, below the object
    text: str
    there: bool = False  # that it is there says something, whatever its text is


@dataclass(slots=True)
class Statement:
    """One object, or one section without objects. `values`: by a key that is the same in equal files."""

    kind: str
    type: str
    name: str
    path: str
    element: Element
    values: dict[str, Value] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str, str]:
        return self.kind, self.type, self.name


class Names:
    """What elements of the older file say, in the names of the newer one: id(element) -> name."""

    def __init__(self) -> None:
        self.identities: dict[int, str] = {}  # of objects, and of elements whose name= names an object
        self.texts: dict[int, str] = {}

    def __bool__(self) -> bool:
        return bool(self.identities or self.texts)

    def text(self, element: Element) -> str:
        return (self.texts and self.texts.get(id(element))) or element.value

    def identity(self, element: Element) -> str | None:
        """ "TYPE@NAME" for the link of a group, too."""
        name = self.identities.get(id(element))
        if name is None:
            return element.identity
        kind, at, _ = (element.identity or "").partition("@")
        return f"{kind}@{name}" if at else name


def objects(root: Element) -> Iterator[Statement]:
    """Without their values; devices of servers count as objects of their own."""
    for thing in things(root):
        yield _statement(thing)
        if thing.kind == "server":
            for device in thing.element.named("device"):
                number = device.identity or ""
                yield Statement("device", "device", f"{thing.name}/{number}", device.path, device)


def sections(root: Element) -> dict[str, list[Element]]:
    """What is no object, by the names of the sections."""
    found: dict[str, list[Element]] = {}
    for part in root.children:
        if part.name not in ("server", "group", "trekking") and part.name not in SECTION_OF.values():
            found.setdefault(part.name, []).append(part)
    return found


def section(name: str, parts: list[Element]) -> Statement:
    """One statement about all parts of a section."""
    statement = Statement("section", name, name, parts[0].path, parts[0])
    for part in parts:
        if part.value:
            statement.values.setdefault("", Value("", part.value))
        left_out = _OBJECTS_BELOW if name == "openclp" else _TYPES
        _collect(part, "", "", Names(), left_out, statement.values)
    if name in _BOOKKEEPING:
        statement.values.pop(_BOOKKEEPING[name], None)
    return statement


def fill(statement: Statement, names: Names) -> None:
    """Its values; of two that stand at the same path the first one counts, as when the file is loaded."""
    element, kind = statement.element, statement.kind
    values = statement.values
    _collect(element, "", "", names, _LEFT_OUT.get(kind, _NOTHING), values)
    if kind == "group":
        policy = policy_of(element, names)
        values["policy"] = Value("policy", ", ".join(policy) if policy else ALL)
        for link in element.named("resource"):
            path = f"resource@{names.identity(link)}"
            values.setdefault(path, Value(path, "", there=True))
    elif kind == "resource":
        values["depend"] = Value("depend", _depends(element, names))
    elif kind == "device":
        _undouble(statement)


def policy_of(group: Element, names: Names) -> list[str]:
    """Servers in the order that the file gives them, () where it gives none."""
    elements = [part for part in group.named("policy") if part.identity]
    ordered = sorted(elements, key=lambda part: (_number(part, "order", len(elements)), names.identity(part) or ""))
    return list(dict.fromkeys(name for part in ordered if (name := names.identity(part))))


def order_of(root: Element, kind: str, names: Names) -> list[str]:
    """Names by priority, as the cluster takes them."""
    present = [(_number(thing.element, "priority", 0), names.identity(thing.element) or "")
               for thing in things(root) if thing.kind == kind]  # fmt: skip
    return [name for _, name in sorted(present)]


def members(root: Element, names: Names) -> dict[str, str]:
    """Resource -> its group, the first one where several have it."""
    found: dict[str, str] = {}
    for thing in things(root):
        if thing.kind == "group":
            for link in thing.element.named("resource"):
                linked = names.identity(link) or ""
                found.setdefault(linked.partition("@")[2] or linked, names.identity(thing.element) or thing.name)
    return found


def _statement(thing: Thing) -> Statement:
    return Statement(thing.kind, thing.type, thing.name, thing.element.path, thing.element)


def _collect(
    element: Element, key: str, path: str, names: Names, left_out: frozenset[str], found: dict[str, Value]
) -> None:
    """The values below `element`; of two at one place the first counts. `left_out` counts on the first level only.

    The hot path of a comparison: most elements have no attributes.
    """
    for child in element.content:
        if not isinstance(child, Element) or child.name in left_out:
            continue
        own = word = child.name
        there = False
        if b"=" in child.start_tag:
            own, word, there = _named(child, key, path, names, found)
        if _holds_elements(child):
            if there:
                found.setdefault(key + own, Value(path + word, names.text(child), True))
            _collect(child, f"{key}{own}/", f"{path}{word}/", names, _NOTHING, found)
        elif key + own not in found:
            found[key + own] = Value(path + word, names.text(child), there)


def _named(element: Element, key: str, path: str, names: Names, found: dict[str, Value]) -> tuple[str, str, bool]:
    """(key, path, does its being there say something) of an element with attributes."""
    identity = names.identity(element)
    own = word = element.name if identity is None else f"{element.name}@{identity}"
    if element.name in _LISTS and identity is not None:
        own = f"{element.name}@{LISTED}{_entry_key(element, names)}"
    for attribute, text in element.attributes.items():
        if attribute not in ("name", "id"):
            found.setdefault(f"{key}{own}[{attribute}={text}]", Value(path + word, "", True))
    # A named entry says something by itself (a dependency, a target, a client's address); a numbered one does not.
    return own, word, "name" in element.attributes and (element.name != "server" or _is_target(element))


def _holds_elements(element: Element) -> bool:
    return any(isinstance(part, Element) for part in element.content)


def _is_target(element: Element) -> bool:
    return element.parent is not None and element.parent.name == "fence"


def _depends(element: Element, names: Names) -> str:
    """The three meanings of <depend>."""
    elements = [part for part in element.named("depend") if "name" in part.attributes]
    found = sorted({name for part in elements if (name := (names.identity(part) or "").strip())})
    return ", ".join(found) if found else NONE if elements else BY_TYPE


def _undouble(statement: Statement) -> None:
    """<info> counts before <TYPE><info>, which older files write as well."""
    values = statement.values
    kind = values["type"].text if "type" in values else ""
    for path in ("info", "extend"):
        double = values.pop(f"{kind}/{path}", None)
        if double is not None and double.text and not (path in values and values[path].text):
            values[path] = Value(path, double.text)


def _entry_key(element: Element, names: Names) -> str:
    """By what the entry of a list holds, so that neither its number nor its place counts."""
    held: dict[str, Value] = {}
    _collect(element, "", "", names, _NOTHING, held)
    lines = sorted(f"{key}={value.text}" for key, value in held.items())
    return hashlib.blake2b("\n".join(lines).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _number(element: Element, path: str, missing: int) -> int:
    number = number_of(element, path)
    return missing if number is None else number
