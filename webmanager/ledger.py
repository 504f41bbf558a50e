"""The slow path to the database: events in bulk, off the hot path, each once."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import DatabaseError, close_old_connections, connections, transaction

from webmanager.models import Cluster, Event
from webmanager.reducer import EVENTS_SHOWN

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
_INTERVAL_S = 0.2
_IDLE_S = 60.0  # after which an unused connection is not trusted any more
_BATCH = 500
_WAITING_LIMIT = 20_000


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(2, thread_name_prefix="ledger")


async def in_db(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs `work` in a database thread of ours, which no request blocks."""
    return await sync_to_async(_connected, thread_sensitive=False, executor=_threads())(
        functools.partial(work, *args, **kwargs)
    )


def _connected(work: Callable[[], T]) -> T:
    """These threads keep their connections: opening one costs more than most questions. One that broke meanwhile is
    noticed by CONN_HEALTH_CHECKS and replaced."""
    close_old_connections()
    try:
        return work()
    finally:
        for connection in connections.all(initialized_only=True):
            if connection.connection is not None and not connection.errors_occurred:
                connection.close_at = time.monotonic() + _IDLE_S


def load_clusters() -> list[tuple[str, bytes, list[dict[str, Any]]]]:
    """(name, clp.conf, newest events oldest first) of every cluster."""
    found = []
    for cluster in Cluster.objects.all():
        newest = cluster.events.order_by("-time", "-note_id").values_list("note", flat=True)[:EVENTS_SHOWN]
        found.append((cluster.name, bytes(cluster.config), list(reversed(newest))))
    return found


def store(cluster: str, events: list[dict[str, Any]]) -> None:
    store_all([(cluster, event) for event in events])


@transaction.atomic
def store_all(events: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """(cluster, note) ... Twice the same note is stored once: several agents bring it, and each reconnection repeats
    the newest.

    One process at a time for each cluster: a lower id must not appear after a higher one, or who reads by cursor would
    miss it. All of them in one transaction, since each costs more than twenty events."""
    names = {cluster for cluster, _ in events}
    # In one order everywhere, or two processes would wait for each other.
    owners = Cluster.objects.select_for_update(no_key=True).defer("config").filter(name__in=names).order_by("id")
    found = {owner.name: owner for owner in owners}
    rows = [_row(found[cluster], note) for cluster, note in events if cluster in found]
    Event.objects.bulk_create(rows, ignore_conflicts=True, batch_size=_BATCH)


def _row(owner: Cluster, note: dict[str, Any]) -> Event:
    return Event(
        cluster=owner,
        note_id=note["id"],
        time=note["time"],
        severity=note["severity"],
        kind=note["kind"],
        name=note["name"],
        server=note["server"],
        code=f"{note['module']}:{note['event']}",
        text=note["text"],
        note=note,
    )


def unknown(cluster: str, keys: Sequence[str]) -> list[str]:
    """Those of the notes that are not stored."""
    known: set[str] = set()
    for start in range(0, len(keys), _BATCH):
        part = keys[start : start + _BATCH]
        known |= set(Event.objects.filter(cluster__name=cluster, note_id__in=part).values_list("note_id", flat=True))
    return [key for key in keys if key not in known]


class Ledger:
    def __init__(self) -> None:
        self.waiting: deque[tuple[str, dict[str, Any]]] = deque()
        self._writing = asyncio.Lock()

    def put(self, cluster: str, events: list[dict[str, Any]]) -> None:
        self.waiting.extend((cluster, event) for event in events)
        if len(self.waiting) > _WAITING_LIMIT:
            lost = len(self.waiting) - _WAITING_LIMIT
            log.error("the database does not keep up: %d events are not stored", lost)
            for _ in range(lost):
                self.waiting.popleft()

    async def missing(self, cluster: str, keys: Sequence[str]) -> list[str]:
        """Those of the notes that are not stored; all of them while nobody can tell."""
        if not keys:
            return []
        try:
            return await in_db(unknown, cluster, keys)
        except DatabaseError:
            return list(keys)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_INTERVAL_S)
            await self.flush()

    async def flush(self) -> None:
        async with self._writing:
            while self.waiting:
                batch = [self.waiting[n] for n in range(min(_BATCH, len(self.waiting)))]
                try:
                    await in_db(store_all, batch)
                except DatabaseError:
                    log.exception("events cannot be stored now; they wait")
                    return
                for _ in batch:
                    self.waiting.popleft()
