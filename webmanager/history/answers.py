"""What the page and the REST interface say of the past, as plain values."""

from __future__ import annotations

import math
import time
from typing import Any

from webmanager import heard
from webmanager.history import selectors
from webmanager.history.selectors import Span
from webmanager.models import Cluster

# A view of the time line: seconds, 0: all that was recorded.
SPANS = (900, 3600, 6 * 3600, 86400, 7 * 86400, 0)
SPAN = 3600
_LEAST_S = 60.0
_JUST_NOW_S = 15.0
# The recorder looks twice a second (recorder.LOOK_S).
_TAPED_WITHIN_S = 2.0
_LOOK_S = 0.1
LATEST = 4e9  # seconds since 1970: far ahead, and yet a date that every program can show


def state(*, cluster: Cluster, at: float | None, event: str = "") -> dict[str, Any] | None:
    """How the cluster was at a time, or when this event happened. None: there is no such event."""
    if event:
        at = _place(cluster, event)
        if at is None:
            return None
    elif at is not None:
        event = selectors.event_at(cluster=cluster, at=at)
        found = selectors.place_of(cluster=cluster, note_id=event) if event else None
        at = found.at if found else at
    known = selectors.recorded(cluster=cluster)
    if at is None:
        at = known.end if known else time.time()
    # What was published since the newest writing is not on the tape yet.
    reached = min(at, known.end) if known and at - known.end < _JUST_NOW_S else at
    past = selectors.state_at(cluster=cluster, at=reached)
    older, newer = selectors.neighbours(cluster=cluster, at=at, note_id=event)
    return {
        "at": at, "event": event, "recorded": past.recorded, "since": past.since, "status": past.status,
        "agents": past.agents, "told": past.told, "events": past.events, "gap": past.gap and span(past.gap),
        "previous": older, "next": newer, "range": known and span(known),
    }  # fmt: skip


def _place(cluster: Cluster, event: str) -> float | None:
    """Of an event that has just been shown: event and state are written by two hands, both a moment later."""
    if heard.missing(cluster=cluster, ids=[event]):
        return None
    begun = time.monotonic()
    while found := selectors.place_of(cluster=cluster, note_id=event):
        is_fresh = abs(time.time() - found.at) < _TAPED_WITHIN_S
        if found.taped or not is_fresh or time.monotonic() - begun > _TAPED_WITHIN_S:
            return found.at
        time.sleep(_LOOK_S)
    return None


def span(found: Span) -> dict[str, float | None]:
    """`end` None: it goes on."""
    return {"begin": found.begin, "end": None if math.isinf(found.end) else found.end}


def changes(*, cluster: Cluster, after: float, until: float, limit: int) -> dict[str, Any]:
    page = selectors.changes(cluster=cluster, after=after, until=until, limit=limit)
    return {
        "changes": [step._asdict() for step in page.steps], "events": page.events,
        "gaps": [span(gap) for gap in page.gaps], "until": page.until, "more": page.more,
    }  # fmt: skip


def line(*, cluster: Cluster, begin: float, end: float) -> dict[str, Any]:
    """What stands on the time line between two times."""
    known = selectors.recorded(cluster=cluster)
    return {
        "begin": begin, "end": end, "range": known and span(known),
        "marks": selectors.marks(cluster=cluster, begin=begin, end=end),
        "gaps": [span(gap) for gap in selectors.gaps_between(cluster=cluster, begin=begin, end=end)],
    }  # fmt: skip


def window(*, at: float, width: int, known: dict[str, float] | None) -> tuple[float, float]:
    """The part of the time line that is shown: `at` in the middle, unless less was recorded on one side of it."""
    if known is None:
        return at - (width or SPAN), at
    first, last = min(known["begin"], at), max(known["end"], at)
    if not width or last - first <= width:
        return first, max(last, first + _LEAST_S)
    begin = min(max(at - width / 2, first), last - width)
    return begin, begin + width


def seconds(text: str) -> float | None:
    """A number of seconds since 1970; None when it is none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value <= LATEST and text.isascii() else None
