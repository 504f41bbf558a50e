"""Names the texts of a catalogue that nobody has translated."""

from __future__ import annotations

import sys
from collections.abc import Container, Iterable


def told(name: str, wanted: Iterable[str], known: Container[str]) -> int:
    """Writes a line for each gap to standard error; returns the exit code, 1 when there is one."""
    missing = [text for text in wanted if text not in known]
    sys.stderr.writelines(f"{name}: no translation of {text!r}\n" for text in missing)
    return 1 if missing else 0
