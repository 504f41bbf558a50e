"""A mirror of two simulated servers: real minds, pretend disks, link, cluster and application, one step at a time.

Every step that the hands could take next is one choice of the seed: a write reaches a disk, a frame arrives, a server
loses its power between any two of them. The cluster is the simplest one that keeps the promises of ours: it activates a
server only when the other one has stopped, and tells the survivor so.

Judged after every step of the application and at the end:
- what an active side reads is, cell by cell, no older than the newest acknowledged write that any disk still has;
- what was acknowledged by a flush on both sides is there, whatever else has happened to one of them;
- two sides that call themselves equal and rest have equal disks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from random import Random

import msgspec

from agent.mirror import effects as fx
from agent.mirror.activity import EXTENT_BYTES
from agent.mirror.effects import Effect
from agent.mirror.past import Hello
from agent.mirror.side import Side
from agent.sim.mirrorcluster import Application, Cluster
from agent.sim.mirrordisks import ClusterPartition, DataDisk
from agent.wire.epoch import NO_EPOCH, Epoch

GRAIN = EXTENT_BYTES // 4  # large, so that few grains need several extents of the log
CELLS_IN_GRAIN = 4
CELL = GRAIN // CELLS_IN_GRAIN
LOG_ROOM = 3
FAULTS = (*("crash", "cut") * 2, "kill", "pause", "move", *("back", "resume") * 3)


class ViolationError(AssertionError):
    """A promise was broken; the text says which, where."""


class Frame(msgspec.Struct, frozen=True):
    """On the link. A write or a grain brings its cells, and the epoch of the sender."""

    word: fx.Word | Hello | None
    cells: tuple[tuple[int, int], ...] = ()
    seq: int = 0
    epoch: Epoch = NO_EPOCH


class Server:
    """One server's hands. `jobs` are what may happen next, in any order; `outbox` keeps its order."""

    def __init__(self, world: MirrorWorld, name: str, peer: str, grains: int) -> None:
        self.world, self.name, self.peer_name = world, name, peer
        self.disk = DataDisk(grains * CELLS_IN_GRAIN)
        self.partition = ClusterPartition(grains)
        self.side: Side | None = None
        self.jobs: list[Callable[[], None]] = []
        self.saves: deque[tuple[fx.Save, list[tuple[int, bytes]]]] = deque()
        self.outbox: deque[Frame] = deque()
        self.said: Hello | None = None
        self.writes: dict[int, tuple[tuple[int, int], ...]] = {}
        self.applying: deque[Frame] = deque()
        self.paused = False
        self.parting = False  # the connection is gone, and its side does not know it yet
        self.boots = 0

    # ---- power and process ----
    def start(self) -> None:
        self.side = Side(
            self.name, self.peer_name, self.partition.stored(), GRAIN, f"{self.name}{self.boots}", self.world.name
        )
        self.side.log.most = max(LOG_ROOM, len(self.side.log.durable))
        self.world.note(f"{self.name} starts: {self.side.past}")

    def crash(self, *, power: bool) -> None:
        self.world.note(f"{self.name} {'loses its power' if power else 'is killed'}")
        random = self.world.random
        self.partition.crash(random)
        if power:
            self.disk.crash(random)
            self.boots += 1
            self.world.application.lost_its_cache(self.name)
        self.side = None
        self.jobs.clear()
        self.parting = False
        self.saves.clear()
        self.writes.clear()
        self.world.drop_link()

    # ---- effects ----
    def carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            self.world.note(f"{self.name}: {effect}", deep=True)
            getattr(self, f"_do_{type(effect).__name__.lower()}")(effect)

    def tell(self, call: Callable[[Side], list[Effect]]) -> None:
        if self.side is not None:
            self.carry_out(call(self.side))

    def _job(self, work: Callable[[], None]) -> None:
        self.jobs.append(work)

    def _do_save(self, effect: fx.Save) -> None:
        blocks = self.partition.super(effect.past)
        if not self.saves:
            self.partition.begin(blocks)
            self._job(self._saved)
        self.saves.append((effect, blocks))

    def _saved(self) -> None:
        effect, blocks = self.saves.popleft()
        self.partition.done(blocks)
        if effect.past.active and effect.past.peer == "behind":
            self.world.application.goes_alone(self.name)
        if self.saves:
            self.partition.begin(self.saves[0][1])
            self._job(self._saved)
        self.tell(lambda side: side.saved(effect.number))

    def _do_log(self, effect: fx.Log) -> None:
        blocks = self.partition.log(effect.extents)
        self.partition.begin(blocks)

        def done() -> None:
            self.partition.done(blocks)
            self.tell(lambda side: side.logged())

        self._job(done)

    def _do_savebits(self, effect: fx.SaveBits) -> None:
        assert self.side is not None
        blocks = self.partition.bits(self.side.traffic.bits_to_save(effect.number), effect.blocks)
        self.partition.begin(blocks)

        def done() -> None:
            self.partition.done(blocks)
            self.tell(lambda side: side.bits_saved(effect.number))

        self._job(done)

    def _do_write(self, effect: fx.Write) -> None:
        def done() -> None:
            for cell, number in self.writes.pop(effect.seq, ()):
                self.disk.write(cell, number)
            self.tell(lambda side: side.written(effect.seq))

        self._job(done)

    def _do_flush(self, effect: fx.Flush) -> None:
        def done() -> None:
            self.disk.flush()
            self.tell(lambda side: side.flushed(effect.number))

        self._job(done)

    def _do_ack(self, effect: fx.Ack) -> None:
        self.world.application.acknowledged(self.name, effect.seq)

    def _do_fail(self, effect: fx.Fail) -> None:
        self.writes.pop(effect.seq, None)
        self.world.application.failed(effect.seq)

    # ---- the link ----
    def _frame(self, frame: Frame) -> None:
        if self.world.link_up:
            self.outbox.append(frame)

    def _do_sendwrite(self, effect: fx.SendWrite) -> None:
        assert self.side is not None
        self._frame(Frame(None, self.writes[effect.seq], effect.seq, self.side.epoch))

    def _do_sendgrain(self, effect: fx.SendGrain) -> None:
        link = self.world.link

        def done() -> None:
            if self.side is None or self.world.link != link:
                return
            first = effect.grain * CELLS_IN_GRAIN
            cells = tuple((cell, self.disk.cells[cell]) for cell in range(first, first + CELLS_IN_GRAIN))
            self._frame(Frame(None, cells, 0, self.side.epoch))
            self.tell(lambda side: side.grain_sent(effect.grain))

        self._job(done)

    def _do_send(self, effect: fx.Send) -> None:
        self._frame(Frame(effect.word))

    def _do_reconnect(self, effect: fx.Reconnect) -> None:
        self.world.drop_link()

    def hear(self, frame: Frame) -> None:
        side = self.side
        assert side is not None
        if isinstance(frame.word, Hello):
            said, theirs = self.said, frame.word
            assert said is not None
            self.tell(lambda side: side.met(said, theirs))
        elif frame.word is None:
            self._receive(side, frame)
        elif isinstance(frame.word, fx.FlushAsked):
            number = frame.word.number
            link = self.world.link

            def done() -> None:
                self.disk.flush()
                if self.world.link == link:
                    self._frame(Frame(fx.FlushDone(number)))

            self._job(done)
        else:
            word = frame.word
            self.tell(lambda side: side.heard(word))

    def _receive(self, side: Side, frame: Frame) -> None:
        if not side.takes(frame.epoch):
            self.carry_out(side.refuse(frame.epoch))
            return
        for cell, number in frame.cells:
            self.disk.write(cell, number)
        if frame.seq:
            self._frame(Frame(fx.Written(frame.seq)))

    # ---- the cluster ----
    def _do_askoutdated(self, effect: fx.AskOutdated) -> None:
        assert self.side is not None
        self.world.cluster.ask_outdated(self.name, effect.generation, self.side.past.epoch)

    def _do_told(self, effect: fx.Told) -> None:
        self.world.cluster.told(self.name, effect.generation)

    def _do_activated(self, effect: fx.Activated) -> None:
        self.world.cluster.activated(self.name)

    def _do_deactivated(self, effect: fx.Deactivated) -> None:
        self.world.cluster.deactivated(self.name)

    def _do_refused(self, effect: fx.Refused) -> None:
        self.world.note(f"{self.name} refuses: {effect.why}")
        self.world.cluster.refused(self.name)

    def _do_stooddown(self, effect: fx.StoodDown) -> None:
        self.world.note(f"{self.name} stands down: {effect.why}")
        self.world.cluster.deactivated(self.name)


