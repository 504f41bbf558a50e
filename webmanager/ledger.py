"""The slow path to the database: events in bulk, off the hot path, each once."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from channels.db import database_sync_to_async
from django.db import DatabaseError, transaction

from webmanager.models import Cluster, Event
from webmanager.reducer import EVENTS_SHOWN

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
_INTERVAL_S = 0.2
_BATCH = 500
_WAITING_LIMIT = 20_000


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(2, thread_name_prefix="ledger")


async def in_db(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs `work` in a database thread of ours, which no request blocks."""
    return await database_sync_to_async(work, thread_sensitive=False, executor=_threads())(*args, **kwargs)


def load_clusters() -> list[tuple[str, bytes, list[dict[str, Any]]]]:
    """(name, clp.conf, newest events oldest first) of every cluster."""
    found = []
    for cluster in Cluster.objects.all():
        newest = cluster.events.order_by("-time", "-note_id").values_list("note", flat=True)[:EVENTS_SHOWN]
        found.append((cluster.name, bytes(cluster.config), list(reversed(newest))))
    return found


@transaction.atomic
def store(cluster: str, events: list[dict[str, Any]]) -> None:
    """Twice the same note is stored once: several agents bring it, and each reconnection repeats the newest.

    One process at a time for each cluster: a lower id must not appear after a higher one, or who reads by cursor would
    miss it."""
    owner = Cluster.objects.select_for_update(no_key=True).defer("config").filter(name=cluster).first()
    if owner is None:
        return
    rows = [
        Event(
            cluster=owner,
            note_id=note["id"],
            time=note["time"],
            severity=note["severity"],
            kind=note["kind"],
            name=note["name"],
            text=note["text"],
            note=note,
        )
        for note in events
    ]
    Event.objects.bulk_create(rows, ignore_conflicts=True, batch_size=_BATCH)


class Ledger:
    def __init__(self) -> None:
        self._waiting: deque[tuple[str, dict[str, Any]]] = deque()
        self._writing = asyncio.Lock()

    def put(self, cluster: str, events: list[dict[str, Any]]) -> None:
        self._waiting.extend((cluster, event) for event in events)
        if len(self._waiting) > _WAITING_LIMIT:
            lost = len(self._waiting) - _WAITING_LIMIT
            log.error("the database does not keep up: %d events are not stored", lost)
            for _ in range(lost):
                self._waiting.popleft()

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_INTERVAL_S)
            await self.flush()

    async def flush(self) -> None:
        async with self._writing:
            while self._waiting:
                batch = [self._waiting[n] for n in range(min(_BATCH, len(self._waiting)))]
                clusters: dict[str, list[dict[str, Any]]] = {}
                for cluster, event in batch:
                    clusters.setdefault(cluster, []).append(event)
                try:
                    for cluster, events in clusters.items():
                        await in_db(store, cluster, events)
                except DatabaseError:
                    log.exception("events cannot be stored now; they wait")
                    return
                for _ in batch:
                    self._waiting.popleft()
