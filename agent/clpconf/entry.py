"""One object of clp.conf as flat paths, and the findings made while reading it."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from typing import Any, TypeVar, cast

import msgspec

from agent.clpconf.element import Element
from agent.clpconf.findings import Finding, Severity
from agent.clpconf.kinds import Kind, is_placeholder
from agent.clpconf.schema import Param, TypeSpec, bad_value, pattern_of

_T = TypeVar("_T")
# Names become parts of file names (scripts/GROUP/RESOURCE) and words of commands.
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}")


class Entry:
    """`leaves`: path below the object -> element. The order of siblings carries no meaning; of two the first wins."""

    def __init__(self, element: Element, findings: list[Finding], apart: frozenset[str] = frozenset()) -> None:
        """Children named in `apart` are not flattened: the caller reads them itself."""
        self.element = element
        self.findings = findings
        self.leaves: dict[str, Element] = {}
        self._flatten(element, "", apart)

    @property
    def name(self) -> str:
        return self.element.attributes.get("name", "")

    def text(self, path: str) -> str:
        leaf = self.leaves.get(path)
        return leaf.value if leaf is not None else ""

    def read(self, path: str, kind: Kind, default: _T) -> _T:
        """The value at `path`, of the type that `kind` makes; `default` when it is missing or bad (a finding then)."""
        text = self.text(path)
        if not text:
            return default
        try:
            return cast(_T, kind.parse(text))
        except ValueError as error:
            leaf = self.leaves[path]
            self.findings.append(placed(bad_value(leaf.path, text, kind, error), leaf))
            return default

    def get(self, param: Param) -> Any:
        """The value of a declared parameter; its default when it is missing or bad (a finding then)."""
        return self.read(param.path, param.kind, param.default)

    def values(self, common: Container[str]) -> dict[str, str]:
        """What is stated beyond the paths that every object of this kind has ("polling/servers@*/name")."""
        return {
            path: text
            for path, leaf in self.leaves.items()
            if path not in common and pattern_of(path) not in common and (text := leaf.value)
        }

    def find(self, code: str, severity: Severity, text: str, remedy: str = "", path: str = "") -> None:
        """A finding at the leaf `path`, or at the object when there is no such leaf."""
        leaf = self.leaves.get(path, self.element)
        where = leaf.path if leaf is not self.element or not path else f"{self.element.path}/{path}"
        self.findings.append(Finding(code, severity, where, text, remedy, leaf.line, leaf.column))

    def check(self, spec: TypeSpec, values: Mapping[str, str]) -> Iterator[Finding]:
        """The type's findings about `values` of this object, each with its place in the file.

        Common paths count as well where the type declares them (the device of a heartbeat).
        """
        base = self.element.path
        declared = {param.path: self.text(param.path) for param in spec.params if param.path in self.leaves}
        for finding in spec.check(base, {**declared, **values}):
            yield placed(finding, self.leaves.get(finding.path[len(base) + 1 :], self.element))

    def _flatten(self, element: Element, prefix: str, apart: frozenset[str]) -> None:
        for child in element.children:
            if not prefix and child.name in apart:
                continue
            identity = child.identity
            path = prefix + (child.name if identity is None else f"{child.name}@{identity}")
            if child.children:
                self._flatten(child, path + "/", apart)
            elif path not in self.leaves:
                self.leaves[path] = child
            elif child.value != self.leaves[path].value:
                text = f"This stands here twice; line {self.leaves[path].line} counts."
                finding = Finding("value.duplicate", "warning", child.path, text, "Remove one of the two.")
                self.findings.append(placed(finding, child))


def placed(finding: Finding, element: Element) -> Finding:
    return msgspec.structs.replace(finding, line=element.line, column=element.column)


def instances(root: Element, section: str, findings: list[Finding]) -> Iterator[Element]:
    """The objects of a section (resource, monitor, heartbeat ...); one without a usable name is left out."""
    for part in root.named(section):
        for element in part.children:
            if element.name != "types" and has_name(element, findings):
                yield element


def has_name(element: Element, findings: list[Finding]) -> bool:
    name = element.attributes.get("name", "")
    if NAME.fullmatch(name):
        return True
    code, text = "name.syntax", f'"{name[:60]}" cannot be a name.'
    if not name:
        code, text = "name.missing", f"<{element.name}> has no name."
    elif is_placeholder(name):
        code, text = "value.placeholder", f'The name "{name[:60]}" is a placeholder that was never filled in.'
    remedy = "Write name=\"...\" with letters, digits, '_', '-' or '.', at most 63."
    findings.append(placed(Finding(code, "error", element.path, text, remedy), element))
    return False


def unique(elements: list[Element], what: str, findings: list[Finding]) -> list[Element]:
    """Without those whose name an earlier one has (an error each)."""
    first: dict[str, Element] = {}
    for element in elements:
        known = first.setdefault(element.attributes["name"], element)
        if known is not element:
            text = f'Another {what} has the name "{element.attributes["name"]}" (line {known.line}).'
            finding = Finding("name.duplicate", "error", element.path, text, "Give one of them another name.")
            findings.append(placed(finding, element))
    return list(first.values())
