"""Keeps the Japanese of what reading, loading and editing a configuration can refuse or find.

These findings come with their values filled in (only those of the rules keep the words apart, `Finding.said`). A
sentence with values is known by its pattern: "{} watches {}" is looked up with what stands in the braces.
`python -m builder.locale.sentences` names what lacks a translation; vocabulary compiles them into the catalogue.
"""

from __future__ import annotations

import ast
import functools
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from builder.locale.gaps import told
from webmanager.locale.catalogue import read_po

ROOT = Path(__file__).parents[2]
PO = Path(__file__).parent / "ja" / "LC_MESSAGES" / "sentences.po"
_FILES = ("alerts", "archive", "convert", "document", "edit", "edit_parts", "edit_values", "editing", "encoding",
          "entry", "fences", "groups", "load", "monitors", "removal", "servers", "tokenizer")  # fmt: skip

# Values that are words themselves.
_PHRASES = ("before the end of the file", "before </{0}>", "before", "after")


def wanted() -> list[str]:
    found = (text for name in _FILES for text in _sentences(ROOT / "agent" / "clpconf" / f"{name}.py"))
    return [*dict.fromkeys(found), *_PHRASES]


def _sentences(file: Path) -> Iterator[str]:
    """Each with {0}, {1} ... for its values; no docstring."""
    tree = ast.parse(file.read_text("utf-8"))
    apart = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    apart |= {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            text = _numbered(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in apart:
            text = node.value
        else:
            continue
        if " " in text and text.endswith((".", "?")):
            yield text


def _numbered(node: ast.JoinedStr) -> str:
    numbers = iter(range(len(node.values)))
    return "".join(
        str(part.value) if isinstance(part, ast.Constant) else f"{{{next(numbers)}}}" for part in node.values
    )


@functools.cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    """Those with values, the most telling first."""
    known = [text for text in read_po(PO) if re.search(r"\{\d\}", text)]
    known.sort(key=lambda text: -len(re.sub(r"\{\d\}", "", text)))
    return [(_pattern(text), text) for text in known]


def _pattern(text: str) -> re.Pattern[str]:
    parts = re.split(r"(\{\d\})", text)
    return re.compile("".join("(.*)" if part[:1] == "{" and part[1:2].isdigit() else re.escape(part) for part in parts))


def parted(text: str) -> tuple[str, tuple[str, ...]]:
    """(the sentence as it is translated, its values); the text itself where none is known."""
    for pattern, template in _patterns():
        if found := pattern.fullmatch(text):
            return template, found.groups()
    return text, ()


def main() -> int:
    return told(PO.name, wanted(), read_po(PO) if PO.exists() else {})


if __name__ == "__main__":
    sys.exit(main())
