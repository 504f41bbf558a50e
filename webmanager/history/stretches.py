"""Which tape tells which time, where two processes recorded one cluster for a moment. Pure.

The tape that began last tells, as long as it goes on; an older one that outlives it tells from its end on. Where none
goes on, the newest state that was known lasts: the tape that ended last tells."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

# An open tape says each few seconds that it goes on; one that is so far behind another has lost its writer.
SILENT_S = 15.0


class Recorded(Protocol):
    """Of a tape: times in seconds since 1970; `ended` of an open one is what it has said last."""

    began: float
    ended: float
    closed: bool


T = TypeVar("T", bound=Recorded)


class Stretch(NamedTuple, Generic[T]):
    """`tape` tells from `since` to `until`; `again`: it had been told before by one that is over now, so that what
    differs between the two has to be told just after `since`."""

    tape: T
    since: float
    until: float
    again: bool


def stretches(tapes: Sequence[T], after: float, until: float) -> Iterator[Stretch[T]]:
    """In order of time, without a seam. `tapes` are ordered by `began`, and have all that may tell in this time."""
    ends = _ends(tapes)
    since, again = after, False
    now = _telling(tapes, ends, since)
    while now is None or since <= until:
        if now is None:
            ahead = [one for one in tapes if since < one.began <= until]
            if not ahead:
                return
            since, now = ahead[0].began, _telling(tapes, ends, ahead[0].began)
            continue
        place, end = now, ends[now]
        begins = min((one.began for one in tapes if one.began > since), default=math.inf)
        outlived = end < begins and any(one.began <= end < ends[n] for n, one in enumerate(tapes) if n != place)
        edge = end if outlived else begins
        yield Stretch(tapes[place], since, min(edge, until), again)
        since, again = (math.nextafter(edge, math.inf), True) if outlived else (edge, False)
        now = _telling(tapes, ends, since) if since < math.inf else place


def telling(tapes: Sequence[T], at: float) -> T | None:
    """The tape that says how it was then."""
    place = _telling(tapes, _ends(tapes), at)
    return None if place is None else tapes[place]


def _ends(tapes: Sequence[T]) -> list[float]:
    newest = max((one.ended for one in tapes), default=0.0)
    return [one.ended if one.closed or one.ended < newest - SILENT_S else math.inf for one in tapes]


def _telling(tapes: Sequence[T], ends: list[float], at: float) -> int | None:
    begun = [n for n, one in enumerate(tapes) if one.began <= at]
    going_on = [n for n in begun if at <= ends[n]]
    return max(going_on) if going_on else max(begun, key=lambda n: (ends[n], n), default=None)
