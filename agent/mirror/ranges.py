"""Many grains as few ranges, for a hello."""

from __future__ import annotations

from collections.abc import Iterable

MOST_RANGES = 4096


def ranges_of(grains: Iterable[int], most: int = MOST_RANGES) -> tuple[tuple[int, int], ...]:
    """First grain and the one after the last. Beyond `most` they are drawn together over gaps: too much is right."""
    found: list[tuple[int, int]] = []
    for grain in sorted(set(grains)):
        if found and grain <= found[-1][1]:
            found[-1] = (found[-1][0], grain + 1)
        else:
            found.append((grain, grain + 1))
    gap = 2
    while len(found) > most:
        found, gap = _joined(found, gap), gap * 2
    return tuple(found)


def _joined(ranges: list[tuple[int, int]], gap: int) -> list[tuple[int, int]]:
    joined = ranges[:1]
    for first, stop in ranges[1:]:
        if first - joined[-1][1] <= gap:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((first, stop))
    return joined
