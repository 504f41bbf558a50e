"""What differs in meaning between two configurations, object by object, with labels and what an apply would need.

Order of siblings, blanks, comments, bookkeeping, and whether a default is written out make no difference
(statements.py). An object under another name is recognised (renames.py); what only follows its name is not listed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from agent.clpconf.archive import Script
from agent.clpconf.collection import without_collection
from agent.clpconf.document import Document
from agent.clpconf.element import Element, Piece
from agent.clpconf.fences import is_secret
from agent.clpconf.renames import Key, find_renames, new_names, without_references
from agent.clpconf.schema import Applies, Param, TypeSpec
from agent.clpconf.sections import Declared, declared
from agent.clpconf.statements import (
    ALL,
    BY_TYPE,
    LISTED,
    ORDERED,
    Names,
    Statement,
    Value,
    fill,
    members,
    objects,
    order_of,
    section,
    sections,
)

Change = Literal["added", "removed", "changed", "renamed", "moved"]
SECRET_TEXT = "********"  # noqa: S105 - What stands for one.
_OBJECT_APPLIES: Mapping[str, Applies] = {
    "server": "stop", "device": "suspend", "heartbeat": "suspend", "partition": "suspend", "fence": "noted",
    "group": "group", "resource": "group", "monitor": "monitor", "section": "noted",
}  # fmt: skip
_ENTRY = re.compile(f"{LISTED}[0-9a-f]+")


class Difference(msgspec.Struct, frozen=True):
    """`path` in the newer file, of what was removed in the older one. For a whole object `label` is "" and so are the
    texts (both names where it was renamed, both groups where it was moved); otherwise they are values as the file
    writes them, "" where nothing stands and the default holds. A secret is never shown.
    """

    path: str
    change: Change
    kind: str  # one of objects.KINDS, "device", "section" or "script"
    name: str  # of the object; SERVER/NUMBER of a device
    label: str = ""
    before: str = ""
    after: str = ""
    applies: Applies = "noted"  # never "restart"
    secret: bool = False
    default: str = ""  # what holds where nothing stands

    @property
    def whole(self) -> bool:
        """About the object itself, not about a value of it."""
        return not self.label


def diff(before: Document, after: Document, catalog: Mapping[str, TypeSpec]) -> list[Difference]:
    with without_collection():
        return list(_Comparison(before.root, after.root, catalog).differences())


def diff_scripts(before: Mapping[str, Script], after: Mapping[str, Script]) -> list[Difference]:
    """`name` is the path below scripts/. Contents are not repeated here: they may hold what nobody else should read."""
    found = []
    for path in sorted({*before, *after}):
        old, new = before.get(path), after.get(path)
        place = f"scripts/{path}"
        if old is None or new is None:
            found.append(Difference(place, "added" if old is None else "removed", "script", path))
            continue
        if old.data != new.data:
            found.append(Difference(place, "changed", "script", path, "Content"))
        if old.mode != new.mode:
            found.append(Difference(place, "changed", "script", path, "Mode", f"{old.mode:04o}", f"{new.mode:04o}"))
    return found


class _Comparison:
    def __init__(self, before: Element, after: Element, catalog: Mapping[str, TypeSpec]) -> None:
        self.catalog = catalog
        self.roots = before, after
        self.before, self.after = _by_key(before), _by_key(after)
        self._known: dict[tuple[str, str, str], Declared | None] = {}
        renamed = find_renames(self.before, self.after, self._canonical)
        self.names = new_names(before, renamed, catalog)
        self.old_of: dict[Key, Statement] = {new.key: old for old, new in renamed}
        for old, new in renamed:
            if old.kind == "server":
                self._follow_devices(old.name, new.name)
        self.moved = self._moved()
        self.comparable = not self.names and before.source.encoded.codec == after.source.encoded.codec

    def differences(self) -> Iterator[Difference]:
        yield from self._sections()
        for kind in ORDERED:
            yield from self._order(kind)
        followed = {old.key for old in self.old_of.values()}
        for key, old in self.before.items():
            if key not in self.after and key not in followed:
                yield _whole(old, "removed")
        for key, new in self.after.items():
            known = self.before.get(key)
            if known is None and key in self.old_of:
                known = self.old_of[key]
                if new.kind != "device":
                    yield _whole(new, "renamed", known.name, new.name)
            if known is None:
                yield _whole(new, "added")
            elif new.kind == "resource" and new.name in self.moved:
                yield _whole(new, "moved", *self.moved[new.name])
            yield from self._values(known, new)

    def _follow_devices(self, old: str, new: str) -> None:
        """Those of a renamed server: they have its name in theirs."""
        for one in list(self.before.values()):
            key = ("device", "device", new + one.name[len(old) :])
            if one.kind == "device" and one.name.startswith(f"{old}/") and key in self.after:
                self.old_of[key] = one

    def _moved(self) -> dict[str, tuple[str, str]]:
        """Resource -> its groups before and after; what came or went did not move."""
        was, now = members(self.roots[0], self.names), members(self.roots[1], Names())
        there = {
            self.names.identities.get(id(one.element), one.name)
            for one in self.before.values()
            if one.kind == "resource"
        }
        here = {one.name for one in self.after.values() if one.kind == "resource"}
        pairs = {name: (was.get(name, ""), now.get(name, "")) for name in there & here}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

    def _sections(self) -> Iterator[Difference]:
        olds, news = (sections(root) for root in self.roots)
        for name in dict.fromkeys((*olds, *news)):
            old = section(name, olds[name]) if name in olds else None
            new = section(name, news[name]) if name in news else None
            yield from self._compared(old, new)

    def _order(self, kind: str) -> Iterator[Difference]:
        """Only among those that both files have: what came or went is told anyway."""
        was, now = order_of(self.roots[0], kind, self.names), order_of(self.roots[1], kind, Names())
        if [name for name in was if name in now] == [name for name in now if name in was]:
            return
        one = next(one for one in self.after.values() if one.kind == kind)
        known = self._declared(one, "priority")
        label = known.param.label if known is not None and known.param is not None else "priority"
        path = one.path.rpartition("/")[0] if kind != "server" else "/root/server"
        yield Difference(path, "changed", kind, "", label, ", ".join(was), ", ".join(now), _applies(known))

    def _values(self, old: Statement | None, new: Statement) -> Iterator[Difference]:
        if old is not None and self.comparable and _same_bytes(old.element, new.element):
            return
        if old is not None:
            fill(old, self.names)
        fill(new, Names())
        yield from self._compared(old, new)

    def _compared(self, old: Statement | None, new: Statement | None) -> Iterator[Difference]:
        """Value by value. An entry of a list that came for one that went is one change."""
        statement = new or old
        assert statement is not None
        there, here = (one.values if one is not None else {} for one in (old, new))
        gone: dict[str, list[Value]] = {}
        for key, value in there.items():
            if LISTED in key and key not in here:
                gone.setdefault(_any_entry(key), []).append(value)
        for key in dict.fromkeys((*there, *here)):
            mine, yours = there.get(key), here.get(key)
            if mine is not None and yours is not None and mine.text == yours.text:
                continue
            if LISTED in key and mine is None:
                waiting = gone.get(_any_entry(key))
                mine = waiting.pop(0) if waiting else None
            elif LISTED in key and yours is None:
                continue
            yield from self._compared_value(statement, mine, yours)
        for mine in (value for values in gone.values() for value in values):
            yield from self._compared_value(statement, mine, None)

    def _compared_value(self, statement: Statement, mine: Value | None, yours: Value | None) -> Iterator[Difference]:
        a, b = (value.text if value is not None else "" for value in (mine, yours))
        is_there, is_here = (value is not None and (value.there or bool(value.text)) for value in (mine, yours))
        if (a == b and is_there == is_here) or (mine is None and b in (ALL, BY_TYPE)):
            return
        value = yours or mine
        assert value is not None
        known = self._declared(statement, value.path)
        if not value.there and _meaning(known, a) == _meaning(known, b):
            return
        if self._is_explained(statement, value.path, a, b):
            return
        change: Change = "added" if not is_there else "removed" if not is_here else "changed"
        secret = _is_secret(known, value.path)
        if secret:
            a, b = (SECRET_TEXT if text else "" for text in (a, b))
        default = known.param.default_text if known is not None and known.param is not None and not secret else ""
        path, label = f"{statement.path}/{value.path}", _label(known, value.path)
        yield Difference(path, change, statement.kind, statement.name, label, a, b, _applies(known), secret, default)

    def _is_explained(self, statement: Statement, path: str, a: str, b: str) -> bool:
        """By something else that is listed, or by what a missing policy means."""
        if statement.kind != "group":
            return False
        if path == "policy" and ALL in (a, b):
            was, now = order_of(self.roots[0], "server", self.names), order_of(self.roots[1], "server", Names())
            return (", ".join(was) if a == ALL else a) == (", ".join(now) if b == ALL else b)
        kind, _, name = path.removeprefix("resource@").partition("@")
        if not path.startswith("resource@") or not name:
            return False
        key = ("resource", kind, name)
        both = key in self.after and (key in self.before or key in self.old_of)
        return name in self.moved if both else key in self.after or key in self.before

    def _declared(self, statement: Statement, path: str) -> Declared | None:
        place = (statement.kind, statement.type, path)
        if place not in self._known:
            full = f"{statement.path}/{path}" + ("@" if path in ("policy", "depend") else "")
            self._known[place] = declared(full, self.catalog)
        return self._known[place]

    def _canonical(self, statement: Statement) -> frozenset[tuple[str, str]]:
        said = set()
        for key, value in without_references(statement, self.catalog).values.items():
            known = self._declared(statement, value.path)
            meaning = _meaning(known, value.text)
            if value.there or meaning != _meaning(known, ""):
                said.add((key, repr(meaning)))
        return frozenset(said)


def _by_key(root: Element) -> dict[Key, Statement]:
    """In the order of the file; of two with one name the first counts, as when the file is loaded."""
    found: dict[Key, Statement] = {}
    for one in objects(root):
        found.setdefault(one.key, one)
    return found


def _whole(one: Statement, change: Change, before: str = "", after: str = "") -> Difference:
    applies = "noted" if (one.kind, change) == ("group", "added") else _OBJECT_APPLIES[one.kind]
    return Difference(one.path, change, one.kind, one.name, "", before, after, applies)


def _meaning(known: Declared | None, text: str) -> object:
    """So that 05 and 5, and nothing and the default, are the same."""
    param = known.param if known is not None else None
    if param is None:
        return text
    if not text:
        # A value for one server has no default: without it the general one holds.
        return None if known is not None and known.server else _parsed(param, param.default_text)
    return _parsed(param, text)


def _parsed(param: Param, text: str) -> object:
    try:
        return param.kind.parse(text)
    except ValueError:
        return text


def _is_secret(known: Declared | None, path: str) -> bool:
    return known.secret if known is not None else is_secret(path.rpartition("/")[2])


def _label(known: Declared | None, path: str) -> str:
    if known is None or known.param is None:
        return path
    label = known.param.section if path == "policy" else known.param.label
    return f"{label} ({known.server})" if known.server else label


def _applies(known: Declared | None) -> Applies:
    """What nobody knows has no effect, and needs nothing."""
    return known.spec.applies(known.param) if known is not None and known.param is not None else "noted"


def _any_entry(key: str) -> str:
    return _ENTRY.sub(LISTED, key)


def _same_bytes(one: Element, other: Element) -> bool:
    """They end at the first difference: in files that are written differently that is soon."""
    if one.start_tag != other.start_tag or len(one.content) != len(other.content):
        return False
    for a, b in zip(one.content, other.content, strict=True):
        if isinstance(a, Piece) or isinstance(b, Piece):
            if a != b:
                return False
        elif not _same_bytes(a, b):
            return False
    return True
