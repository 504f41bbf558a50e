"""A mirror of two simulated servers: real minds, pretend disks, link, cluster and application, one step at a time.

Every step that the hands could take next is one choice of the seed: a write reaches a disk, a frame arrives, a server
loses its power between any two of them. The cluster is the simplest one that keeps the promises of ours: it activates a
server only when the other one has stopped, and tells the survivor so.

Judged after every step of the application and at the end:
- what an active side reads is, cell by cell, no older than the newest acknowledged write that any disk still has;
- what was acknowledged by a flush on both sides is there, whatever else has happened to one of them;
- two sides that call themselves equal and rest have equal disks.
Asynchronous (`queue`), when a side follows an active one that is gone: its disk is the state that the other one had
after some write, and no older than the newest write that it has confirmed.
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
from agent.mirror.traffic import Queue
from agent.sim.mirrorcluster import Application, Cluster
from agent.sim.mirrordisks import ClusterPartition, DataDisk
from agent.wire.epoch import NO_EPOCH, Epoch

GRAIN = EXTENT_BYTES // 4  # large, so that few grains need several extents of the log
CELLS_IN_GRAIN = 4
CELL = GRAIN // CELLS_IN_GRAIN
LOG_ROOM = 3
FAULTS = ("crash", "crash", "kill", "pause", "cut", "cut", "move", *("back",) * 3, *("resume",) * 3)


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
        self.ordered_alone = False  # by the newest order to be active
        self.parting = False  # the connection is gone, and its side does not know it yet
        self.boots = 0

    # ---- power and process ----
    def start(self) -> None:
        self.side = Side(
            self.name, self.peer_name, self.partition.stored(), GRAIN, f"{self.name}{self.boots}", self.world.name,
            self.world.queue,
        )  # fmt: skip
        self.side.log.most = max(LOG_ROOM, len(self.side.log.durable))
        self.world.application.is_back(self.name)
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

    def lose_disk(self) -> None:
        """It refuses a write or a flush: what was not flushed may be gone. The process says so, and is replaced."""
        self.disk.crash(self.world.random)
        self.world.application.lost_its_cache(self.name)
        self.world.note(f"the disk of {self.name} fails")
        self.tell(lambda side: side.disk_failed(f"The disk of {self.name} has failed."))

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
        link = self.world.link
        if self.side is not None and self.side.failed:
            # What it has said last may arrive.
            self._job(lambda: self.world.drop_link() if self.world.link == link else None)
        else:
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
            if isinstance(word, fx.Written) and word.seq in side.writing.on_its_way:
                self.world.application.confirmed(word.seq)
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
        if self.side is not None and self.side.relation == "equal" and self.name == self.world.application.on:
            self.world.application.both_have_all()
        self.world.cluster.deactivated(self.name)

    def _do_tookover(self, effect: fx.TookOver) -> None:
        self.world.count("took over")
        other = self.world.servers[self.peer_name].side
        assert self.side is not None
        failed = self.side.peer_failed or (other is not None and (bool(other.failed) or not other.past.whole))
        # Who gives to the other side has met it: that one had lost its disk before.
        if self.side.relation == "apart" and not self.ordered_alone and not failed:
            self.world.violated(f"{self.name} follows without what {self.peer_name} has, which is there")
        self.world.application.may_lose(self.name)

    def _do_thrownaway(self, effect: fx.ThrownAway) -> None:
        self.world.count("thrown away")
        self.world.application.given_up(self.name)

    def _do_overrun(self, effect: fx.Overrun) -> None:
        self.world.count("overrun")

    def _do_refused(self, effect: fx.Refused) -> None:
        self.world.note(f"{self.name} refuses: {effect.why}")
        self.world.cluster.refused(self.name)

    def _do_stooddown(self, effect: fx.StoodDown) -> None:
        self.world.note(f"{self.name} stands down: {effect.why}")
        self.world.cluster.deactivated(self.name)


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
