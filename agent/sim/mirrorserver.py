"""One server of a simulated mirror: a real mind, pretend disks, and what its hands may do next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from agent.mirror import effects as fx
from agent.mirror.activity import EXTENT_BYTES
from agent.mirror.effects import Effect
from agent.mirror.past import Hello
from agent.mirror.side import Side
from agent.sim.mirrordisks import ClusterPartition, DataDisk
from agent.wire.epoch import NO_EPOCH, Epoch

if TYPE_CHECKING:
    from agent.sim.mirror import MirrorWorld

GRAIN = EXTENT_BYTES // 4  # large, so that few grains need several extents of the log
CELLS_IN_GRAIN = 4
CELL = GRAIN // CELLS_IN_GRAIN
LOG_ROOM = 3


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
        self.refused = False  # its disk, as agent/mirrord/trust.py keeps it over the death of a process

    # ---- power and process ----
    def start(self) -> None:
        if self.refused:
            blocks = self.partition.super(self.partition.stored().past.doubted(failed=True))
            self.partition.begin(blocks)
            self.partition.done(blocks)
            self.refused = False
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
            self.refused = False
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
        self.refused = True
        self.world.application.lost_its_cache(self.name)
        self.world.note(f"the disk of {self.name} fails")
        self.tell(lambda side: side.disk_failed(f"The disk of {self.name} has failed."))

    def generations(self) -> set[str]:
        """Those it stands at, or will when what it writes down is on disk."""
        return {self.partition.stored().past.current, *(save.past.current for save, _ in self.saves)}

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
