"""Records the states of clusters while the hub shows them: off the live path, by one process for each cluster.

Rules of this file
- What is published is noted by the event loop (a reference, no copy); all else is done by the ledger's threads.
- A cluster is recorded by the process that holds a connection of one of its agents; of several by the one whose hub's
  id is the lowest. When no process holds one, whoever recorded last goes on: that nothing is heard is a state too.
- Two that record for a moment, because they do not know of each other yet, do no harm: each tape stands alone,
  and stretches.py says which of them tells which time.
- A tape that goes on says so each few seconds (`ended`). What is missing between two tapes was not recorded, and is
  shown as such: a process that is killed loses the states that it published since its last write. Events are kept
  apart (webmanager/ledger.py); a tape only says with which state each of them came.
- Times of a tape go on steadily from its beginning, so that a clock that is set does not shuffle it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Any, NamedTuple

from django.db import DatabaseError

from agent.wire.status import Change, Status
from webmanager.history import services, tape
from webmanager.history.tape import Agents
from webmanager.hub import Hub, Room
from webmanager.ledger import in_db

log = logging.getLogger(__name__)

LOOK_S = 0.5
WRITE_EVERY_S = 5.0
TAPE_S = 600.0
TAPE_FRAMES = 4000
TAPE_BYTES = 8 * 1024 * 1024  # unpacked
# Published, but not written, because the database does not answer: more is not kept.
_WAITING_MOST = 20_000
_UNWRITTEN_MOST = 8 * 1024 * 1024
_CLOSE_WITHIN_S = 5.0


class Published(NamedTuple):
    at: float
    changes: list[Change]
    agents: Agents | None
    events: list[str]


class Batch(NamedTuple):
    until: float
    published: list[Published]


class Reel:
    """One cluster that is being recorded here. `note` runs on the event loop, the rest in one thread at a time."""

    def __init__(self, room: Room, writer: str) -> None:
        self.room = room
        self.writer = writer
        self.urgent = True
        self.overrun = False
        self._clock = _Clock()
        self._published: list[Published] = []
        # Not kept longer than needed: it is the only other copy of a status.
        self._first: tuple[float, Status, Agents] | None = (self._clock.now(), _status(room), _agents(room))
        self._tape: tape.Recorder | None = None
        self.open: services.OpenTape | None = None

    def note(self, changes: list[Change], events: list[dict[str, Any]], agents: bool) -> None:
        """What the room has just published."""
        connected = _agents(self.room) if agents else None
        self._published.append(Published(self._clock.now(), changes, connected, [one["id"] for one in events]))
        self.urgent |= bool(events)
        if len(self._published) > _WAITING_MOST:
            self.overrun = True
            self._published.clear()

    def take(self) -> Batch:
        """What is to be written now. On the event loop."""
        batch = Batch(self._clock.now(), self._published)
        self._published, self.urgent = [], False
        return batch

    def wind(self, batch: Batch) -> services.OpenTape:
        """The batch goes onto the tape, or onto the next one when that is full. In a thread."""
        if self._first is not None:
            self._begin(*self._first)
            self._first = None
        assert self._tape is not None
        assert self.open is not None
        for one in batch.published:
            self._tape.add(*one)
        self.open.grow(self._tape.cut() if batch.published or not self.open.pieces else b"", batch.until, self._tape)
        return self.open

    def _begin(self, at: float, status: Status, agents: Agents) -> None:
        self._tape = tape.Recorder(at, status, agents)
        self.open = services.OpenTape(self.room.name, self.writer, at)

    def full(self, at: float) -> bool:
        made = self._tape
        if made is None or self.open is None:
            return False
        return made.frames >= TAPE_FRAMES or made.raw_bytes >= TAPE_BYTES or at - made.began >= TAPE_S

    def turn(self, at: float) -> None:
        """The next tape begins with what this one ends with. In a thread."""
        assert self._tape is not None
        status, agents = self._tape.now
        self._begin(self._clock.renewed(at), status, agents)


class _Clock:
    """The manager's clock, read once; it goes on steadily until it is read anew."""

    _BACK_S = 2.0

    def __init__(self) -> None:
        self._base = time.time() - time.monotonic()

    def now(self) -> float:
        return self._base + time.monotonic()

    def renewed(self, at: float) -> float:
        """`at` or later, unless the clock was set back by more than trifles: then what it says now is believed."""
        ahead = time.time() - self.now()
        if ahead < -self._BACK_S:
            log.warning("the clock of this machine was set back by %.1f s; recorded states stand twice there", -ahead)
        if ahead > 0 or ahead < -self._BACK_S:
            self._base += ahead
            return at + ahead
        return at


def _status(room: Room) -> Status:
    if room.reducer.status is None:
        room.publish()
    assert room.reducer.status is not None
    return room.reducer.status


def _agents(room: Room) -> Agents:
    return {node: agent.connected for node, agent in sorted(room.reducer.agents.items())}


class Recorder:
    """All clusters that this process records."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._reels: dict[str, Reel] = {}
        self._written = 0.0

    async def run(self) -> None:
        try:
            while True:
                await asyncio.sleep(LOOK_S)
                try:
                    await self.look()
                except DatabaseError:
                    log.exception("states cannot be recorded now; they wait")
        finally:
            with contextlib.suppress(TimeoutError, DatabaseError):
                async with asyncio.timeout(_CLOSE_WITHIN_S):
                    await self.write(tuple(self._reels.values()), close=True)

    async def look(self) -> None:
        """Twice a second: who records what, and whether something waits."""
        self._settle()
        ended = [reel for name, reel in self._reels.items() if not self._is_ours(name) or reel.overrun]
        if ended:
            await self._end(ended)
        now = asyncio.get_running_loop().time()
        all_due = now - self._written >= WRITE_EVERY_S
        due = [reel for reel in self._reels.values() if all_due or reel.urgent]
        if due:
            await self.write(due)
        if all_due:
            self._written = now

    def _settle(self) -> None:
        for name, room in self._hub.rooms.items():
            if name not in self._reels and self._is_ours(name):
                reel = self._reels[name] = Reel(room, self._hub.id)
                room.followers.append(reel.note)

    def _is_ours(self, cluster: str) -> bool:
        others = [key for key, peer in self._hub.bus.peers.items() if any(c == cluster for c, _ in peer.nodes)]
        if any(link.cluster == cluster for link in self._hub.commands.local_links()):
            return self._hub.id < min(others, default="~")
        return not others and cluster in self._reels

    async def _end(self, reels: list[Reel]) -> None:
        for reel in reels:
            del self._reels[reel.room.name]
            reel.room.followers.remove(reel.note)
        await self.write([reel for reel in reels if not reel.overrun], close=True)

    async def write(self, reels: Any, *, close: bool = False) -> None:
        try:
            gone = await in_db(_write, [(reel, reel.take()) for reel in reels], close)
        except DatabaseError:
            for reel in reels:
                reel.overrun |= reel.open is not None and reel.open.unwritten_bytes > _UNWRITTEN_MOST
            raise
        for name in gone:
            if reel := self._reels.pop(name, None):
                reel.room.followers.remove(reel.note)


def _write(batches: list[tuple[Reel, Batch]], close: bool) -> list[str]:
    """In a thread. Returns clusters that are no longer known."""
    for reel, batch in batches:
        made = reel.wind(batch)
        made.closed = close or reel.full(batch.until)
    gone = services.store([reel.open for reel, _ in batches if reel.open is not None])
    for reel, batch in batches:
        if not close and reel.open is not None and reel.open.closed:
            reel.turn(batch.until)
    return gone


async def record(hub: Hub) -> None:
    await Recorder(hub).run()
