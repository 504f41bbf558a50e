"""What nobody has acknowledged yet: each hub counts it as events come, and looks into the database when it changed.

Rules of this file
- The database holds the truth; a hub counts on with what it takes, and counts anew when an acknowledgement was made
  in any process (one query over a small table a second), and now and then because old events are removed.
- Whoever acknowledges tells his own hub at once; the others see it within a second.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError
from django.db.models import Count

from webmanager.ledger import in_db
from webmanager.models import Event
from webmanager.overview import filters
from webmanager.overview.models import Attention
from webmanager.reducer import encode
from webmanager.selectors import acknowledgement

if TYPE_CHECKING:
    from webmanager.hub import Hub

log = logging.getLogger(__name__)

LOOK_S = 1.0
RECOUNT_S = 600.0
_TRIES = 3


async def watch(there: Hub) -> None:
    known: dict[str, int] = {}
    counted: dict[str, float] = {}
    loop = asyncio.get_running_loop()
    while True:
        try:
            serials = await in_db(_serials)
            for name in tuple(there.rooms):
                old = loop.time() - counted.get(name, float("-inf")) > RECOUNT_S
                if old or known.get(name) != serials.get(name, 0):  # It has a row only when somebody acknowledged.
                    known[name], counted[name] = serials.get(name, 0), loop.time()
                    await refresh(there, name)
        except DatabaseError:
            log.exception("what is not acknowledged cannot be counted now")
        await asyncio.sleep(LOOK_S)


async def refresh(there: Hub, cluster: str) -> None:
    """Counts anew, and tells the browsers of this process what changed."""
    room = there.rooms.get(cluster)
    if room is None:
        return
    for _ in range(_TRIES):
        told = room.events_told
        ids = [event["id"] for event in room.reducer.events if event["severity"] != "info"]
        waiting = {event["id"]: event["severity"] for name, event in there.ledger.waiting if name == cluster}
        open_, acks = await in_db(_read, cluster, ids, waiting)
        if told == room.events_told:
            break  # Nothing came while it was counted.
    if (open_, acks) != (room.open, room.acks):
        room.open, room.acks = open_, acks
        room.tell(encode({"type": "acknowledged", "acknowledged": acks, "open": open_}))


def _serials() -> dict[str, int]:
    return dict(Attention.objects.values_list("cluster__name", "serial"))


def _read(cluster: str, ids: list[str], waiting: dict[str, str]) -> tuple[dict[str, int], dict[str, dict[str, Any]]]:
    """`waiting`: events that may not be stored yet, with their severity; nobody can have acknowledged those."""
    of = Event.objects.filter(cluster__name=cluster)
    counts = {"error": 0, "warning": 0}
    counts |= dict(filters.unacknowledged(of).order_by().values_list("severity").annotate(Count("pk")))
    stored = set(of.filter(note_id__in=list(waiting)).values_list("note_id", flat=True)) if waiting else set()
    for name, severity in waiting.items():
        if name not in stored and severity in counts:
            counts[severity] += 1
    acked = of.filter(note_id__in=ids).exclude(acked_at=None).only("note_id", "acked_at", "acked_by", "ack_comment")
    acks = {event.note_id: found for event in acked if (found := acknowledgement(event))}
    return counts, acks
