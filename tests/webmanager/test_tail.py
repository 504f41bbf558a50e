"""Who waits for events gets each once and in order, however far behind; a stream ends with the right to read it."""

from __future__ import annotations

import asyncio
import random
from types import SimpleNamespace

import pytest

from webmanager import tail
from webmanager.api.v2 import events
from webmanager.models import Cluster

CLUSTER = Cluster(id=1, name="c")


class Database:
    """Rows as `selectors.events_after` gives them; counts how often it is asked."""

    def __init__(self):
        self.rows = []
        self.asked = 0

    def add(self, count):
        for _ in range(count):
            # Other clusters' rows leave gaps.
            cursor = (self.rows[-1][0] if self.rows else 0) + random.Random(len(self.rows)).randint(1, 3)
            self.rows.append((cursor, {"id": str(cursor), "name": "x"}))

    def events_after(self, *, cluster, after, limit):
        self.asked += 1
        return [row for row in self.rows if row[0] > after][:limit]

    def newest(self, cluster):
        return self.rows[-1][0] if self.rows else 0


@pytest.fixture
def database(monkeypatch):
    database = Database()

    async def in_db(work, *args, **kwargs):
        await asyncio.sleep(0)
        return work(*args, **kwargs)

    async def ready():
        return SimpleNamespace(spawn=asyncio.create_task)

    monkeypatch.setattr(tail, "selectors", database)
    monkeypatch.setattr(tail, "_newest", database.newest)
    monkeypatch.setattr(tail, "in_db", in_db)
    monkeypatch.setattr(tail, "hub", lambda: SimpleNamespace(ready=ready))
    monkeypatch.setattr(tail, "_LOOK_S", 0.0)
    monkeypatch.setattr(tail, "_KEPT", 20)
    monkeypatch.setattr(tail, "_BATCH", 30)
    return database


async def take(database, after, until, slow=0):
    """Cursors of what a follower got."""
    found, follower = [], tail.follow(CLUSTER, after, 60)
    async for rows in follower:
        found += [cursor for cursor, _ in rows]
        for _ in range(slow):
            await asyncio.sleep(0)
        if found and found[-1] >= until():
            await follower.aclose()
            return found
    raise AssertionError


async def test_followers_miss_nothing_and_get_nothing_twice(database):
    database.add(50)
    middle, total = database.rows[30][0], 600
    random.seed(7)

    def last():
        return database.rows[-1][0] if len(database.rows) >= total else 10**9

    followers = [
        asyncio.create_task(take(database, after, last, slow))
        for after, slow in ((0, 0), (0, 40), (middle, 3), (database.rows[-1][0], 0), (database.rows[-1][0], 25))
    ]
    while len(database.rows) < total:
        database.add(random.choice((1, 2, 9, 40)))
        for _ in range(random.randint(1, 6)):
            await asyncio.sleep(0)
    everything = [cursor for cursor, _ in database.rows]
    starts = (0, 0, middle, everything[49], everything[49])
    for start, follower in zip(starts, followers, strict=True):
        assert await follower == [cursor for cursor in everything if cursor > start]
    assert not await tail.crowded()


async def test_event_between_the_two_first_looks_is_not_missed(database, monkeypatch):
    look = database.events_after

    def late(**asked):
        found = look(**asked)
        if not database.rows:
            database.add(1)
        return found

    monkeypatch.setattr(database, "events_after", late)
    follower = tail.follow(CLUSTER, 0, 60)
    async with asyncio.timeout(10):
        while not (rows := await anext(follower)):
            pass
    assert rows == database.rows
    await follower.aclose()


async def test_database_rests_when_nobody_waits(database):
    database.add(3)
    follower = tail.follow(CLUSTER, 0, 60)
    assert [cursor for cursor, _ in await anext(follower)] == [cursor for cursor, _ in database.rows]
    await follower.aclose()
    asked = database.asked
    for _ in range(20):
        await asyncio.sleep(0)
    assert database.asked == asked


async def test_pause_is_an_empty_list(database):
    follower = tail.follow(CLUSTER, 0, 0.01)
    assert await anext(follower) == []
    database.add(1)
    while not (rows := await anext(follower)):
        pass
    assert rows == database.rows
    await follower.aclose()


async def test_stream_ends_when_the_right_was_taken_away(database, monkeypatch):
    monkeypatch.setattr(events, "_PING_S", 0.0)
    database.add(1)
    rights = iter([True, True, False])
    told = [text async for text in events._stream(CLUSTER, 0, lambda note: True, lambda: next(rights))]
    assert told[0].startswith("retry:")
    assert f"id: {database.rows[0][0]}\nevent: note\n" in "".join(told)
    assert told[-1].startswith("event: end\n")
    assert next(rights, None) is None
