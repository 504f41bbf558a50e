"""The parts that every change of a configuration is made of (edit.py, edit_values.py)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import NoReturn

from agent.clpconf import bookkeeping, editing
from agent.clpconf.document import Document, DocumentError
from agent.clpconf.element import Element, identity_attribute, segments
from agent.clpconf.encoding import EncodingError
from agent.clpconf.entry import NAME
from agent.clpconf.findings import Finding
from agent.clpconf.layout import place_in_root, place_of_object
from agent.clpconf.objects import SECTION_OF, Kind, Thing, find, named
from agent.clpconf.removal import RefusedError
from agent.clpconf.schema import TypeSpec
from agent.clpconf.scripts import Move


class EditError(Exception):
    """The change cannot be made; nothing of it was. `finding` names the place and the remedy."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(str(finding))
        self.finding = finding


class Parts:
    """What is there, what is not, and how something new is put in its place."""

    def __init__(self, document: Document, catalog: Mapping[str, TypeSpec] | None = None) -> None:
        self.document = document
        self.root = document.root
        self.catalog = catalog or {}
        self.moves: list[Move] = []

    @contextlib.contextmanager
    def change(self, words: str, *, counted: bool = False) -> Iterator[None]:
        """All of the block or nothing; then the file's own bookkeeping. `words` tell this change from others."""
        moves = len(self.moves)
        try:
            with editing.all_or_nothing(self.root) as changed:
                yield
                if counted:
                    bookkeeping.recount(self.document)
                if changed:
                    bookkeeping.mark_saved(self.document, words)
        except (EditError, DocumentError, EncodingError, RefusedError) as error:
            del self.moves[moves:]
            raise _as_edit_error(error) from error

    def _leaf(self, parent: Element, path: str, text: str) -> None:
        self.document.make_below(parent, path, text)

    def _section(self, name: str) -> Element:
        return self.root.child(name) or self._append_to_root(name)

    def _append_to_root(self, name: str, identity: str | None = None) -> Element:
        attributes = {} if identity is None else {identity_attribute(name, self.root): identity}
        return self.document.append(self.root, name, attributes, place=place_in_root(self.root, name))

    def _append_named(self, parent: Element, name: str, identity: str) -> Element:
        attribute = identity_attribute(name, parent)
        return self.document.append(parent, name, {attribute: identity}, place=last_of(parent, name))

    def _append_instance(self, kind: Kind, type_name: str, name: str) -> Element:
        section = self._section(SECTION_OF[kind])
        if not editing.NAME.fullmatch(type_name) or type_name == "types":
            refuse("edit.type", section.path, f'"{type_name[:40]}" cannot be a type.', "Use its short name.")
        bookkeeping.register_type(self.document, section, type_name)
        place = place_of_object(section, type_name)
        return self.document.append(section, type_name, {"name": name}, place=place)

    def _keep_named(self, parent: Element, name: str, identities: Iterable[str]) -> None:
        """Takes out what is not named, and what stands there twice."""
        left = set(identities)
        for element in parent.named(name):
            identity = (element.identity or "").strip()
            if identity in left:
                left.remove(identity)
            else:
                self.document.remove(element)

    def _new_name(self, kind: Kind, name: str) -> None:
        if not NAME.fullmatch(name):
            refuse("name.syntax", f"/root/{kind}@{name[:60]}", f'"{name[:60]}" cannot be a name.',
                   "Use letters, digits, '_', '-' or '.', at most 63.")  # fmt: skip
        known = named(self.root, kind, name)
        if known is not None:
            refuse("name.duplicate", known.element.path, f'There is a {kind} "{name}" already.', "Choose another name.")

    def _named(self, kind: Kind, name: str) -> Thing:
        thing = named(self.root, kind, name)
        if thing is None:
            refuse("edit.missing", f"/root/{SECTION_OF.get(kind, kind)}", f'There is no {kind} "{name[:60]}".',
                   "Check the spelling.")  # fmt: skip
        return thing

    def _existing(self, path: str) -> Element:
        element = find(self.root, path)
        if element is None:
            refuse("edit.missing", path[:200], "There is nothing at this path.", "Check the spelling.")
        return element

    def _owner_exists(self, below: str) -> None:
        """A value of an object that is not there would make one without anything that goes with it."""
        words = segments(below)
        count = _words_of_object(words)
        if len(words) < count or not count:
            return
        path = "/".join(below.split("/")[:count])
        if words[count - 1][1] is None:
            refuse("edit.path", f"/root/{below[:200]}", "This path does not say which object it means.",
                   f"Write {words[count - 1][0]}@NAME.")  # fmt: skip
        self._existing(path)


def _words_of_object(words: list[tuple[str, str | None]]) -> int:
    """How many segments of a path name the object, 0 where there is none."""
    if words[0][0] in ("server", "group"):
        return 1
    second = words[1][0] if len(words) > 1 else ""
    if words[0][0] in SECTION_OF.values() and second != "types":
        return 2
    return 2 if words[0][0] == "openclp" and second == "fence" else 0


def last_of(parent: Element, name: str) -> Element | None:
    same = parent.named(name)
    return same[-1] if same else None


def refuse(code: str, path: str, text: str, remedy: str = "") -> NoReturn:
    raise EditError(Finding(code, "error", path, text, remedy))


def _as_edit_error(error: EditError | DocumentError | EncodingError | RefusedError) -> EditError:
    if isinstance(error, EditError):
        return error
    if isinstance(error, DocumentError):
        return EditError(error.findings[0])
    if isinstance(error, RefusedError):
        return EditError(error.finding)
    return EditError(Finding(error.code, "error", "", error.text, error.remedy))
