"""The bitmap of a disk as a picture, drawn on the server, and in words: which parts differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from agent.wire.mirror import CELLS, size_text

COLUMNS = 64  # at most; all rows are as long
_SIZE = 10  # of a cell, in the picture's own units
_RUNS = 6  # places that the words name


def bitmap(cells: Sequence[int], dirty: int, size: int) -> dict[str, Any]:
    """`cells` as agent.wire.mirror.cells has them; none at all: nothing differs. One path for each level, so that the
    page has ten elements instead of hundreds."""
    shown = list(cells) or [0] * CELLS
    rows = -(-len(shown) // COLUMNS)
    columns = -(-len(shown) // rows)
    paths: dict[int, list[str]] = {}
    for row in range(rows):
        for level, first, count in _runs(shown[row * columns : (row + 1) * columns]):
            width = count * _SIZE
            paths.setdefault(level, []).append(f"M{first * _SIZE} {row * _SIZE}h{width}v{_SIZE}h-{width}z")
    return {
        "width": columns * _SIZE,
        "height": rows * _SIZE,
        "paths": [(level, "".join(parts)) for level, parts in sorted(paths.items())],
        "label": words(shown, dirty, size),
    }


def words(cells: Sequence[int], dirty: int, size: int) -> str:
    """How much differs, and where."""
    places = [(first, first + count) for level, first, count in _runs([min(one, 1) for one in cells]) if level]
    if not dirty and not places:
        return _("Nothing differs.")
    sizes = {"dirty": size_text(dirty), "size": size_text(size)}
    text = _("%(dirty)s of %(size)s differ") % sizes
    if not places:
        return f"{text}."
    percent = [f"{100 * first / len(cells):.1f}–{100 * stop / len(cells):.1f} %" for first, stop in places[:_RUNS]]
    where = _(", at %(places)s of the disk") % {"places": ", ".join(percent)}
    rest = len(places) - _RUNS
    more = ngettext(" and one more place", " and %(count)d more places", rest) % {"count": rest} if rest > 0 else ""
    return f"{text}{where}{more}."


def _runs(cells: Sequence[int]) -> list[tuple[int, int, int]]:
    """(level, first cell, how many) of neighbours that are alike."""
    found: list[tuple[int, int, int]] = []
    for at, level in enumerate(cells):
        if found and found[-1][0] == level:
            found[-1] = (level, found[-1][1], found[-1][2] + 1)
        else:
            found.append((level, at, 1))
    return found
