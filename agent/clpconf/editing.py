"""Changes to a lossless document that look as if the file's own author had made them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping

from agent.clpconf.element import Element, Memory, Piece, identity_attribute, segments
from agent.clpconf.encoding import EncodingError

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
# What XML 1.0 cannot carry, not even as a character reference.
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_INDENT = re.compile(rb"\r?\n[ \t]*\Z")
_TAG_ATTRIBUTE = re.compile(r"\s([^\s=<>/\"']+)\s*=\s*(?:\"[^\"]*\"|'[^']*')")


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
    _remember(element)
    _open_up(element)
    element.content = [Piece("text", raw), *kept] if raw else [*kept]


def append(
    parent: Element, name: str, attributes: Mapping[str, str], text: str, place: Element | None = None
) -> Element:
    """A new child after `place`, a child of `parent`; after the last one without it."""
    if not NAME.fullmatch(name):
        raise EncodingError("edit.name", f'"{name}" cannot be the name of an element.', "Use letters, digits, _ - .")
    if not parent.children and parent.value:
        raise EncodingError("edit.container", f"<{parent.name}> holds text and takes no elements.", "Empty it first.")
    element = _new(parent, name, attributes, text)
    before, after = _indentation(parent)
    _remember(parent)
    _open_up(parent)
    children = parent.children
    if children:
        at = parent.content.index(place or children[-1]) + 1
        parent.content[at:at] = [Piece("text", before), element] if before else [element]
    else:
        kept = [part for part in parent.content if isinstance(part, Piece) and part.kind != "text"]
        parent.content = [*kept, *_text_piece(before), element, *_text_piece(after)]
    return element


def remove(element: Element) -> None:
    """With the line that it stands on; the element that holds it stays."""
    parent = element.parent
    assert parent is not None
    _remember(parent)
    _remember(element)
    at = parent.content.index(element)
    del parent.content[at]
    before = parent.content[at - 1] if at else None
    if isinstance(before, Piece) and before.kind == "text":
        parent.content[at - 1] = Piece("text", _INDENT.sub(b"", before.raw))
    element.parent = None
    if not parent.children and not parent.value:
        parent.content = [part for part in parent.content if isinstance(part, Piece) and part.kind != "text"]


def set_attribute(element: Element, name: str, value: str) -> None:
    """The rest of its tag stays; an attribute that it has not yet comes last."""
    if element.attributes.get(name) == value:
        return
    encoded = element.source.encoded
    tag = encoded.decode(element.start_tag)
    written = f'{name}="{_attribute(value)}"'
    found = next((m for m in _TAG_ATTRIBUTE.finditer(tag, 1 + len(element.name)) if m[1] == name), None)
    if found:
        tag = tag[: found.start(1)] + written + tag[found.end() :]
    else:
        closing = "/>" if tag.endswith("/>") else ">"
        tag = f"{tag[: -len(closing)].rstrip()} {written}{closing}"
    encoded_tag = encoded.encode(tag)
    _remember(element)
    element.start_tag = encoded_tag
    element.forget_attributes()


@contextlib.contextmanager
def all_or_nothing(root: Element) -> Iterator[list[Memory]]:
    """Where an exception leaves the block, every change that was made within it is taken back. Gives what was changed
    so far."""
    source = root.source
    if source.journal is not None:  # A part of a larger change.
        yield source.journal
        return
    journal: list[Memory] = []
    source.journal = journal
    try:
        yield journal
    except BaseException:
        for element, parent, start_tag, end_tag, content in reversed(journal):
            element.parent, element.start_tag, element.end_tag, element.content = parent, start_tag, end_tag, content
            element.forget_attributes()
        raise
    finally:
        source.journal = None


def _remember(element: Element) -> None:
    journal = element.source.journal
    if journal is not None:
        journal.append((element, element.parent, element.start_tag, element.end_tag, list(element.content)))


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
    if parent.children:
        return _usual_indent(parent), b""
    own = _indent_before(parent)
    if not own and parent.parent is not None:
        return b"", b""  # Everything is glued on one line here.
    newline = own or (b"\r\n" if parent.source.has_crlf else b"\n")
    return newline + _unit(parent), newline


def _usual_indent(parent: Element) -> bytes:
    """What stands before most of its children: the original's Java Builder leaves some of them in odd columns."""
    counts: dict[bytes, int] = {}
    before: Piece | Element | None = None
    for part in parent.content:
        if isinstance(part, Element):
            indent = b""
            if isinstance(before, Piece) and before.kind == "text" and (found := _INDENT.search(before.raw)):
                indent = found[0]
            counts[indent] = counts.pop(indent, 0) + 1  # Of two that are as usual, the later one.
        before = part
    return max(reversed(counts), key=lambda indent: counts[indent])


def _unit(parent: Element) -> bytes:
    """One step of indentation, as used around `parent`, else at the top of the file; two blanks when nothing tells."""
    inner: Element | None = parent
    while inner is not None and inner.parent is not None:
        own, above = _indent_before(inner).lstrip(b"\r\n"), _indent_before(inner.parent).lstrip(b"\r\n")
        if own.startswith(above) and len(own) > len(above):
            return own[len(above) :]
        inner = inner.parent
    return b"  "


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
    if element.source.has_crlf:
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
