"""clp.conf without its secrets, for whoever only looks at it; what is one, whoever shows it may judge (`Judge`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from agent.clpconf.document import Document
from agent.clpconf.element import Element, Piece
from agent.clpconf.fences import is_secret
from agent.clpconf.schema import TypeSpec
from agent.clpconf.sections import declared

MASK = "********"
Judge = Callable[[Element], bool]


def without_secrets(data: bytes, specs: Mapping[str, TypeSpec]) -> bytes:
    """The file with a mask in place of each secret. DocumentError when it is none: then it cannot be shown at all."""
    document = Document.read(data)
    for element in secrets_of(document.root, lambda leaf: _is_secret(leaf, specs)):
        element.content = [Piece("text", MASK.encode())]
    return document.write()


def secrets_of(element: Element, is_one: Judge) -> Iterator[Element]:
    for child in element.children:
        if child.children:
            yield from secrets_of(child, is_one)
        elif child.value and is_one(child):
            yield child


def _is_secret(element: Element, specs: Mapping[str, TypeSpec]) -> bool:
    """Also by its name alone: too much hidden is better than too little."""
    found = declared(element.path, specs)
    return is_secret(element.name) or (found is not None and found.secret)
