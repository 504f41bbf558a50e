"""Reads the event log: a page of it, what is new, what an event follows from and what followed from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.db.models import Q, QuerySet

from webmanager.models import Cluster, Event
from webmanager.overview import filters
from webmanager.overview.filters import Filter, shown
from webmanager.selectors import acknowledgement

PAGE = 100
ROWS_MOST = 200  # what one look for news brings
CHAIN_MOST = 200
_DEPTH = 24
_EFFECTS_WITHIN_S = 600.0
_EFFECTS_LOOKED_AT = 2000
Note = dict[str, Any]


def page(cluster: Cluster, wanted: Filter, before: str = "", size: int = PAGE) -> tuple[list[Note], str]:
    """(newest first, cursor of the next page or "")."""
    found = list(_older(filters.events(cluster, wanted), before).order_by("-time", "-note_id")[: size + 1])
    rows = [shown(event) for event in found[:size]]
    # By the row's own columns: the note itself may have been told with another time by an older release.
    return rows, f"{found[size - 1].time!r}~{found[size - 1].note_id}" if len(found) > size else ""


def _older(found: QuerySet[Event], before: str) -> QuerySet[Event]:
    if not before:
        return found
    time, _, note_id = before.partition("~")
    try:
        return found.filter(Q(time__lt=float(time)) | Q(time=float(time), note_id__lt=note_id))
    except ValueError:
        return found.none()


def newest(cluster: Cluster) -> int:
    """The number of the event that came last, 0 when there is none."""
    return Event.objects.filter(cluster=cluster).order_by("-id").values_list("id", flat=True).first() or 0


def after(cluster: Cluster, wanted: Filter, number: int) -> list[Note]:
    """What arrived after that one, the newest ROWS_MOST, newest first."""
    found = filters.events(cluster, wanted).filter(pk__gt=number).order_by("-time", "-note_id")
    return [shown(event) for event in found[:ROWS_MOST]]


def count_open(cluster: Cluster, wanted: Filter, seen: int) -> int:
    return filters.unacknowledged(filters.events(cluster, wanted).filter(pk__lte=seen)).count()


def acknowledgements(cluster: Cluster, numbers: Iterable[int]) -> dict[str, Any]:
    """number -> who acknowledged it; those that nobody did are left out."""
    found = Event.objects.filter(cluster=cluster, pk__in=list(numbers)[:ROWS_MOST]).exclude(acked_at=None)
    return {str(event.pk): acknowledgement(event) for event in found}


def chain(cluster: Cluster, event: Event) -> list[dict[str, Any]]:
    """What it follows from, as a tree laid out: {"note", "depth"}, the event itself first. Each note once."""
    known = {event.note_id: event}
    missing = set(event.note["causes"])
    for _ in range(_DEPTH):
        if not missing or len(known) >= CHAIN_MOST:
            break
        asked = list(missing)[:CHAIN_MOST]
        new = {one.note_id: one for one in Event.objects.filter(cluster=cluster, note_id__in=asked)}
        known |= new
        missing = {cause for one in new.values() for cause in one.note["causes"]} - known.keys()
    return list(_laid_out(event.note_id, known))


def _laid_out(first: str, known: dict[str, Event]) -> Iterator[dict[str, Any]]:
    told: set[str] = set()
    stack = [(first, 0)]
    while stack:
        name, depth = stack.pop()
        if name in told or name not in known:
            continue
        told.add(name)
        yield {"note": shown(known[name]), "depth": depth}
        stack += [(cause, depth + 1) for cause in reversed(known[name].note["causes"])]


def effects(cluster: Cluster, event: Event) -> list[Note]:
    """What followed from it within ten minutes, oldest first."""
    later = Event.objects.filter(cluster=cluster, time__gte=event.time, time__lte=event.time + _EFFECTS_WITHIN_S)
    because = {event.note_id}
    found = []
    for one in later.order_by("time", "note_id")[:_EFFECTS_LOOKED_AT]:
        if one.note_id != event.note_id and because.intersection(one.note["causes"]):
            because.add(one.note_id)
            found.append(shown(one))
    return found[:CHAIN_MOST]
