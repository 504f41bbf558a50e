"""Keeps the Japanese of the rules' sentences: each that a finding of agent.clpconf.rules or a live check can say.

`python -m builder.locale.rules` names what lacks a translation; vocabulary compiles them into the builder's catalogue.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from builder.locale.gaps import told
from webmanager.locale.catalogue import read_po

ROOT = Path(__file__).parents[2]
PO = Path(__file__).parent / "ja" / "LC_MESSAGES" / "rules.po"


def wanted() -> list[str]:
    files = [*sorted((ROOT / "agent/clpconf/rules").glob("*.py")), ROOT / "agent/wire/live.py"]
    return list(dict.fromkeys(text for file in files for text in _sentences(ast.parse(file.read_text("utf-8")))))


def _sentences(tree: ast.Module) -> Iterator[str]:
    """Every string that is a sentence and no docstring."""
    documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in documents and _is_sentence(node.value):
            yield str(node.value)


def _is_sentence(value: object) -> bool:
    return isinstance(value, str) and " " in value and value.endswith((".", "?")) and not value.startswith(".")


def main() -> int:
    return told(PO.name, wanted(), read_po(PO))


if __name__ == "__main__":
    sys.exit(main())
