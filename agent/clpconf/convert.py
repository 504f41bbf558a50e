"""Files of version 3 of the original, and those of early tools, as today's versions read them: what it meant is kept.

A default that has changed since is written out as it was. What tools left out and others rely on is added: numbers of
groups, the register of types, the language. Everything that was done is reported; a second run finds nothing to do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from agent.clpconf import bookkeeping
from agent.clpconf.document import Document
from agent.clpconf.edit import Edit
from agent.clpconf.element import Element
from agent.clpconf.findings import Finding
from agent.clpconf.layout import place_in_root
from agent.clpconf.objects import find, of_kind

TODAY = ("5.3.1-1", "531101")  # savedversion and savedinnerversion of what is written here
_VERSION = re.compile(r"([0-9]{1,3})\.[0-9.]{1,20}(?:-[0-9]{1,6})?")
_LANGUAGE = {"ASCII": "ASCII", "US-ASCII": "ASCII", "EUC-JP": "EUC-JP", "EUCJP": "EUC-JP", "GB2312": "GB2312",
             "SJIS": "SJIS"}  # fmt: skip
_OLD_METHOD = "softdog"  # Up to X 3 what ended a stalled server, unless another way was written.


def saved_version(document: Document) -> int | None:
    """The major version of the original that saved the file, None where it does not tell."""
    element = find(document.root, "trekking/savedversion")
    found = _VERSION.fullmatch(element.value) if element is not None else None
    return int(found[1]) if found else None


def needs_conversion(document: Document) -> bool:
    version = saved_version(document)
    return version is not None and version <= 3


def convert(document: Document) -> list[Finding]:
    """Changes the document; a note for each change. Raises EditError where the file does not allow one, and changes
    nothing then."""
    steps: list[Callable[[Document], Iterator[Finding]]] = [_language, _group_numbers, _registers]
    if needs_conversion(document):
        steps += [_watchdog, _shutdown_monitoring, _exclusion, _version]
    with Edit(document).change("convert"):
        return [finding for step in (*steps, _object_number) for finding in step(document)]


def _watchdog(document: Document) -> Iterator[Finding]:
    for thing in of_kind(document.root, "monitor"):
        if thing.type == "userw" and not _text(thing.element, "parameters/method"):
            document.make_below(thing.element, "parameters/method", _OLD_METHOD)
            yield _note("convert.userw", f"{thing.element.path}/parameters/method",
                        f"Method {_OLD_METHOD} is written out: version 3 took it where nothing was written.",
                        "keepalive is the default today; choose it where no softdog module is wanted.")  # fmt: skip


def _shutdown_monitoring(document: Document) -> Iterator[Finding]:
    used = _text(document.root, "cluster/haltp") == "1" or document.root.child("haltp") is not None
    if used and not _text(document.root, "haltp/method"):
        _write(document, "haltp/method", _OLD_METHOD)
        yield _note("convert.haltp", "/root/haltp/method",
                    f"Method {_OLD_METHOD} is written out: version 3 took it where nothing was written.",
                    "keepalive is the default today.")  # fmt: skip


def _exclusion(document: Document) -> Iterator[Finding]:
    """The attribute is still read here; later versions of the original have rules in its place."""
    for thing in of_kind(document.root, "group"):
        if _text(thing.element, "exclusive") in ("1", "2"):
            yield _note("convert.exclusive", f"{thing.element.path}/exclusive",
                        "The exclusion attribute of version 3 is kept and means the same here.",
                        "Later versions of the original have exclusion rules in its place.")  # fmt: skip


def _language(document: Document) -> Iterator[Finding]:
    charset = _LANGUAGE.get(document.encoding.upper(), "ASCII")
    for path, text in (("all/charset", charset), ("all/serveros", "linux"), ("all/encode", charset)):
        if document.root.child("all") is None or not _text(document.root, path):
            _write(document, path, text)
            yield _note("convert.language", f"/root/{path}", f'"{text}" is added, as the file is written.',
                        "The original's console asks for it.")  # fmt: skip


def _group_numbers(document: Document) -> Iterator[Finding]:
    number = bookkeeping.next_number(document.root, ("group",), "gid") - 1
    for thing in of_kind(document.root, "group"):
        if bookkeeping.number_of(thing.element, "gid") is None:
            number += 1
            document.make_below(thing.element, "gid", str(number))
            yield _note("convert.gid", f"{thing.element.path}/gid", f"The group gets the number {number}.",
                        "Each group has its own.")  # fmt: skip


def _registers(document: Document) -> Iterator[Finding]:
    for section in bookkeeping.sections_with_register(document.root):
        registered = {entry.attributes.get("name") for entry in section.named("types")}
        for name in dict.fromkeys(child.name for child in section.children if child.name != "types"):
            if name not in registered:
                bookkeeping.register_type(document, section, name)
                yield _note("convert.types", section.path, f"Type {name} is registered.",
                            "The original's tools go by the register.")  # fmt: skip


def _version(document: Document) -> Iterator[Finding]:
    before = _text(document.root, "trekking/savedversion")
    for name, text in zip(("savedversion", "savedinnerversion"), TODAY, strict=True):
        _write(document, f"trekking/{name}", text)
    yield _note("convert.version", "/root/trekking/savedversion",
                f"The file of version {before} is one of version {TODAY[0]} now.",
                "Keep the file from before for a cluster of the older version.")  # fmt: skip


def _object_number(document: Document) -> Iterator[Finding]:
    before = _text(document.root, bookkeeping.OBJECT_NUMBER)
    bookkeeping.recount(document)
    after = _text(document.root, bookkeeping.OBJECT_NUMBER)
    if before != after:
        yield _note("convert.objectnumber", f"/root/{bookkeeping.OBJECT_NUMBER}",
                    f"The count of objects is {after}, not {before}.", "It was wrong.")  # fmt: skip


def _write(document: Document, path: str, text: str) -> None:
    section, _, below = path.partition("/")
    top = document.root.child(section)
    if top is None:
        top = document.append(document.root, section, place=place_in_root(document.root, section))
    document.make_below(top, below, text)


def _text(element: Element, path: str) -> str:
    leaf = find(element, path) if element.parent is None else element.find(path)
    return leaf.value if leaf is not None else ""


def _note(code: str, path: str, text: str, remedy: str) -> Finding:
    return Finding(code, "note", path, text, remedy)
