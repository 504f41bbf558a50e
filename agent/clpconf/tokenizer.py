"""Where elements begin and end in the bytes of a clp.conf, without touching a single byte.

Works on masked bytes (encoding.Encoded.masked), in which ASCII bytes are structure. Finds wrong nesting with the
place of both tags; what is left of well-formedness is checked by lxml.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from agent.clpconf.element import Element, Piece, Source

MAX_DEPTH = 64
MAX_ELEMENTS = 500_000
MAX_PROBLEMS = 50

_NAME = rb"[^\x00-\x20<>/=\"'!?&;]+"
_SPACE = rb"[ \t\r\n]"
_ATTRIBUTES = (
    rb"(?:" + _SPACE + rb"+" + _NAME + _SPACE + rb"*=" + _SPACE + rb"*(?:\"[^\"<]*\"|'[^'<]*'))*" + _SPACE + rb"*"
)
# Text (1) up to the next mark, then the mark: start tag (2 name, 3 attributes, 4 slash), together with text (5) and end
# tag (6) of an element that holds nothing else, as most do; end tag (7), other (8).
_TOKEN = re.compile(
    rb"([^<]*+)(?:<(" + _NAME + rb")(" + _ATTRIBUTES + rb")(?:(/)>|>(?:([^<&]*+)</(\2)" + _SPACE + rb"*>)?)"
    rb"|</(" + _NAME + rb")" + _SPACE + rb"*>|(<!--|<!\[CDATA\[|<\?|<!DOCTYPE)|\Z)"
)  # fmt: skip
_OPEN, _EMPTY, _LEAF, _CLOSE, _MARK = 3, 4, 6, 7, 8  # Match.lastindex
_OTHER = {b"<!--": ("comment", b"-->"), b"<![CDATA[": ("cdata", b"]]>"), b"<?": ("pi", b"?>")}
_ENTITY = re.compile(rb"&(?!(?:amp|lt|gt|quot|apos|#[0-9]{1,7}|#x[0-9A-Fa-f]{1,6});)[^;<&\s]{0,40};?")
_NOT_SPACE = re.compile(rb"[^ \t\r\n]")


class Problem(NamedTuple):
    code: str
    offset: int
    text: str
    remedy: str
    path: str = ""  # of the element around it


@dataclass(slots=True)
class Tree:
    """`root` is None only when there are problems. It reaches from `start` to `end`."""

    root: Element | None
    start: int
    end: int
    problems: list[Problem]


def tokenize(source: Source) -> Tree:
    return _Reader(source).read()


class _Reader:
    """Structure comes from the masked bytes, content and names from the file's own."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.data = source.encoded.data
        self.masked = source.encoded.masked()
        self.at = source.encoded.body
        self.end = 0
        self.root: Element | None = None
        self.stack: list[Element] = []
        self.problems: list[Problem] = []
        self.open_names: list[bytes] = []  # of the stack, as written
        self.names: dict[bytes, str] = {}
        self.pieces: dict[bytes, Piece] = {}
        self.count = 0
        self.fatal = False

    def read(self) -> Tree:
        self._scan()
        if not self.fatal:
            self._finish()
        start = self.root.offset if self.root else 0
        return Tree(self.root, start, self.end, sorted(self.problems, key=lambda problem: problem.offset))

    def _scan(self) -> None:
        """The hot path. It decides what comes next; text that was seen before is taken here."""
        data, masked, match, size = self.data, self.masked, _TOKEN.match, len(self.masked)
        stack, pieces = self.stack, self.pieces
        while self.at < size and not self.fatal:
            at = self.at
            token = match(masked, at)
            if token is None:
                start = masked.find(b"<", at)
                self._stop(
                    "xml.syntax", start, "This is not a well-formed tag.", "Close it with > and quote attributes."
                )
                return
            start, kind = token.end(1), token.lastindex
            if start > at:
                known = pieces.get(data[at:start])
                if known is not None and stack:
                    stack[-1].content.append(known)
                else:
                    self._text(at, start)
            self.at = token.end()
            if kind == _LEAF:
                self._leaf(token, start)
            elif kind == _CLOSE:
                self._close(token, start)
            elif kind in (_OPEN, _EMPTY):
                self._open(token, start)
            elif kind == _MARK:
                self._skip_to_end(token[_MARK], start)

    def _text(self, start: int, end: int) -> None:
        if self.stack:
            raw = self.data[start:end]
            if b"&" in raw:
                self._check_entities(start, end)
            self.stack[-1].content.append(self._piece(raw))
            return
        loose = _NOT_SPACE.search(self.masked, start, end)
        if loose:
            where = "after" if self.root else "before"
            self._stop("xml.syntax", loose.start(), f"There is text {where} the root element.", "Remove it.")

    def _piece(self, raw: bytes) -> Piece:
        """The same one for the same text: indentation and small numbers are most of a file."""
        piece = self.pieces.get(raw)
        if piece is None:
            piece = Piece("text", raw)
            if b"&" not in raw:  # Each of them is checked, where it stands.
                self.pieces[raw] = piece
        return piece

    def _leaf(self, token: re.Match[bytes], start: int) -> None:
        """As hot: an element with its text and its end tag."""
        data, opened, closing = self.data, token.start(_LEAF - 1), token.start(_LEAF)
        first, last = token.span(2)
        if data[first:last] != data[closing : token.end(_LEAF)]:  # They are equal only where they are masked.
            self.at = opened
            self._open(token, start)
            return
        element = self._element(token, start, opened)
        if element is not None:
            if closing - 2 > opened:
                element.content.append(self._piece(data[opened : closing - 2]))
            element.end_tag = data[closing - 2 : self.at]
            if element.parent is None:
                self.end = self.at

    def _open(self, token: re.Match[bytes], start: int) -> None:
        element = self._element(token, start, self.at)
        if element is not None and token.lastindex != _EMPTY:
            first, last = token.span(2)
            self.stack.append(element)
            self.open_names.append(self.data[first:last])

    def _element(self, token: re.Match[bytes], start: int, end: int) -> Element | None:
        stack = self.stack
        self.count += 1
        if len(stack) >= MAX_DEPTH or self.count > MAX_ELEMENTS or (self.root is not None and not stack):
            self._too_much(start)
            return None
        first, last = token.span(2)
        raw = self.data[first:last]
        name = self.names.get(raw)
        if name is None:
            name = self.names[raw] = self.source.encoded.decode(raw)
        element = Element(self.source, name, self.data[start:end], b"", start)
        if end - last > 2:
            self._check_entities(last, end)
        if stack:
            element.parent = stack[-1]
            stack[-1].content.append(element)
        else:
            self.root, self.end = element, end
        return element

    def _too_much(self, start: int) -> None:
        if not self.stack and self.root is not None:
            self._stop("xml.syntax", start, "There is a second root element.", "Put all sections into one <root>.")
        elif self.count > MAX_ELEMENTS:
            self._stop("xml.too_large", start, f"There are more than {MAX_ELEMENTS} elements.", "Remove some.")
        else:
            self._stop("xml.too_deep", start, f"Elements are nested deeper than {MAX_DEPTH}.", "Remove levels.")

    def _close(self, token: re.Match[bytes], start: int) -> None:
        first, last = token.span(_CLOSE)
        raw = self.data[first:last]
        names = self.open_names
        if not names or names[-1] != raw:
            shown = _shown(self.source.encoded.decode(raw))
            if raw not in names:
                self._problem("xml.syntax", start, f"</{shown}> closes nothing.", "Remove it.")
                return
            while names[-1] != raw:
                self._unclosed(f"before </{shown}>")
        names.pop()
        self.stack.pop().end_tag = self.data[start : self.at]
        self.end = self.at

    def _unclosed(self, where: str) -> None:
        element = self.stack.pop()
        self.open_names.pop()
        name = _shown(element.name)
        text = f"<{name}> is not closed {where}."
        self._problem("xml.unclosed", element.offset, text, f"Write </{name}> after its content.")

    def _finish(self) -> None:
        while self.stack:
            self._unclosed("before the end of the file")
        if self.root is None and not self.problems:
            self._problem("xml.empty", self.at, "There is no root element.", "A configuration begins with <root>.")

    def _skip_to_end(self, mark: bytes, start: int) -> None:
        if mark not in _OTHER:
            text = "A document type or entity definition is not allowed."
            self._stop("xml.doctype", start, text, "Remove <!DOCTYPE ...>.")
            return
        kind, closing = _OTHER[mark]
        end = self.masked.find(closing, self.at)
        if end < 0:
            text = f"What {mark.decode()} begins has no end."
            self._stop("xml.syntax", start, text, f"Write {closing.decode()} where it ends.")
            return
        self.at = end + len(closing)
        if self.stack:
            self.stack[-1].content.append(Piece(kind, self.data[start : self.at]))
        elif kind == "cdata":
            self._stop("xml.syntax", start, "There is text outside the root element.", "Remove it.")

    def _check_entities(self, start: int, end: int) -> None:
        for entity in _ENTITY.finditer(self.masked, start, end):
            if self.fatal:
                return
            shown = _shown(self.data[entity.start() : entity.end()].decode("utf-8", "replace"))
            self._problem(
                "xml.entity", entity.start(), f'"{shown}" is no known entity.', "Write &amp; for a single ampersand."
            )

    def _problem(self, code: str, offset: int, text: str, remedy: str) -> None:
        path = self.stack[-1].path if self.stack else ""
        self.problems.append(Problem(code, offset, text, remedy, path))
        self.fatal = self.fatal or len(self.problems) >= MAX_PROBLEMS

    def _stop(self, code: str, offset: int, text: str, remedy: str) -> None:
        self._problem(code, offset, text, remedy)
        self.fatal = True


def _shown(text: str) -> str:
    """For a sentence; a broken file may hold anything here."""
    return "".join(c if c.isprintable() else "?" for c in text[:60])
