"""clp.conf as a lossless document: what is not changed keeps every byte."""

from __future__ import annotations

from collections.abc import Mapping

from lxml import etree

from agent.clpconf import editing
from agent.clpconf.collection import without_collection
from agent.clpconf.element import Element, Source
from agent.clpconf.encoding import Encoded, EncodingError, decode
from agent.clpconf.findings import Finding
from agent.clpconf.tokenizer import Problem, tokenize

__all__ = ["MAX_BYTES", "Document", "DocumentError", "Element"]

MAX_BYTES = 16 * 1024 * 1024


class DocumentError(Exception):
    """The bytes are no document, or an edit would make none. Every finding names its place and the remedy."""

    def __init__(self, *findings: Finding) -> None:
        super().__init__("\n".join(str(finding) for finding in findings))
        self.findings = list(findings)


class Document:
    """A configuration file. Places (line, column) are those of the bytes that were read."""

    def __init__(self, source: Source, root: Element, before: bytes, after: bytes) -> None:
        self._source = source
        self._before = before
        self._after = after
        self.root = root

    @classmethod
    def read(cls, data: bytes) -> Document:
        """Raises DocumentError."""
        if len(data) > MAX_BYTES:
            raise _refused("xml.too_large", f"The file has {len(data)} bytes.", f"The limit is {MAX_BYTES} bytes.")
        if not data.strip():
            raise _refused("xml.empty", "The file is empty.", "A configuration begins with <root>.")
        try:
            encoded, text = decode(data)
        except EncodingError as error:
            raise DocumentError(_encoding_finding(data, error)) from error
        source = Source(encoded)
        with without_collection():
            tree = tokenize(source)
        if tree.root is None or tree.problems:
            raise DocumentError(*(_syntax_finding(source, problem) for problem in tree.problems))
        _check_well_formed(encoded, text)
        return cls(source, tree.root, data[: tree.start], data[tree.end :])

    def write(self) -> bytes:
        out = [self._before]
        self.root.write(out)
        out.append(self._after)
        return b"".join(out)

    @property
    def encoding(self) -> str:
        """As the file declares it, "" when it does not."""
        return self._source.encoded.declared

    def find(self, path: str) -> Element | None:
        """The element at "cluster/name" or "/root/cluster/name"."""
        below = self._below_root(path)
        return self.root.find(below) if below else self.root

    def set_text(self, target: str | Element, text: str) -> Element:
        """Gives an element its text; a path that does not exist yet is made. Raises DocumentError."""
        path = target if isinstance(target, str) else target.path
        try:
            editing.encoded_text(self.root, text)  # Refused before anything is made.
            element = editing.make(self.root, self._below_root(target)) if isinstance(target, str) else target
            editing.set_text(element, text)
        except EncodingError as error:
            raise DocumentError(Finding(error.code, "error", path, error.text, error.remedy)) from error
        return element

    def make_below(self, element: Element, path: str, text: str) -> Element:
        """The same for a path below an element. Raises DocumentError."""
        try:
            editing.encoded_text(self.root, text)
            leaf = editing.make(element, path)
            editing.set_text(leaf, text)
        except EncodingError as error:
            raise DocumentError(
                Finding(error.code, "error", f"{element.path}/{path}", error.text, error.remedy)
            ) from error
        return leaf

    def append(
        self,
        parent: Element,
        name: str,
        attributes: Mapping[str, str] | None = None,
        text: str = "",
        place: Element | None = None,
    ) -> Element:
        """A new child after `place` (the last one without it), indented like its surroundings. Raises DocumentError."""
        try:
            return editing.append(parent, name, attributes or {}, text, place)
        except EncodingError as error:
            raise DocumentError(Finding(error.code, "error", parent.path, error.text, error.remedy)) from error

    def set_attribute(self, element: Element, name: str, value: str) -> None:
        """Raises DocumentError."""
        try:
            editing.set_attribute(element, name, value)
        except EncodingError as error:
            raise DocumentError(Finding(error.code, "error", element.path, error.text, error.remedy)) from error

    def remove(self, element: Element) -> None:
        """Takes it out with its line; the root stays."""
        if element.parent is None:
            raise DocumentError(Finding("edit.root", "error", element.path, "The root element cannot be removed."))
        editing.remove(element)

    def _below_root(self, path: str) -> str:
        top = f"/{self.root.name}"
        return path[len(top) :].lstrip("/") if path == top or path.startswith(top + "/") else path


def _check_well_formed(encoded: Encoded, text: str) -> None:
    """Everything that XML asks for beyond nesting. The declaration is taken off: lxml reads UTF-8 here, and knows
    less encodings than we do; line feeds in its place keep the line numbers."""
    declaration = encoded.decode(encoded.data[encoded.start : encoded.body])
    plain = "\n" * declaration.count("\n") + text[len(declaration) :]
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    utf8 = plain.encode("utf-8", "surrogatepass")
    try:
        etree.fromstring(utf8, parser)
    except etree.XMLSyntaxError as error:
        line, column = error.position
        lines = utf8.split(b"\n")
        before = lines[line - 1][: max(column - 1, 0)] if 0 < line <= len(lines) else b""
        place = (line, len(before.decode("utf-8", "replace")) + 1)
        reason = " ".join((error.msg or "It is not well-formed XML").split("\n")[0].split())
        remedy = "Correct the XML at this place."
        raise DocumentError(Finding("xml.syntax", "error", "", f"{reason}.", remedy, *place)) from error


def _refused(code: str, text: str, remedy: str) -> DocumentError:
    return DocumentError(Finding(code, "error", "", text, remedy, 1, 1))


def _encoding_finding(data: bytes, error: EncodingError) -> Finding:
    """Its column counts bytes: there is no text to count."""
    before = data[: error.offset]
    line, column = before.count(b"\n") + 1, error.offset - (before.rfind(b"\n") + 1) + 1
    return Finding(error.code, "error", "", error.text, error.remedy, line, column)


def _syntax_finding(source: Source, problem: Problem) -> Finding:
    line, column = source.place(problem.offset)
    return Finding(problem.code, "error", problem.path, problem.text, problem.remedy, line, column)
