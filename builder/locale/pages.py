"""Keeps the Japanese of the Builder's own pages: templates, messages, and the sentences of a plan.

`python -m builder.locale.pages` names what lacks a translation; vocabulary compiles them into the builder's catalogue.
"""

from __future__ import annotations

import sys
from pathlib import Path

from agent.clpconf import plan
from builder.locale.gaps import told
from webmanager.locale.catalogue import read, read_po, texts_of

ROOT = Path(__file__).parents[2]
PO = Path(__file__).parent / "ja" / "LC_MESSAGES" / "pages.po"


def wanted() -> list[str]:
    """Every text that the console's catalogue does not have."""
    modules = [file for file in sorted((ROOT / "builder").rglob("*.py")) if "locale" not in file.parts]
    texts = texts_of(sorted((ROOT / "templates" / "builder").rglob("*.html")), modules)
    texts += [
        *plan.MONITOR_LINES.values(),
        *plan.GROUP_LINES.values(),
        plan.STOP_LINE,
        plan.SUSPEND_LINE,
        plan.NOTED_LINE,
        plan.NOTHING_LINE,
    ]
    shared = read("django")
    return [text for text in dict.fromkeys(texts) if text not in shared]


def main() -> int:
    return told(PO.name, wanted(), read_po(PO))


if __name__ == "__main__":
    sys.exit(main())
