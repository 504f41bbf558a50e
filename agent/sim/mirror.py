"""A mirror of two simulated servers: real minds, pretend disks, link, cluster and application, one step at a time.

Every step that the hands could take next is one choice of the seed: a write reaches a disk, a frame arrives, a server
loses its power between any two of them. The cluster is the simplest one that keeps the promises of ours: it activates a
server only when the other one has stopped, and tells the survivor so.

Judged after every step of the application and at the end:
- what an active side reads is, cell by cell, no older than the newest acknowledged write that any disk still has;
- what was acknowledged by a flush on both sides is there, whatever else has happened to one of them;
- two sides that call themselves equal and rest have equal disks.
Asynchronous (`queue`): nobody is further ahead of the other side than the queue allows. When a side follows an active
one that is gone, its disk is the state that the other one had after some write, and no older than the newest write that
it has confirmed.
"""

from __future__ import annotations

from functools import partial
from random import Random

from agent.mirror.traffic import Queue
from agent.sim.mirrorcluster import Application, Cluster
from agent.sim.mirrorserver import CELL, CELLS_IN_GRAIN, Frame, Server

FAULTS = ("crash", "crash", "kill", "pause", "cut", "cut", "move", *("back",) * 3, *("resume",) * 3)


class ViolationError(AssertionError):
    """A promise was broken; the text says which, where."""


