"""Keeps the Japanese of what reading, loading and editing a configuration can refuse or find.

These findings come with their values filled in (only those of the rules keep the words apart, `Finding.said`). A
sentence with values is known by its pattern: "{} watches {}" is looked up with what stands in the braces.
`python -m builder.locale.sentences` names what lacks a translation; vocabulary compiles them into the catalogue.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path

from builder.locale.gaps import told
from webmanager.locale import patterns
from webmanager.locale.catalogue import read_po

ROOT = Path(__file__).parents[2]
PO = Path(__file__).parent / "ja" / "LC_MESSAGES" / "sentences.po"
_FILES = ("alerts", "archive", "convert", "document", "edit", "edit_parts", "edit_values", "editing", "encoding",
          "entry", "fences", "groups", "load", "monitors", "removal", "servers", "tokenizer")  # fmt: skip

# Values that are words themselves.
_PHRASES = ("before the end of the file", "before </{0}>", "before", "after")


def wanted() -> list[str]:
    found = (text for name in _FILES for text in patterns.sentences_of(ROOT / "agent" / "clpconf" / f"{name}.py"))
    return [*dict.fromkeys(found), *_PHRASES]


@functools.cache
def _known() -> list[patterns.Known]:
    return patterns.with_values(read_po(PO))


def parted(text: str) -> tuple[str, tuple[str, ...]]:
    """(the sentence as it is translated, its values); the text itself where none is known."""
    return patterns.parted(text, _known())


def main() -> int:
    return told(PO.name, wanted(), read_po(PO) if PO.exists() else {})


if __name__ == "__main__":
    sys.exit(main())
