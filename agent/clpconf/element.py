"""One element of a lossless document: its bytes as they stand in the file, and what they mean."""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import NamedTuple

from agent.clpconf.encoding import Encoded

# Objects whose attribute is id= instead of name= (with the children of `messages`).
_BY_ID = frozenset(("device", "list", "hba", "grp", "servers", "netdev", "smtpsrv", "snmpsrv"))
_ENTITIES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_ENTITY = re.compile(r"&(?:#x([0-9A-Fa-f]+)|#([0-9]+)|(\w+));")
# From the end of the name on: a search within a name that is very long would take for ever.
_ATTRIBUTE = re.compile(r"\s+([^\s=<>/\"']+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")
_LINE_END = re.compile(r"\r\n?")
_SPACE = re.compile(r"\r\n|[\t\r\n]")


class Source:
    """The bytes that were read, for decoding and for places."""

    def __init__(self, encoded: Encoded) -> None:
        self.encoded = encoded
        self.has_crlf = b"\r\n" in encoded.data
        self._lines: list[int] = []
        self._last = (0, 0, 0)  # line, offset, column of the place asked for last
        self.journal: list[Memory] | None = None  # editing.all_or_nothing: what elements were before

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column, both 1-based; columns count characters."""
        data = self.encoded.data
        if not self._lines:
            self._lines = [self.encoded.start, *(found.end() for found in re.finditer(b"\n", data))]
        line = max(bisect_right(self._lines, offset), 1)
        last_line, counted, column = self._last
        if last_line != line or counted > offset:
            counted, column = self._lines[line - 1], 1
        # From the last place on: a file may be one long line with a finding at each of its elements.
        column += len(data[counted:offset].decode(self.encoded.codec, "replace"))
        self._last = (line, offset, column)
        return line, column


class Piece(NamedTuple):
    """Content that is no element, byte by byte: text, comment, cdata, pi."""

    kind: str
    raw: bytes


class Element:
    """`content` in the order of the file. `offset` is its place in the bytes that were read, -1 when it is new."""

    __slots__ = ("_attributes", "content", "end_tag", "name", "offset", "parent", "source", "start_tag")

    def __init__(self, source: Source, name: str, start_tag: bytes, end_tag: bytes, offset: int = -1) -> None:
        self.source = source
        self.name = name
        self.start_tag = start_tag
        self.end_tag = end_tag  # empty for <a/>
        self.offset = offset
        self.content: list[Piece | Element] = []
        self.parent: Element | None = None
        self._attributes: dict[str, str] | None = None

    def __repr__(self) -> str:
        return f"<Element {self.path} line {self.line}>"

    @property
    def children(self) -> list[Element]:
        return [part for part in self.content if isinstance(part, Element)]

    @property
    def attributes(self) -> dict[str, str]:
        if self._attributes is None:
            has_any = b"=" in self.start_tag
            self._attributes = self._read_attributes() if has_any else {}
        return self._attributes

    def forget_attributes(self) -> None:
        """Its start tag was changed."""
        self._attributes = None

    @property
    def identity(self) -> str | None:
        """The value of name= or id=, by which paths name it."""
        attributes = self.attributes
        return attributes.get("name", attributes.get("id"))

    @property
    def text(self) -> str:
        """Its own text as XML means it, not stripped; children's text does not count."""
        content = self.content
        if not content:
            return ""
        if len(content) == 1 and isinstance(content[0], Piece):
            return self._text_of(content[0])
        return "".join(self._text_of(part) for part in content if isinstance(part, Piece))

    @property
    def value(self) -> str:
        """The text without the blanks around it, as the format wants it read."""
        return self.text.strip()

    @property
    def path(self) -> str:
        """In the notation of the original's tools: /root/resource/fip@fip1/parameters/ip."""
        above = self.parent.path if self.parent else ""
        identity = self.identity
        return f"{above}/{self.name}" + (f"@{identity}" if identity is not None else "")

    @property
    def line(self) -> int:
        """As read, 1-based; 0 for an element that was added since."""
        return self.source.place(self.offset)[0] if self.offset >= 0 else 0

    @property
    def column(self) -> int:
        return self.source.place(self.offset)[1] if self.offset >= 0 else 0

    def find(self, path: str) -> Element | None:
        """The first element at `path` below this one: "cluster/name", "resource/fip@fip1/parameters/ip".

        `name@value` asks for the name= or id= attribute; without it, any element of that name fits.
        """
        found: Element | None = self
        for segment in path.split("/"):
            found = found.child(*_split(segment)) if found is not None else None
        return found

    def child(self, name: str, identity: str | None = None) -> Element | None:
        for part in self.content:
            if isinstance(part, Element) and part.name == name and (identity is None or part.identity == identity):
                return part
        return None

    def named(self, name: str) -> list[Element]:
        return [child for child in self.children if child.name == name]

    def write(self, out: list[bytes]) -> None:
        out.append(self.start_tag)
        for part in self.content:
            if isinstance(part, Element):
                part.write(out)
            else:
                out.append(part.raw)
        out.append(self.end_tag)

    def _text_of(self, piece: Piece) -> str:
        if piece.kind not in ("text", "cdata"):
            return ""
        text = self.source.encoded.decode(piece.raw)
        if "\r" in text:
            text = _LINE_END.sub("\n", text)
        return text[len("<![CDATA[") : -len("]]>")] if piece.kind == "cdata" else unescape(text)

    def _read_attributes(self) -> dict[str, str]:
        tag = self.source.encoded.decode(self.start_tag)
        return {
            found[1]: unescape(_SPACE.sub(" ", found[2] if found[2] is not None else found[3]))
            for found in _ATTRIBUTE.finditer(tag, 1 + len(self.name))
        }


# An element with its parent, start tag, end tag and content.
Memory = tuple[Element, "Element | None", bytes, bytes, "list[Piece | Element]"]


def identity_attribute(name: str, parent: Element) -> str:
    """Which attribute a new element of this name carries below `parent`."""
    in_messages = parent.name == "messages" or (parent.parent is not None and parent.parent.name == "messages")
    return "id" if name in _BY_ID or (in_messages and name != "types") else "name"


def segments(path: str) -> list[tuple[str, str | None]]:
    return [_split(segment) for segment in path.split("/")]


def unescape(text: str) -> str:
    return _ENTITY.sub(_meaning, text) if "&" in text else text


def _meaning(entity: re.Match[str]) -> str:
    hexadecimal, decimal, word = entity.groups()
    if word:
        return _ENTITIES[word]
    return chr(int(hexadecimal, 16) if hexadecimal else int(decimal))


def _split(segment: str) -> tuple[str, str | None]:
    name, at, identity = segment.partition("@")
    return name, identity if at else None