class MirrorWorld:
    """`run(steps)`, then `heal()`. Raises ViolationError; `log` tells the story."""

    cell_bytes = CELL

    def __init__(
        self,
        seed: int,
        grains: int = 22,
        faults: float = 0.02,
        queue: Queue | None = None,
        kinds: tuple[str, ...] = FAULTS,
    ) -> None:
        self.random = Random(seed)
        self.seed, self.faults = seed, faults
        self.queue, self._kinds = queue, kinds
        self.log: list[str] = []
        self.link = 0
        self.link_up = False
        self.steps = 0
        self._names = 0
        self.servers = {"a": Server(self, "a", "b", grains), "b": Server(self, "b", "a", grains)}
        self.application = Application(self, grains * CELLS_IN_GRAIN)
        self.cluster = Cluster(self)
        self.counts: dict[str, int] = {"crash": 0, "kill": 0, "pause": 0, "cut": 0, "move": 0}
        for server in self.servers.values():
            server.start()
            server.tell(lambda side: side.view(None, self.cluster.epoch))
        self.servers["a"].tell(lambda side: side.construct(full=seed % 4 == 0))

    def name(self) -> str:
        self._names += 1
        return f"g{self._names}"

    def note(self, text: str, *, deep: bool = False) -> None:
        self.log.append(f"{self.steps:6} {'    ' if deep else ''}{text}")

    def count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def violated(self, text: str) -> None:
        raise ViolationError(f"seed {self.seed}, step {self.steps}: {text}")

    # ---- the link ----
    def drop_link(self) -> None:
        if not self.link_up:
            return
        self.link_up = False
        self.note("the link is down")
        for server in self.servers.values():
            server.outbox.clear()
            server.parting = True
            server.jobs.append(partial(self._tell_down, server))

    @staticmethod
    def _tell_down(server: Server) -> None:
        server.parting = False
        server.tell(lambda side: side.unlinked())

    def connect(self) -> None:
        ready = all(
            server.side is not None and not server.side.failed and not server.paused for server in self.servers.values()
        )
        # A side learns that the old connection is gone before it has a new one.
        waiting = any(server.parting for server in self.servers.values())
        if self.link_up or not ready or waiting:
            return
        self.link += 1
        self.link_up = True
        self.note(f"link {self.link} is up")
        for server in self.servers.values():
            assert server.side is not None
            server.said = server.side.hello()
            server.outbox.append(Frame(server.said))

    # ---- one step ----
    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.step(self.faults)

    def step(self, faults: float = 0.0) -> None:
        self.steps += 1
        if self.random.random() < faults:
            self._fault()
        self.random.choices((self._work, self._hear, self._use, self.cluster.deliver, self._look),
                            (40, 30, 16, 10, 4))[0]()  # fmt: skip

    def _awake(self) -> list[Server]:
        return [server for server in self.servers.values() if server.side is not None and not server.paused]

    def _work(self) -> None:
        ready = [server for server in self._awake() if server.jobs]
        if ready:
            server = self.random.choice(ready)
            server.jobs.pop(self.random.randrange(len(server.jobs)))()

    def _hear(self) -> None:
        ways = [(one, other) for one in self.servers.values() for other in self._awake()
                if one is not other and one.outbox]  # fmt: skip
        if ways:
            one, other = self.random.choice(ways)
            other.hear(one.outbox.popleft())

    def _use(self) -> None:
        on = self.application.on
        for server in self._awake():
            if on and server.name not in (on, self.cluster.holder) and server.side is not None and server.side.active:
                self.application.haunt(server.name)
        if not on or self.servers[on].paused or self.servers[on].side is None:
            return
        if self.random.random() < 0.1:
            self.application.flush()
        else:
            self.application.write()

    def _look(self) -> None:
        self.cluster.look()
        self.connect()
        for server in self._awake():
            if self.random.random() < 0.2:
                server.tell(lambda side: side.ask_again())
        self._bounded()
        self._equal_when_they_say_so()
        if (on := self.application.on) and (side := self.servers[on].side) is not None and side.active:
            self.application.look()

    def _bounded(self) -> None:
        """As many writes as the queue takes, or one that alone is larger."""
        for server in self._awake():
            if self.queue is None or server.side is None:
                continue
            writing, queue = server.side.writing, self.queue
            many = writing.unconfirmed > queue.writes
            if many or (writing.unconfirmed > 1 and writing.unconfirmed_bytes > queue.size_bytes):
                self.violated(
                    f"{server.name} is ahead by {writing.unconfirmed} writes, {writing.unconfirmed_bytes} bytes"
                )

    def _equal_when_they_say_so(self) -> None:
        one, other = self.servers["a"], self.servers["b"]
        for server in (one, other):
            side = server.side
            if side is None or side.relation != "equal" or server.jobs or server.outbox or not side.traffic.idle:
                return
        if one.disk.cells != other.disk.cells:
            cells = [
                c for c, pair in enumerate(zip(one.disk.cells, other.disk.cells, strict=True)) if pair[0] != pair[1]
            ]
            self.violated(f"both sides say that they are equal, and differ in cells {cells}")
        self.application.both_have_all()
        self.application.spoiled.clear()

    # ---- faults ----
    def _fault(self) -> None:
        server = self.random.choice(list(self.servers.values()))
        kind = self.random.choice(self._kinds)
        if kind in ("crash", "kill") and server.side is not None:
            self.count(kind)
            self._crash(kind, server)
        elif kind == "both":
            self.count(kind)
            for one in self.servers.values():
                if one.side is not None:
                    self._crash("crash", one)
        elif kind == "pause" and server.side is not None:
            self.count(kind)
            server.paused = True
            self.note(f"{server.name} is paused")
        elif kind == "cut" and self.link_up:
            self.count(kind)
            self.drop_link()
        elif kind == "move":
            self.count(kind)
            self.cluster.move()
        elif kind == "force":
            self.cluster.force()
        elif kind in ("disk", "differ"):
            self._disk_fault(kind, server)
        elif kind == "back" and server.side is None:
            server.start()
        elif kind == "resume" and server.paused:
            server.paused = False
            self.note(f"{server.name} goes on")

    def _crash(self, kind: str, server: Server) -> None:
        role = "active" if server.side is not None and server.side.active else "standby"
        self.count(f"{kind}, {role}")
        server.crash(power=kind == "crash")
        server.paused = False
        if kind == "crash":
            self.cluster.died(server.name)
        else:
            self.application.leaves(server.name)
            server.start()
            self.cluster.process_back(server.name)

    def _replace(self, server: Server) -> None:
        """The process whose disk has failed, by one that finds a disk which works."""
        server.crash(power=False)
        server.start()
        self.cluster.process_back(server.name)

    def _disk_fault(self, kind: str, server: Server) -> None:
        side, other = server.side, self.servers[server.peer_name].side
        if side is None or server.paused:
            return
        if side.failed:
            self._replace(server)
        elif side.relation != "equal" or other is None or other.relation != "equal":
            return
        elif kind == "disk":
            self.count(kind)
            server.lose_disk()
            self.application.leaves(server.name)
        elif side.active:
            self.count(kind)
            self._spoil(server)

    def _spoil(self, server: Server) -> None:
        """A cell of the standby's disk is not what was written there; a comparison has found it."""
        other = self.servers[server.peer_name]
        grain = self.random.randrange(len(other.disk.cells) // CELLS_IN_GRAIN)
        other.disk.spoil(grain * CELLS_IN_GRAIN)
        self.application.spoiled.add(grain * CELLS_IN_GRAIN)
        self.note(f"{other.name} differs in grain {grain}, and {server.name} repairs it")
        server.tell(lambda side: side.repair([grain]))

    def heal(self, limit: int = 20_000) -> None:
        """All is well again: within `limit` steps one side is active and both are equal."""
        for server in self.servers.values():
            server.paused = False
            if server.side is not None and server.side.failed:
                self._replace(server)
            if server.side is None:
                server.start()
        end = self.steps + limit
        if not any(server.side and server.side.constructed for server in self.servers.values()):
            self.servers["a"].tell(lambda side: side.construct(full=True))
        while not self._well():
            if self.steps >= end:
                self.violated("not well again after the faults: " + self.state())
            self.step()

    def _well(self) -> bool:
        sides = [server.side for server in self.servers.values()]
        return (
            all(side is not None and side.relation == "equal" for side in sides)
            and sum(side is not None and side.active for side in sides) == 1
            and bool(self.application.on)
        )

    def state(self) -> str:
        words = [f"holder {self.cluster.holder!r}, members {sorted(self.cluster.members)}"]
        for server in self.servers.values():
            side = server.side
            if side is not None:
                words.append(f"{server.name}: {side.mode}/{side.relation}, dirty {side.writing.dirty.count}")
                words.append(f"{side.past}, jobs {len(server.jobs)}, {side.doubt()}")
        return "; ".join(words)
