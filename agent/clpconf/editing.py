"""Changes to a lossless document that look as if the file's own author had made them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from agent.clpconf.element import Element, Piece, identity_attribute, segments
from agent.clpconf.encoding import EncodingError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
# What XML 1.0 cannot carry, not even as a character reference.
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_INDENT = re.compile(rb"\r?\n[ \t]*\Z")


def set_text(element: Element, text: str) -> None:
    """Comments within the element stay; text that is equal changes no byte."""
    if element.children:
        raise EncodingError(
            "edit.container", f"<{element.name}> holds elements and takes no text.", "Name one of them."
        )
    if text == element.text:
        return
    raw = encoded_text(element, text)
    kept = [part for part in element.content if isinstance(part, Piece) and part.kind in ("comment", "pi")]
    _open_up(element)
    element.content = [Piece("text", raw), *kept] if raw else [*kept]


def append(parent: Element, name: str, attributes: Mapping[str, str], text: str) -> Element:
    if not _NAME.fullmatch(name):
        raise EncodingError("edit.name", f'"{name}" cannot be the name of an element.', "Use letters, digits, _ - .")
    if not parent.children and parent.value:
        raise EncodingError("edit.container", f"<{parent.name}> holds text and takes no elements.", "Empty it first.")
    element = _new(parent, name, attributes, text)
    before, after = _indentation(parent)
    _open_up(parent)
    children = parent.children
    if children:
        at = parent.content.index(children[-1]) + 1
        parent.content[at:at] = [Piece("text", before), element] if before else [element]
    else:
        kept = [part for part in parent.content if isinstance(part, Piece) and part.kind != "text"]
        parent.content = [*kept, *_text_piece(before), element, *_text_piece(after)]
    return element


def remove(element: Element) -> None:
    """With the line that it stands on; the element that holds it stays."""
    parent = element.parent
    assert parent is not None
    at = parent.content.index(element)
    del parent.content[at]
    before = parent.content[at - 1] if at else None
    if isinstance(before, Piece) and before.kind == "text":
        parent.content[at - 1] = Piece("text", _INDENT.sub(b"", before.raw))
    element.parent = None
    if not parent.children and not parent.value:
        parent.content = [part for part in parent.content if isinstance(part, Piece) and part.kind != "text"]


def make(root: Element, path: str) -> Element:
    """The element at `path`; what is missing of it is appended."""
    element = root
    for name, identity in segments(path):
        child = element.child(name, identity)
        if child is None:
            attributes = {} if identity is None else {identity_attribute(name, element): identity}
            child = append(element, name, attributes, "")
        element = child
    return element


def _new(parent: Element, name: str, attributes: Mapping[str, str], text: str) -> Element:
    written = "".join(f' {key}="{_attribute(value)}"' for key, value in attributes.items())
    encode = parent.source.encoded.encode
    if text:
        element = Element(parent.source, name, encode(f"<{name}{written}>"), encode(f"</{name}>"))
        element.content = [Piece("text", encoded_text(parent, text))]
    else:
        element = Element(parent.source, name, encode(f"<{name}{written}/>"), b"")
    element.parent = parent
    return element


def _open_up(element: Element) -> None:
    """<a/> becomes <a></a>."""
    if not element.end_tag:
        element.start_tag = element.start_tag[:-2].rstrip() + b">"
        element.end_tag = element.source.encoded.encode(f"</{element.name}>")


def _indentation(parent: Element) -> tuple[bytes, bytes]:
    """What stands before a new last child of `parent`, and before its end tag when the child is the first."""
    children = parent.children
    if children:
        return _indent_before(children[-1]), b""
    own = _indent_before(parent)
    if not own and parent.parent is not None:
        return b"", b""  # Everything is glued on one line here.
    newline = own or (b"\r\n" if b"\r\n" in parent.source.encoded.data else b"\n")
    return newline + _unit(parent), newline


def _unit(parent: Element) -> bytes:
    """One step of indentation, as used above `parent`; two blanks when nothing tells."""
    above = parent.parent
    if above is None:
        return b"  "
    outer = _indent_before(above).lstrip(b"\r\n")
    inner = _indent_before(parent).lstrip(b"\r\n")
    step = inner[len(outer) :] if inner.startswith(outer) else b""
    return step or b"  "


def _indent_before(element: Element) -> bytes:
    """Line end and blanks right before the element, b"" when it does not begin a line."""
    if element.parent is None:
        return b""
    content = element.parent.content
    at = content.index(element)
    before = content[at - 1] if at else None
    if not isinstance(before, Piece) or before.kind != "text":
        return b""
    found = _INDENT.search(before.raw)
    return found[0] if found else b""


def _text_piece(raw: bytes) -> list[Piece]:
    return [Piece("text", raw)] if raw else []


def encoded_text(element: Element, text: str) -> bytes:
    """As it is written in the file of `element`; raises EncodingError when it cannot be."""
    _check(text)
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")
    if b"\r\n" in element.source.encoded.data:
        escaped = escaped.replace("\n", "\r\n")
    return element.source.encoded.encode(escaped)


def _attribute(value: str) -> str:
    _check(value)
    escaped = value.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return re.sub("[\t\n\r]", lambda space: f"&#{ord(space[0])};", escaped)


def _check(text: str) -> None:
    unfit = _UNFIT.search(text)
    if unfit:
        shown = f"The character U+{ord(unfit[0]):04X} cannot stand in a configuration file."
        raise EncodingError("text.character", shown, "Remove it.")
