"""Reads what was recorded: never more than one tape and one page at a time."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from django.db.models import Q, QuerySet

from agent.wire.status import KINDS as OBJECTS
from agent.wire.status import Change, Status, diff
from webmanager.history import tape
from webmanager.history.marks import CODES, KINDS, mark_of
from webmanager.history.models import Tape
from webmanager.history.stretches import Stretch, stretches, telling
from webmanager.history.tape import Agents, Frame
from webmanager.models import Cluster, Event

log = logging.getLogger(__name__)

# Between two tapes; what is shorter is the way from one to the next.
GAP_S = 2.0
EVENTS_SHOWN = 200
MARKS_MOST = 400
GAPS_MOST = 200
_EVENTS_READ = 20_000
_EVENTS_A_PAGE = 5_000
# A page reads no more, however little has changed in them, and shows no more objects.
_TAPES_A_PAGE = 24
_OBJECTS_A_PAGE = 2_000
_TAPES_READ = 50_000
# How long before a state an event may have happened with which it came.
_AROUND_S = 10.0
_SAME_S = 1e-6
# So many tapes may have begun since one that still goes on.
_WRITERS_MOST = 8
_MARKED = [code for codes in CODES.values() for code in codes]
Note = dict[str, Any]
EMPTY: Status = {"cluster": None, **{kind: {} for kind in OBJECTS}}


class Span(NamedTuple):
    begin: float
    end: float


class Past(NamedTuple):
    """How a cluster was at a time. `recorded` False: it is the newest that was known before."""

    at: float
    recorded: bool
    since: float  # the state's own time
    status: Status | None
    agents: Agents
    told: dict[str, float]  # server -> when its entry changed last, on this tape
    events: list[dict[str, Any]]  # up to then, oldest first
    gap: Span | None  # the time around `at` that was not recorded


class Step(NamedTuple):
    at: float
    changes: list[Change]
    agents: Agents | None
    events: list[str]


class Page(NamedTuple):
    steps: list[Step]
    events: list[dict[str, Any]]
    gaps: list[Span]
    until: float  # how far it reaches: ask again from there
    more: bool


def recorded(*, cluster: Cluster) -> Span | None:
    """From the first to the newest recorded instant."""
    rows = Tape.objects.filter(cluster=cluster)
    begin = rows.order_by("began").values_list("began", flat=True).first()
    # Of two writers the one that began first may be the later one to end.
    ends = rows.order_by("-began").values_list("ended", flat=True)[:_WRITERS_MOST]
    return None if begin is None else Span(begin, max(ends))


def _tapes(cluster: Cluster) -> QuerySet[Tape]:
    return Tape.objects.filter(cluster=cluster).defer("data")


def _begun(cluster: Cluster, at: float) -> list[Tape]:
    """Those that may say how it was then."""
    rows = _tapes(cluster).filter(began__lte=at).order_by("-began", "-id")
    return list(reversed(rows[:_WRITERS_MOST]))


def _covering(cluster: Cluster, at: float) -> Tape | None:
    return telling(_begun(cluster, at), at)


def _frames(row: Tape) -> Iterator[Frame]:
    """What of it can be read: damage is told in the log, and is a time that was not recorded."""
    try:
        yield from tape.read(_data(row))
    except tape.TapeError as error:
        log.error("states of %s from %f to %f: %s", row.cluster_id, row.began, row.ended, error)


def _data(row: Tape) -> Iterator[bytes]:
    """Whoever reads while the writer closes the tape finds the pieces gone and all of it in its place."""
    pieces = [bytes(piece) for piece in row.pieces.values_list("data", flat=True)] if not row.closed else []
    if not pieces:
        pieces = [bytes(data) for data in Tape.objects.filter(pk=row.pk).values_list("data", flat=True)]
    yield from pieces


def state_at(*, cluster: Cluster, at: float) -> Past:
    row = _covering(cluster, at)
    events = events_before(cluster=cluster, at=at)
    if row is None:
        first = _tapes(cluster).order_by("began").first()
        gap = Span(0.0, first.began) if first else None
        return Past(at, False, 0.0, None, {}, {}, events, gap)
    frame, told = _frame_at(row, at)
    if frame.status is EMPTY:
        return Past(at, False, 0.0, None, {}, {}, events, Span(row.began, row.ended))
    gap = _gap_around(cluster, row, at) if at > row.ended else None
    return Past(at, gap is None, frame.at, frame.status, frame.agents, told, events, gap)


def _frame_at(row: Tape, at: float) -> tuple[Frame, dict[str, float]]:
    found = Frame(row.began, EMPTY, [], {}, [])
    told: dict[str, float] = {}
    for frame in _frames(row):
        if frame.at > at and found.status is not EMPTY:
            break
        found = frame
        told |= {name: frame.at for kind, name, _ in frame.changes if kind == "servers"}
    return found, {name: told.get(name, row.began) for name in found.status["servers"]}


def _gap_around(cluster: Cluster, row: Tape, at: float) -> Span | None:
    following = _tapes(cluster).filter(began__gt=at).order_by("began", "id").first()
    if following is None:
        return Span(row.ended, float("inf"))
    return Span(row.ended, following.began) if following.began - row.ended > GAP_S else None


# Events.


def events_before(*, cluster: Cluster, at: float, limit: int = EVENTS_SHOWN) -> list[dict[str, Any]]:
    found = Event.objects.filter(cluster=cluster, time__lte=at).order_by("-time", "-note_id")
    return list(reversed(found.values_list("note", flat=True)[:limit]))


def events_between(*, cluster: Cluster, after: float, until: float, limit: int) -> list[dict[str, Any]]:
    found = Event.objects.filter(cluster=cluster, time__gt=after, time__lte=until).order_by("time", "note_id")
    return list(found.values_list("note", flat=True)[:limit])


class Place(NamedTuple):
    at: float
    taped: bool  # the state that came with the event was found


def place_of(*, cluster: Cluster, note_id: str) -> Place | None:
    """Where to look to see what an event did: the state that came with it, else when it happened."""
    event = Event.objects.filter(cluster=cluster, note_id=note_id).only("time").first()
    if event is None:
        return None
    for row in _tapes(cluster).filter(began__lte=event.time + _AROUND_S, ended__gte=event.time).order_by("began")[:3]:
        for frame in _frames(row):
            if frame.at > event.time + _AROUND_S:
                break
            if note_id in frame.events:
                return Place(max(frame.at, event.time), True)
    return Place(event.time, False)


def event_at(*, cluster: Cluster, at: float) -> str:
    """The event of exactly that time, the last one of several; "" without one: who asks for its time means it."""
    found = Event.objects.filter(cluster=cluster, time__gte=at - _SAME_S, time__lte=at + _SAME_S)
    return found.order_by("-time", "-note_id").values_list("note_id", flat=True).first() or ""


def neighbours(
    *, cluster: Cluster, at: float, note_id: str = ""
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """The events before and after a time, or before and after an event."""
    known = Event.objects.filter(cluster=cluster)
    event = known.filter(note_id=note_id).only("time", "note_id").first() if note_id else None
    if event is not None:
        before = Q(time__lt=event.time) | Q(time=event.time, note_id__lt=event.note_id)
        after = Q(time__gt=event.time) | Q(time=event.time, note_id__gt=event.note_id)
    else:
        before, after = Q(time__lt=at), Q(time__gt=at)
    older = known.filter(before).order_by("-time", "-note_id").values_list("note", flat=True).first()
    newer = known.filter(after).order_by("time", "note_id").values_list("note", flat=True).first()
    return older, newer


# Ranges.


def changes(*, cluster: Cluster, after: float, until: float, limit: int) -> Page:
    """What changed after a time, at most `limit` steps; tapes are read one after the other until that is reached."""
    ahead = _tapes(cluster).filter(began__gt=after, began__lte=until).order_by("began", "id")[: _TAPES_A_PAGE + 1]
    rows = [*_begun(cluster, after), *ahead]
    more = len(ahead) > _TAPES_A_PAGE
    last = math.nextafter(rows[-1].began, 0.0) if more else until
    told = _Told(after, limit)
    for stretch in stretches(rows, after, last):
        if not told.take(stretch):
            return _page(cluster, told, after, told.steps[-1].at, more=True)
    return _page(cluster, told, after, last, more=more)


class _Told:
    """The steps of a page as they are found."""

    def __init__(self, after: float, limit: int) -> None:
        self.after = after
        self.steps: list[Step] = []
        self.gaps: list[Span] = []
        self._left = limit
        self._objects_left = _OBJECTS_A_PAGE
        self._status, self._agents = EMPTY, dict[str, bool]()
        self._since = self._ended = 0.0
        self._events = set[str]()

    def take(self, stretch: Stretch[Tape]) -> bool:
        """What one tape tells of it. False: the page is full."""
        row = stretch.tape
        if self._ended and row.began - self._ended > GAP_S and row.began > self.after:
            self.gaps.append(Span(self._ended, row.began))
        for frame in self._frames(stretch):
            if frame.at > self.after:
                step = self._step(frame)
                if step.changes or step.agents is not None or step.events:
                    if self._left <= 0 or self._objects_left <= 0:
                        return False
                    self.steps.append(step)
                    self._left -= 1
                    self._objects_left -= len(step.changes)
            self._status, self._agents = frame.status, frame.agents
            self._events.update(frame.events)
        self._since, self._ended = stretch.since, max(self._ended, row.ended)
        return True

    def _frames(self, stretch: Stretch[Tape]) -> Iterator[Frame]:
        """A tape that outlived another one first says all at once what that one did not."""
        entered: Frame | None = None
        late: list[str] = []
        for frame in _frames(stretch.tape):
            if frame.at > stretch.until:
                break
            if stretch.again and frame.at < stretch.since:
                entered = frame
                late += [key for key in frame.events if frame.at > self._since and key not in self._events]
                continue
            if entered is not None:
                yield entered._replace(at=stretch.since, changes=[], events=late)
                entered = None
            yield frame
        if entered is not None:
            yield entered._replace(at=stretch.since, changes=[], events=late)

    def _step(self, frame: Frame) -> Step:
        """From one tape to the next it is what differs."""
        first = not frame.changes and frame.status is not self._status
        changes = diff(self._status, frame.status, ages=False) if first else frame.changes
        return Step(frame.at, changes, frame.agents if frame.agents != self._agents else None, frame.events)


def _page(cluster: Cluster, told: _Told, after: float, until: float, *, more: bool) -> Page:
    events = events_between(cluster=cluster, after=after, until=until, limit=_EVENTS_A_PAGE)
    return Page(told.steps, events, told.gaps, until, more)


def gaps_between(*, cluster: Cluster, begin: float, end: float) -> list[Span]:
    """What was not recorded, the longest ones when they are many."""
    rows = _tapes(cluster).filter(began__gt=begin, began__lte=end).order_by("began", "id")
    known = [(one.began, one.ended) for one in _begun(cluster, begin)]
    reached, found = begin, []
    for began, ended in (*known, *rows.values_list("began", "ended")[:_TAPES_READ]):
        if began - reached > GAP_S:
            found.append(Span(reached, began))
        reached = max(reached, ended)
    if end - reached > GAP_S:
        found.append(Span(reached, end))
    longest = sorted(found, key=lambda one: one.begin - one.end)[:GAPS_MOST]
    return sorted(longest)


def marks(*, cluster: Cluster, begin: float, end: float, most: int = MARKS_MOST) -> list[dict[str, Any]]:
    """Events worth a mark, oldest first; where they stand closer than can be seen, the worst of them and how many."""
    found = Event.objects.filter(cluster=cluster, time__gte=begin, time__lte=end)
    found = found.filter(Q(code__in=_MARKED) | Q(severity="error")).order_by("time", "note_id")
    rows = found.values_list("time", "note_id", "code", "severity")[:_EVENTS_READ]
    width = max((end - begin) / most, 1e-3)
    kept: dict[int, dict[str, Any]] = {}
    for time, note_id, code, severity in rows:
        kind = mark_of(code, severity)
        slot = int((time - begin) / width)
        known = kept.get(slot)
        if known is None or KINDS.index(kind) < KINDS.index(known["kind"]):
            kept[slot] = {"at": time, "kind": kind, "id": note_id, "count": 1}
        if known is not None:
            kept[slot]["count"] = known["count"] + 1
    return _worded(cluster, list(kept.values()))


def _worded(cluster: Cluster, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    wanted = [one["id"] for one in found]
    notes = dict(Event.objects.filter(cluster=cluster, note_id__in=wanted).values_list("note_id", "note"))
    words = ("module", "event", "params", "text")
    return [{**one, **{key: notes[one["id"]][key] for key in words}} for one in found if one["id"] in notes]