class MirrorWorld:
    """`run(steps)`, then `heal()`. Raises ViolationError; `log` tells the story."""

    cell_bytes = CELL

    def __init__(self, seed: int, grains: int = 22, faults: float = 0.02) -> None:
        self.random = Random(seed)
        self.seed, self.faults = seed, faults
        self.log: list[str] = []
        self.link = 0
        self.link_up = False
        self.steps = 0
        self._names = 0
        self.servers = {"a": Server(self, "a", "b", grains), "b": Server(self, "b", "a", grains)}
        self.application = Application(self, grains * CELLS_IN_GRAIN)
        self.cluster = Cluster(self)
        self.counts = {"crash": 0, "kill": 0, "pause": 0, "cut": 0, "move": 0}
        for server in self.servers.values():
            server.start()
            server.tell(lambda side: side.view(None, self.cluster.epoch))
        self.servers["a"].tell(lambda side: side.construct(full=seed % 4 == 0))

    def name(self) -> str:
        self._names += 1
        return f"g{self._names}"

    def note(self, text: str, *, deep: bool = False) -> None:
        self.log.append(f"{self.steps:6} {'    ' if deep else ''}{text}")

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
        ready = all(server.side is not None and not server.paused for server in self.servers.values())
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
        self._equal_when_they_say_so()
        if (on := self.application.on) and (side := self.servers[on].side) is not None and side.active:
            self.application.look()

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

    # ---- faults ----
    def _fault(self) -> None:
        server = self.random.choice(list(self.servers.values()))
        kind = self.random.choice(
            (
                "crash",
                "crash",
                "kill",
                "pause",
                "cut",
                "cut",
                "move",
                "back",
                "back",
                "back",
                "resume",
                "resume",
                "resume",
            )
        )
        if kind in ("crash", "kill") and server.side is not None:
            self.counts[kind] += 1
            server.crash(power=kind == "crash")
            server.paused = False
            if kind == "crash":
                self.cluster.died(server.name)
            else:
                self.application.leaves(server.name)
                server.start()
                self.cluster.process_back(server.name)
        elif kind == "pause" and server.side is not None:
            self.counts[kind] += 1
            server.paused = True
            self.note(f"{server.name} is paused")
        elif kind == "cut" and self.link_up:
            self.counts[kind] += 1
            self.drop_link()
        elif kind == "move":
            self.counts[kind] += 1
            self.cluster.move()
        elif kind == "back" and server.side is None:
            server.start()
        elif kind == "resume" and server.paused:
            server.paused = False
            self.note(f"{server.name} goes on")

    def heal(self, limit: int = 20_000) -> None:
        """All is well again: within `limit` steps one side is active and both are equal."""
        for server in self.servers.values():
            server.paused = False
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
