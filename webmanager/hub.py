"""One hub per process: takes what agents push, keeps each cluster's status, hands changes to the browsers.

Rules of this file
- One hub per running event loop (`hub()`), never one per module: tests and reloads have several loops in one process.
- A browser gets a snapshot, then numbered changes; one that reads too slowly is dropped and starts anew.
- Local browsers are served first, other processes after (webmanager/bus.py), the database last (webmanager/ledger.py).
- Each process reduces for itself from the same frames, so that no process depends on another's numbering.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
import time
import uuid
import weakref
from collections.abc import Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any, Protocol

from django.conf import settings

from agent.clpconf import model
from agent.wire.peer import Answer, Request
from agent.wire.report import Note
from agent.wire.status import Change, timed
from webmanager import configs, frames, ledger, memory
from webmanager.bus import Bus
from webmanager.carrying import Carrier
from webmanager.commands import Commands, Link
from webmanager.faults import OutageReader
from webmanager.packing import packed
from webmanager.reducer import ClusterReducer, encode
from webmanager.turns import Turns, clock
from webmanager.version import VERSION

log = logging.getLogger(__name__)

TICK_S = 1.0
# A burst of changes is one message: publishing takes a fifth of the time at most, the rest waits for more. So much of
# that rest may be owed: a few changes in a row, as of a failover, are told at once.
_SHARE = 4
_AHEAD_S = 0.2
_LEAST_S = 0.002
_LATE_S = 0.25  # A tick that comes later than this tells of a process that did not run.
_FIRST_S = 0.25
_NO_TIMES: Mapping[str, float] = MappingProxyType({})
# What other applications of the manager do for as long as a hub lives.
works: list[Callable[[Hub], Coroutine[Any, Any, None]]] = []
_hubs: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = weakref.WeakKeyDictionary()


class Browser(Protocol):
    def put(self, text: str) -> None:
        """Never waits; drops the connection when too much waits for it already."""

    def begin(self, snapshot: str) -> None:
        """The first that it is told, however large; the next time it is told anew."""


class Ears:
    """How long this process itself has not listened, because it got no processor or was stopped.

    What agents told meanwhile waits in its sockets: their silence cannot be told from its own deafness, so a server is
    not taken for silent before that much more time has passed."""

    def __init__(self) -> None:
        self._due = math.inf  # the next tick
        self._deaf_s = 0.0

    def tick(self, now: float) -> None:
        self._deaf_s = max(self.deaf_s(now) - TICK_S, now - self._due - _LATE_S, 0.0)
        self._due = now + TICK_S

    def deaf_s(self, now: float) -> float:
        return max(self._deaf_s, now - self._due - _LATE_S, 0.0)


class Room:
    """One cluster, its status and the browsers that watch it."""

    def __init__(self, name: str, turns: Turns | None = None, ears: Ears | None = None) -> None:
        self.name = name
        self._turns = turns or Turns()
        self._ears = ears or Ears()
        self.reducer = ClusterReducer(name)
        self._set_clock()
        self.config = b""  # the clp.conf that the reducer has
        self.configuring = asyncio.Lock()
        self.rev = 0
        self.browsers: set[Browser] = set()
        # Told each publication as well: its changes, its events, whether agents came or went.
        self.followers: list[Callable[[list[Change], list[dict[str, Any]], bool], None]] = []
        # What nobody has acknowledged, and who acknowledged what of the events above; kept by overview/attention.py.
        self.open = {"error": 0, "warning": 0}
        self.acks: dict[str, dict[str, Any]] = {}
        self.events_told = 0
        self._due: asyncio.TimerHandle | None = None
        self._events: list[dict[str, Any]] = []
        self._agents_changed = False
        self._rests_until = self._owes_until = 0.0
        self._first = ""
        self._first_at = 0.0

    def touch(self, events: list[dict[str, Any]], *, agents: bool = False) -> None:
        """Something changed: publish it at once, or as soon as the last publication has been paid for."""
        self._events += events
        self.events_told += len(events)
        for event in events:
            if event["severity"] in self.open:
                self.open[event["severity"]] += 1
        self._agents_changed |= agents
        if self._due is None:
            loop = asyncio.get_running_loop()
            self._due = loop.call_at(max(loop.time(), self._rests_until), self._turn)

    def recall(self, events: list[dict[str, Any]]) -> None:
        """Another process knows of these; some may be news here."""
        if new := self.reducer.remember(events):
            self.touch(new)

    def _turn(self) -> None:
        self._turns.ask(self, self.publish)

    def publish(self) -> None:
        loop = asyncio.get_running_loop()
        if self._due is not None:
            self._due.cancel()
            self._due = None
            self._turns.give_up(self)
        start = clock.now()
        self._publish(loop.time())
        own_s = clock.now() - start
        clock.rewind(start)  # For other rooms it is no price of theirs.
        # What the browsers' sockets take is part of the price.
        loop.call_soon(self._rest, start, own_s)

    def _publish(self, now: float) -> None:
        self.reducer.deaf_s = self._ears.deaf_s(now)
        changes = self.reducer.refresh(now)
        events, self._events = self._events, []
        agents, self._agents_changed = self._agents_changed, False
        if not (changes or events or agents):
            return
        self.rev += 1
        message = {"type": "change", "cluster": self.name, "rev": self.rev, "at": time.time()}
        message |= {"changes": self._timed(changes, now), "events": events}
        if agents:
            message["agents"] = self.reducer.agent_states(now)
        if events:
            message["open"] = self.open
        self.tell(encode(message))
        for follow in self.followers:
            follow(changes, events, agents)

    def _timed(self, changes: list[Change], now: float) -> list[Change]:
        """What is left to confirm a change of the configuration goes on in the browser: it gets the value of now."""
        if not changes or changes[0][0] != "cluster":
            return changes
        assert self.reducer.status is not None
        return [["cluster", "", timed(self.reducer.status, self.reducer.clocks(now))["cluster"]], *changes[1:]]

    def _rest(self, start: float, own_s: float) -> None:
        cost_s = own_s + clock.now() - start
        self._turns.paid(cost_s)
        now = asyncio.get_running_loop().time()
        self._owes_until = max(self._owes_until, now - _AHEAD_S) + _SHARE * cost_s
        self._rests_until = max(self._owes_until, now + _LEAST_S)

    def tell(self, text: str) -> None:
        self._first = ""
        for browser in tuple(self.browsers):
            browser.put(text)

    def first(self, outage: Any) -> str:
        """What a browser is told first. Those that come together, as after a restart, get the same until something new
        is told or the ages in it are too old."""
        now = asyncio.get_running_loop().time()
        if not self._first or self._due is not None or now - self._first_at > _FIRST_S:
            self._first, self._first_at = encode(packed(self.snapshot(outage))), now
        return self._first

    def _set_clock(self) -> None:
        self.reducer.origin_s = time.time() - asyncio.get_running_loop().time()

    def tick(self) -> None:
        self._set_clock()
        now = asyncio.get_running_loop().time()
        self.reducer.deaf_s = self._ears.deaf_s(now)
        if self.reducer.status is None or self.reducer.turned_stale(now):
            self.publish()
        if self.browsers:
            ages, agents = self.reducer.ages(now), self.reducer.agent_states(now)
            alive = {"type": "alive", "rev": self.rev, "at": time.time(), "ages": ages, "agents": agents}
            self.tell(encode(alive))

    def status(self) -> dict[str, Any]:
        """As of now, ages included."""
        if self._due is not None or self.reducer.status is None:
            self.publish()
        assert self.reducer.status is not None
        now = asyncio.get_running_loop().time()
        ages = self.reducer.ages(now)
        servers = {
            name: {**server, "age_s": ages[name]} if name in ages else server
            for name, server in self.reducer.status["servers"].items()
        }
        return timed({**self.reducer.status, "servers": servers}, self.reducer.clocks(now))

    def snapshot(self, outage: Any) -> dict[str, Any]:
        status = self.status()
        return {
            "type": "snapshot",
            "cluster": self.name,
            "rev": self.rev,
            "at": time.time(),
            "status": status,
            "events": self.reducer.events,
            "acknowledged": self.acks,
            "open": dict(self.open),
            "agents": self.reducer.agent_states(asyncio.get_running_loop().time()),
            "outage": outage,
            "demo": bool(settings.OPENCLP_DEMO),
            "version": VERSION,
        }


class Hub:
    def __init__(self) -> None:
        self.id = uuid.uuid4().hex
        self.rooms: dict[str, Room] = {}
        self._turns = Turns()
        self._ears = Ears()
        self.waiting: set[Browser] = set()  # browsers that came before any cluster
        self.overviews: set[Browser] = set()  # those that look at all clusters (overview/summaries.py)
        self.commands = Commands(self)
        self.carrier = Carrier(self)
        self.bus = Bus(self)
        self.ledger = ledger.Ledger()
        self.outage = OutageReader(settings.OPENCLP_DEMO) if settings.OPENCLP_DEMO else None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ready: asyncio.Future[None] | None = None

    async def ready(self) -> Hub:
        """Loads what the database knows, once; starts the hub's tasks."""
        if self._ready is None or (self._ready.done() and self._ready.exception()):
            self._ready = asyncio.ensure_future(self._start())
        await asyncio.shield(self._ready)
        return self

    async def _start(self) -> None:
        for name, config, events in await ledger.in_db(ledger.load_clusters):
            room = self.rooms.setdefault(name, Room(name, self._turns, self._ears))
            if config:
                room.reducer.configure(*await asyncio.to_thread(configs.load, config))
                room.config = config
            room.reducer.remember(events)
        for work in (self._tick, self.bus.run, self.bus.flush, self.ledger.run, self.carrier.watch, memory.watch):
            self.spawn(work())
        for more in works:
            self.spawn(more(self))
        if self.outage is not None:
            self.spawn(self._watch_outage())

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """A task that outlives its caller: the context of a request (its database thread) must not follow it."""
        task = asyncio.get_running_loop().create_task(work, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a task of the hub failed", exc_info=task.exception())

    async def stop(self) -> None:
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.ledger.flush()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            start = clock.now()
            self._ears.tick(asyncio.get_running_loop().time())
            self.bus.tick()
            for room in tuple(self.rooms.values()):
                try:
                    room.tick()
                except Exception:  # One cluster's bad data must not silence the others.
                    log.exception("cluster %s cannot be shown", room.name)
            clock.rewind(start)

    async def _watch_outage(self) -> None:
        assert self.outage is not None
        while True:
            await asyncio.sleep(0.2)
            if self.outage.changed():
                text = encode({"type": "outage", "outage": self.outage.value})
                for room in self.rooms.values():
                    room.tell(text)

    # Agents.

    async def join(self, link: Link, hello: frames.Hello, config: bytes) -> None:
        """An agent whose credentials and hello are right; an older connection of the same agent ends."""
        await self.admit(link.cluster, link.node, hello.config_hash, config)
        self.commands.attach(link)
        self.bus.came(link.cluster, link.node)
        self.bus.put(["hello", link.cluster, link.node, encode(hello), link.at])

    async def admit(self, cluster: str, node: str, config_hash: str, config: bytes) -> None:
        room = self.room(cluster)
        async with room.configuring:  # All agents bring the same: it is read once.
            if room.config != config:
                room.reducer.configure(*await asyncio.to_thread(configs.load, config))
                room.config = config
        room.reducer.hello(node, config_hash, asyncio.get_running_loop().time())
        room.touch([], agents=True)

    def room(self, cluster: str) -> Room:
        room = self.rooms.get(cluster)
        if room is None:
            room = self.rooms[cluster] = Room(cluster, self._turns, self._ears)
            waiting, self.waiting = self.waiting, set()
            for browser in waiting:
                self.watch(browser, cluster)
        return room

    def feed(self, link: Link, text: str) -> None:
        """One frame of a connected agent. Raises FrameError."""
        frame = frames.decode(text)
        if isinstance(frame, frames.Told):
            self.commands.answered(link, frame)
            return
        events = self.take(link.cluster, link.node, frame)
        self.bus.put(["frame", link.cluster, link.node, text, {event["id"]: event["time"] for event in events}])
        if isinstance(frame, frames.Snapshot):
            self.spawn(self._settle(link.cluster, frame.notes))
        else:
            self.ledger.put(link.cluster, events)

    async def _settle(self, cluster: str, notes: list[Note]) -> None:
        """What a snapshot repeats is mostly stored; what is not may be known here all the same: the process that was to
        store it died."""
        missing = set(await self.ledger.missing(cluster, [note.id for note in notes]))
        room = self.rooms[cluster]
        self.ledger.put(cluster, room.reducer.as_events([note for note in notes if note.id in missing]))

    def take(
        self, cluster: str, node: str, frame: frames.Frame, times: Mapping[str, float] = _NO_TIMES
    ) -> list[dict[str, Any]]:
        room = self.rooms[cluster]
        events = room.reducer.feed(node, frame, asyncio.get_running_loop().time(), times)
        if events or room.reducer.stirred:
            room.touch(events)
        return events

    def leave(self, link: Link) -> None:
        if self.commands.detach(link):
            self.lost(link.cluster, link.node)
            self.bus.put(["gone", link.cluster, link.node])
            self.bus.left(link.cluster, link.node)

    def lost(self, cluster: str, node: str) -> None:
        if room := self.rooms.get(cluster):
            room.reducer.gone(node)
            room.touch([], agents=True)

    # Browsers.

    def watch(self, browser: Browser, cluster: str) -> None:
        """Sends a snapshot, then every change. `cluster` "": the first one that there is or will be."""
        name = cluster or next(iter(self.rooms), "")
        outage = self.outage.value if self.outage else None
        if not name:
            self.waiting.add(browser)
            empty = {"cluster": None, "rev": 0, "status": None, "events": [], "agents": {}, "outage": outage}
            common = {"type": "snapshot", "at": time.time(), "demo": bool(settings.OPENCLP_DEMO), "version": VERSION}
            browser.begin(encode(common | empty))
            return
        room = self.room(name)
        snapshot = room.first(outage)
        room.browsers.add(browser)
        browser.begin(snapshot)

    def unwatch(self, browser: Browser) -> None:
        self.waiting.discard(browser)
        for room in self.rooms.values():
            room.browsers.discard(browser)

    def browsers(self) -> set[Browser]:
        return self.waiting.union(self.overviews, *(room.browsers for room in self.rooms.values()))

    def announce(self, cluster: str, message: dict[str, Any]) -> None:
        """A message without a number to every browser of the cluster, in every process."""
        text = encode(message)
        self.tell(cluster, text)
        self.bus.put(["browser", cluster, text])

    def tell(self, cluster: str, text: str) -> None:
        if room := self.rooms.get(cluster):
            room.tell(text)

    # Reading and asking.

    def config(self, cluster: str) -> model.Cluster | None:
        room = self.rooms.get(cluster)
        return room.reducer.config if room else None

    def status(self, cluster: str) -> dict[str, Any] | None:
        room = self.rooms.get(cluster)
        return room.status() if room else None

    def clocks(self, cluster: str) -> dict[str, float]:
        """The steady clock of each server whose agent has told it, as of now."""
        room = self.rooms.get(cluster)
        return room.reducer.clocks(asyncio.get_running_loop().time()) if room else {}

    def snapshot(self, cluster: str) -> dict[str, Any] | None:
        room = self.rooms.get(cluster)
        return room.snapshot(self.outage.value if self.outage else None) if room else None

    async def command(
        self, cluster: str, request: Request, deadline_s: float, on_progress: Callable[[str], None]
    ) -> Answer:
        return await self.commands.ask(cluster, request, deadline_s, on_progress)


def hub() -> Hub:
    """The hub of the running event loop."""
    loop = asyncio.get_running_loop()
    found = _hubs.get(loop)
    if found is None:
        found = _hubs[loop] = Hub()
    return found
