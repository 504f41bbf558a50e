"""Knows sentences with values by their pattern: finds them in Python sources, and takes one apart again.

A sentence that comes whole has its values in it already: "{0} watches {1}" is looked up with what stands in the braces.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

_MARK = re.compile(r"(\{\d\})")
_FAILURES = ("DriverError", "Health")
_TELLING = 8  # characters beside the values, at least
Known = tuple[re.Pattern[str], str]


def sentences_of(file: Path) -> Iterator[str]:
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


def details_of(file: Path) -> Iterator[str]:
    """What is said to have failed, in DriverError and Health: no sentences, since it stands behind the name of what it
    is about. Left out is what is little more than values, which would fit everything."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _FAILURES:
            for given in (*node.args, *(one.value for one in node.keywords)):
                text = _numbered(given) if isinstance(given, ast.JoinedStr) else getattr(given, "value", None)
                if isinstance(text, str) and len(_MARK.sub("", text)) >= _TELLING:
                    yield text


def _numbered(node: ast.JoinedStr) -> str:
    numbers = iter(range(len(node.values)))
    return "".join(
        str(part.value) if isinstance(part, ast.Constant) else f"{{{next(numbers)}}}" for part in node.values
    )


def with_values(texts: Iterable[str]) -> list[Known]:
    """Those with values, the most telling first."""
    known = [text for text in texts if _MARK.search(text)]
    known.sort(key=lambda text: -len(_MARK.sub("", text)))
    return [(_pattern(text), text) for text in known]


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile("".join("(.*)" if _MARK.fullmatch(part) else re.escape(part) for part in _MARK.split(text)))


def parted(text: str, known: Iterable[Known]) -> tuple[str, tuple[str, ...]]:
    """(the sentence as it is translated, its values); the text itself where none is known."""
    for pattern, template in known:
        if found := pattern.fullmatch(text):
            return template, found.groups()
    return text, ()
