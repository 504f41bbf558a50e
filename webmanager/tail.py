"""Events as they are stored, for those who wait for them: one look at the database for all of them.

Rules of this file
- The database tells what is new, in its order, so that a cursor means the same in every process of the manager and
  after a restart. It is asked only while somebody waits, once for each cluster.
- The newest rows are kept in memory; whoever is further behind reads them from the database.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections import deque
from collections.abc import AsyncIterator

from django.db import DatabaseError

from webmanager import selectors
from webmanager.hub import hub
from webmanager.ledger import in_db
from webmanager.models import Cluster, Event

log = logging.getLogger(__name__)

FOLLOWERS_MOST = 500  # in one process
_LOOK_S = 0.2
_KEPT = 1000
_BATCH = 200
Row = tuple[int, dict[str, object]]  # (cursor, note)
_tails: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[int, _Tail]] = weakref.WeakKeyDictionary()


class _Tail:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.followers = 0
        self.newest = self.oldest = -1  # every row with oldest < cursor <= newest is in memory
        self.rows: deque[Row] = deque()
        self._changed = asyncio.Condition()
        self._reader: asyncio.Task[None] | None = None

    async def enter(self) -> None:
        self.followers += 1
        if self._reader is None:
            self._reader = (await hub().ready()).spawn(self._read())

    def leave(self) -> None:
        self.followers -= 1
        if not self.followers and self._reader is not None:
            self._reader.cancel()
            self._reader = None
            self.rows.clear()
            self.newest = self.oldest = -1

    async def _read(self) -> None:
        while True:
            try:
                await self._look()
            except DatabaseError:
                log.exception("events of %s cannot be read now", self.cluster)
            await asyncio.sleep(_LOOK_S)

    async def _look(self) -> None:
        if self.newest < 0:
            self.newest = self.oldest = await in_db(_newest, self.cluster)
            await self._tell()  # Who has asked the database a moment ago may have missed something.
        more = True
        while more:
            found = await in_db(selectors.events_after, cluster=self.cluster, after=self.newest, limit=_BATCH)
            more = len(found) == _BATCH
            if not found:
                return
            self.rows.extend(found)
            self.newest = found[-1][0]
            while len(self.rows) > _KEPT:
                self.oldest = self.rows.popleft()[0]
            await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def after(self, cursor: int, limit_s: float) -> list[Row]:
        """At least one row, unless the time is over first."""
        if 0 <= self.oldest <= cursor:
            if cursor >= self.newest:
                await self._wait(cursor, limit_s)
            if self.oldest <= cursor:
                return [row for row in self.rows if row[0] > cursor][:_BATCH]
        found = await in_db(selectors.events_after, cluster=self.cluster, after=cursor, limit=_BATCH)
        if not found:
            await self._wait(cursor, limit_s)
        return found

    async def _wait(self, cursor: int, limit_s: float) -> None:
        try:
            async with asyncio.timeout(limit_s), self._changed:
                await self._changed.wait_for(lambda: self.newest > cursor)
        except TimeoutError:
            pass


def _newest(cluster: Cluster) -> int:
    return Event.objects.filter(cluster=cluster).order_by("-id").values_list("id", flat=True).first() or 0


def _of_loop() -> dict[int, _Tail]:
    return _tails.setdefault(asyncio.get_running_loop(), {})


async def crowded() -> bool:
    return sum(tail.followers for tail in _of_loop().values()) >= FOLLOWERS_MOST


async def follow(cluster: Cluster, after: int, pause_s: float) -> AsyncIterator[list[Row]]:
    """What comes after this cursor, in order of arrival; an empty list whenever nothing came for `pause_s`."""
    tail = _of_loop().setdefault(cluster.pk, _Tail(cluster))
    await tail.enter()
    try:
        while True:
            rows = await tail.after(after, pause_s)
            if rows:
                after = rows[-1][0]
            yield rows
    finally:
        tail.leave()
