"""Which objects of one file are those of another one under a new name: same kind and type, same content.

References between objects follow a name; they say nothing about whether it is the same object, and are not compared
here. Where several objects have the same content, they are taken in their order, and only if there are as many of them
on both sides: otherwise nobody could say which is which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from agent.clpconf.element import Element
from agent.clpconf.objects import thing_at
from agent.clpconf.references import TEXT, of_thing, references
from agent.clpconf.schema import TypeSpec
from agent.clpconf.statements import Names, Statement, fill

Key = tuple[str, str, str]
# Servers first: what others say of them is part of their content.
_ORDER = ("server", "resource", "group", "monitor", "heartbeat", "partition", "fence")
_SOME = "*"
Canonical = Callable[[Statement], frozenset[tuple[str, str]]]


def find_renames(
    before: Mapping[Key, Statement], after: Mapping[Key, Statement], canonical: Canonical
) -> list[tuple[Statement, Statement]]:
    """(as it was, as it is). `canonical`: what a statement says, defaults settled."""
    gone = [one for key, one in before.items() if key not in after]
    new = [one for key, one in after.items() if key not in before]
    pairs: list[tuple[Statement, Statement]] = []
    for kind in _ORDER:
        olds = _by_content((one for one in gone if one.kind == kind), canonical)
        news = _by_content((one for one in new if one.kind == kind), canonical) if olds else {}
        for content, same in olds.items():
            matches = news.get(content, [])
            if len(same) == len(matches):
                pairs += zip(same, matches, strict=True)
    return pairs


def new_names(root: Element, pairs: Iterable[tuple[Statement, Statement]], catalog: Mapping[str, TypeSpec]) -> Names:
    """What the older file's elements say in the names of the newer one."""
    names = Names()
    known: dict[tuple[str, str], str] = {}
    for old, new in pairs:
        names.identities[id(old.element)] = new.name
        known[old.kind, old.name] = new.name
    if known:
        for one in references(root, catalog):
            follows = known.get((one.kind, one.name))
            if follows is not None:
                (names.texts if one.how == TEXT else names.identities)[id(one.element)] = follows
    return names


def _by_content(
    statements: Iterable[Statement], canonical: Canonical
) -> dict[tuple[str, frozenset[tuple[str, str]]], list[Statement]]:
    found: dict[tuple[str, frozenset[tuple[str, str]]], list[Statement]] = {}
    for one in statements:
        found.setdefault((one.type, canonical(one)), []).append(one)
    return found


def without_references(statement: Statement, catalog: Mapping[str, TypeSpec]) -> Statement:
    """A copy whose values name no other object."""
    copy = Statement(statement.kind, statement.type, statement.name, statement.path, statement.element)
    thing = thing_at(statement.element)
    names = Names()
    for one in of_thing(thing, catalog) if thing is not None else ():
        if one.kind != "device":
            (names.texts if one.how == TEXT else names.identities)[id(one.element)] = _SOME
    fill(copy, names)
    copy.values.pop("policy", None)
    copy.values.pop("depend", None)
    if statement.kind == "server":
        for device in statement.element.named("device"):
            inner = Statement("device", "device", "", device.path, device)
            fill(inner, Names())
            copy.values |= {f"device@{device.identity}/{key}": value for key, value in inner.values.items()}
    return copy
