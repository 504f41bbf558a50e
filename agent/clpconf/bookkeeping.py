"""What every edit has to keep true beside itself: type registers, numbers of groups, priorities, counts, save marks.

The original writes these; its tools and its console go by them.
"""

from __future__ import annotations

import hashlib
from collections import Counter

from agent.clpconf.document import Document
from agent.clpconf.element import Element
from agent.clpconf.layout import place_of_type
from agent.clpconf.objects import SECTION_OF, Kind, find, of_kind, things

OBJECT_NUMBER = "webmgr/client/objectnumber"


def object_number(root: Element) -> int:
    """As the original counts (reference: clp-conf-format, section 2)."""
    found = Counter(thing.kind for thing in things(root))
    paths = (found["heartbeat"] + found["partition"]) * found["server"]
    return 4 + found["server"] + found["group"] + found["resource"] + found["monitor"] + paths


def register_type(document: Document, section: Element, name: str) -> None:
    """<types name="fip"/>, once."""
    if all(entry.attributes.get("name") != name for entry in section.named("types")):
        document.append(section, "types", {"name": name}, place=place_of_type(section))


def unregister_types(document: Document, section: Element) -> None:
    """Of those whose last object went. Others that never had one stay: they were there before."""
    used = {child.name for child in section.children}
    for entry in section.named("types"):
        if entry.attributes.get("name") not in used:
            document.remove(entry)


def recount(document: Document) -> None:
    """Only where the file has the number."""
    element = find(document.root, OBJECT_NUMBER)
    if element is not None and element.value != str(number := object_number(document.root)):
        document.set_text(element, str(number))


def mark_saved(document: Document, change: str) -> None:
    """Another configid, so that nobody takes the file for the one before: the inner version, then a decimal below 1.

    The original draws the decimal; ours follows from the one before and the change, so that edits can be repeated.
    """
    element = find(document.root, "trekking/configid")
    version = find(document.root, "trekking/savedinnerversion")
    if element is None or version is None or not element.value:
        return
    digest = hashlib.blake2b(f"{element.value}\n{change}".encode("utf-8", "replace"), digest_size=8).digest()
    digits = str(int.from_bytes(digest, "big"))[:16].rjust(16, "1")
    document.set_text(element, f"{version.value}0.{digits}")


def renumber(document: Document, kind: Kind, path: str) -> None:
    """0, 1, 2 ... in the present order, where something has a number at all (priority, gid)."""
    elements = [(number_of(thing.element, path), thing.element) for thing in of_kind(document.root, kind)]
    numbered = sorted((one for one in elements if one[0] is not None), key=lambda one: one[0] or 0)
    for number, (present, element) in enumerate(numbered):
        if present != number:
            leaf = element.child(path)
            assert leaf is not None
            document.set_text(leaf, str(number))


def next_number(root: Element, kinds: tuple[Kind, ...], path: str) -> int:
    numbers = [number_of(thing.element, path) for thing in things(root) if thing.kind in kinds]
    return max((number for number in numbers if number is not None), default=-1) + 1


def number_of(element: Element, path: str) -> int | None:
    leaf = element.child(path)
    text = leaf.value if leaf is not None else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def sections_with_register(root: Element) -> list[Element]:
    return [part for part in root.children if part.name in SECTION_OF.values()]
