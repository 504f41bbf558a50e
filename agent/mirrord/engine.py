"""The mirror process: carries out on disks, device and link what its mind (agent/mirror) decides.

Rules of this file
- Effects are carried out in the order in which the mind has given them. What ends at once is told to the mind at once,
  and what follows stands behind what is still to be done.
- What comes most, and finds the mind at rest, goes the short way (agent/mirror/quick.py) while no effects wait.
- A disk that refuses a write or a flush ends this side (`Side.disk_failed`): it stops serving and answers errors, so
  that the cluster moves the applications to the other side. The mind notes that this disk is no whole copy (unless
  nobody else has its data); the next process is then copied to. Until then it goes on only to say so.
- A read that fails where the disk is bad does the same while the other side has the data, else only that read fails.
- Times of the label are notes for people; nothing is decided by them.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from agent.mirror import effects as fx
from agent.mirror.effects import Effect
from agent.mirror.past import Past
from agent.mirror.quick import GENERAL, Quick
from agent.mirror.side import Side, Stored
from agent.mirror.traffic import Queue
from agent.mirrord import status
from agent.mirrord.behind import Behind
from agent.mirrord.copier import Copier
from agent.mirrord.disk import Disk, DiskError
from agent.mirrord.loopdev import block_size
from agent.mirrord.orders import Orders
from agent.mirrord.partition import Partition
from agent.mirrord.peer import FACTS_S, MakeLink, Peer
from agent.mirrord.poller import Poller
from agent.mirrord.saves import Saves
from agent.mirrord.separation import RestoringError, Separation
from agent.mirrord.serving import Connect, Serving
from agent.mirrord.settings import Settings
from agent.mirrord.trust import AT_REST, REFUSED, Trust
from agent.mirrord.verify import Verifier

TICK_S = 1.0
_SHORTLY_S = 0.02  # several changes are told as one
_PARTING_S = 0.2
_NOTED_S = 60.0  # between two notes of the newest update
QUEUE_BYTES = 64 << 20  # of writes that the other side has not confirmed, asynchronous

Tell = Callable[[dict[str, Any]], None]


def _opened(settings: Settings, poller: Poller, failed: Callable[[str], None]) -> tuple[Partition, Disk, Stored]:
    """DiskError: they cannot be used. Nothing stays open then: this process looks again."""
    partition = Partition.open(settings)
    try:
        if partition.label.restoring_at:
            raise RestoringError(settings, partition.label.restoring_at)
        trust = _trust(settings)
        stored = _trusted(partition, trust)
        disk = Disk(settings.data, poller, failed, trust)
        if disk.size < partition.label.size:
            size = disk.size
            disk.close()
            raise DiskError(f"The data partition {settings.data} has {size} bytes; the mirror disk has "
                            f"{partition.label.size}.")  # fmt: skip
    except BaseException:
        partition.close()
        raise
    return partition, disk, stored


def _trust(settings: Settings) -> Trust:
    try:
        return Trust(settings)
    except OSError as error:
        raise DiskError(f"{settings.trust} cannot be used: {error.strerror}.") from error


def _trusted(partition: Partition, trust: Trust) -> Stored:
    """Also what a process knew that was killed before it could write it down."""
    stored = partition.read()
    if trust.found != AT_REST:
        stored = stored._replace(past=stored.past.doubted(failed=trust.found == REFUSED))
        try:
            partition.write(partition.super(stored.past))
        except OSError as error:
            raise DiskError(
                f"The cluster partition {partition.path} could not be written: {error.strerror}."
            ) from error
    trust.begin()
    return stored


class Engine:
    """`tell` brings an event to whoever listens at the control socket, `note` a line to the log. Raises DiskError."""

    def __init__(
        self,
        settings: Settings,
        poller: Poller,
        tell: Tell,
        note: Callable[[str, str], None],
        *,
        make_link: MakeLink,
        connect: Connect,
    ) -> None:
        self.settings, self.poller = settings, poller
        self.tell, self.note = tell, note
        self.partition, self.disk, stored = _opened(settings, poller, self._disk_failed)
        self.block = block_size(settings.data)
        self.error = ""  # the disks of this side do not work: a sentence
        self.ended = False  # because of that
        self.last_write = 0.0  # of an application, by the poller's clock
        self.last_update = self.partition.label.last_update
        self._todo: deque[Effect] = deque()
        self.carrying = False  # what the mind has said before is still being done
        self._changing = False
        self._noted_at = 0.0
        self._essence: dict[str, Any] = {}  # of the state that was told last
        self._bitmap: tuple[float, list[int]] = (0.0, [])
        self._slow = (0, 0.0)  # what waits for the other side, and since when
        self.newest = Past()  # the superblock as it was ordered last
        self._take_up(stored)
        self.saves = Saves(self.partition, poller, self._disk_failed)
        self.copier = Copier(self)
        self.serving = Serving(self, connect)
        self.verifier = Verifier(self)
        self.separation = Separation(self)
        self.behind = Behind(self)
        self.orders = Orders(self)
        self.peer = Peer(self, make_link)
        self._how: dict[type[Effect], Callable[[Any], None]] = {
            fx.Save: self._do_save,
            fx.Log: self._do_log,
            fx.SaveBits: self._do_save_bits,
            fx.Write: self._do_write,
            fx.Flush: self._do_flush,
            fx.Ack: self._do_ack,
            fx.Fail: self._do_fail,
            fx.SendWrite: self.serving.send,
            fx.SendGrain: self._do_send_grain,
            fx.Send: self._do_send,
            fx.Reconnect: self._do_reconnect,
            fx.AskOutdated: self._do_ask_outdated,
            fx.Told: self._do_told,
            fx.Activated: self._do_activated,
            fx.Deactivated: self._do_deactivated,
            fx.Refused: self._do_refused,
            fx.StoodDown: self._do_stood_down,
            fx.TookOver: self.behind.took_over,
            fx.ThrownAway: self.behind.thrown_away,
            fx.Overrun: self.behind.overrun,
        }

    def _take_up(self, stored: Stored) -> None:
        label = self.partition.label
        self.size, self.grain = label.size, label.grain
        self.newest = stored.past
        settings = self.settings
        # Whoever does not know since when his machine runs may have lost its power meanwhile.
        boot = settings.boot or secrets.token_hex(8)
        queue = Queue(settings.queue_most, QUEUE_BYTES) if settings.asynchronous else None
        self.side = Side(settings.server, settings.peer, stored, self.grain, boot, self._name, queue)

        self.quick = Quick(self.side)

    def _name(self) -> str:
        """Of a generation: when and by which of the two it was begun (status.words_of), and a random part."""
        which = int(self.settings.server > self.settings.peer)
        return f"{int(time.time()):08x}{which}{secrets.token_hex(6)}"

    def take_size(self, size: int, grain: int) -> None:
        """Both sides have agreed, and this one has no data yet. It says hello anew."""
        stored, blocks = self.partition.blank(self.newest, size, grain)
        self.peer.drop("the size of the mirror disk was agreed on")
        self._take_up(stored)
        self.saves.put(blocks)
        self.note("info", f"The mirror disk has {size} bytes, in agreement with {self.settings.peer}.")

    def start(self) -> None:
        if not self.partition.label.isolated:
            self.peer.start()
        self.poller.after(TICK_S, self._tick)
        self.changed()

    # ---- the mind ----
    def carry_out(self, effects: list[Effect]) -> None:
        todo = self._todo
        todo.extend(effects)
        if self.carrying:
            return
        self.carrying = True
        how = self._how
        while todo:
            effect = todo.popleft()
            how[type(effect)](effect)
        self.carrying = False
        if self.copier.held and self.side.traffic.waiting:
            self.copier.hurry(self.side.traffic.waiting[0][1])
        if self.peer.early and self.side.meeting is not None:
            self.peer.go_on()

    # ---- the short way of what comes most (agent/mirror/quick.py) ----
    def written(self, seq: int, *, here: bool) -> None:
        """A disk has this write: the own one, or that of the other side."""
        done = GENERAL if self.carrying or self.ended else self.quick.written(seq, here)
        if done == GENERAL:
            side = self.side
            self.carry_out(side.written(seq) if here else side.heard(fx.Written(seq)))
        elif done:
            self.serving.acknowledge(done)

    def flushed(self, number: int, *, here: bool) -> None:
        done = GENERAL if self.carrying or self.ended else self.quick.flushed(number, here=here)
        if done == GENERAL:
            side = self.side
            self.carry_out(side.flushed(number) if here else side.heard(fx.FlushDone(number)))
        elif done:
            self.serving.acknowledge(done)

    def flush(self, number: int) -> None:
        """The own disk. The other side begins at once, if it was asked."""
        side = self.side
        self.peer.link.flush()

        def done(error: OSError | None) -> None:
            if error is None and side is self.side and not self.ended:
                self.flushed(number, here=True)

        self.disk.flush(done)

    # ---- effects ----
    def _do_save(self, effect: fx.Save) -> None:
        self.newest = effect.past
        side, number = self.side, effect.number
        self.saves.put(self.partition.super(effect.past), lambda: self._told(lambda: side.saved(number)))
        self.changed()

    def _told(self, call: Callable[[], list[Effect]]) -> None:
        """Of a side that may have been replaced meanwhile (`take_size`)."""
        if not self.ended:
            self.carry_out(call())

    def _do_log(self, effect: fx.Log) -> None:
        side = self.side
        self.saves.put(self.partition.log(effect.extents), lambda: self._told(side.logged))

    def _do_save_bits(self, effect: fx.SaveBits) -> None:
        side, number = self.side, effect.number
        blocks = self.partition.bits(side.traffic.bits_to_save(number), effect.blocks)
        self.saves.put(blocks, lambda: self._told(lambda: side.bits_saved(number)))

    def _do_write(self, effect: fx.Write) -> None:
        self.last_write = self.poller.now()
        self.verifier.writes(effect.seq)
        self.serving.write(effect)

    def _do_flush(self, effect: fx.Flush) -> None:
        self.flush(effect.number)

    def _do_ack(self, effect: fx.Ack) -> None:
        self.serving.acknowledge(effect.seq)

    def _do_fail(self, effect: fx.Fail) -> None:
        self.serving.fail(effect.seq)

    def _do_send_grain(self, effect: fx.SendGrain) -> None:
        self.copier.want(effect.grain)

    def _do_send(self, effect: fx.Send) -> None:
        self.peer.say(effect)
        if not isinstance(effect.word, fx.FlushAsked):
            self.changed()

    def _do_reconnect(self, _: fx.Reconnect) -> None:
        if self.ended:
            # The last word of this side, that its disk has failed, shall arrive.
            self.peer.link.flush()
            self.poller.after(_PARTING_S, lambda: self.peer.stop("this side has ended"))
        else:
            self.peer.drop("what was said on the connection does not hold any more")
        self.changed()

    # ---- to the agent ----
    def _do_ask_outdated(self, effect: fx.AskOutdated) -> None:
        self.tell({"type": "ask_outdated", "generation": effect.generation, "epoch": list(self.side.past.epoch)})

    def _do_told(self, effect: fx.Told) -> None:
        self.tell({"type": "told", "generation": effect.generation})

    def _do_activated(self, _: fx.Activated) -> None:
        # What the other side sent before has to be read by the applications.
        self.disk.after_writes(self._activated)

    def _activated(self) -> None:
        if self.side.active and not self.ended:
            if not self.serving.wanted:
                self.note("info", f"Active from now on, by order {self.side.past.epoch}; {self.side.mode}.")
            self.serving.open()
            self.orders.activated()
            self.changed()

    def _do_deactivated(self, _: fx.Deactivated) -> None:
        if self.serving.wanted:
            self.note("info", "Not active any more.")
        self.serving.close()
        self.orders.deactivated()
        self.note_times()
        self.changed()

    def _do_refused(self, effect: fx.Refused) -> None:
        self.note("warning", f"Activation refused: {effect.why}")
        self.orders.refused(effect.why)

    def _do_stood_down(self, effect: fx.StoodDown) -> None:
        self.note("error", f"Stood down: {effect.why}")
        self.serving.refuse()
        self.orders.stood_down(effect.why)
        self.changed()

    # ---- disks that do not work ----
    def _disk_failed(self, why: str) -> None:
        """The data partition, or the cluster partition: then only this process knows, and the next one learns by a log
        that counts."""
        if self.ended:
            return
        self.ended, self.error = True, why
        self.note("error", f"{why} This server serves the mirror disk no longer.")
        self._todo.clear()
        self.serving.refuse()
        self.carry_out(self.side.disk_failed(why))
        self.changed()

    def read_failed(self, offset: int, error: OSError) -> None:
        self.note("error", f"The data partition {self.settings.data} could not be read at {offset}: {error.strerror}.")
        if self.side.relation == "equal":
            self._disk_failed(f"The data partition {self.settings.data} could not be read: {error.strerror}.")

    def copy_failed(self, offset: int, error: OSError) -> None:
        """The target cannot have what nobody can read. It stays no whole copy, and people have to choose."""
        self.error = f"The data partition {self.settings.data} could not be read at {offset}: {error.strerror}."
        self.note("error", f"{self.error} The copy cannot go on.")
        self.changed()

    # ---- figures ----
    @property
    def active(self) -> bool:
        return self.side.active and not self.ended

    @property
    def discards(self) -> bool:
        theirs = self.peer.theirs
        return self.disk.discards and (theirs is None or theirs.discards)

    @property
    def dirty_bytes(self) -> int:
        return min(self.side.writing.dirty.count * self.grain, self.size)

    def bitmap(self) -> list[int]:
        """As it was within the last second."""
        now = self.poller.now()
        if now - self._bitmap[0] > TICK_S or not self.side.writing.dirty.count:
            self._bitmap = (now, status.bitmap(self.side.writing.dirty))
        return self._bitmap[1]

    def updated(self) -> None:
        """This disk has had a write."""
        self.last_update = time.time()

    def note_times(self) -> None:
        """What people want to know after a crash as well."""
        label, equal = self.partition.label, self.side.relation == "equal"
        broken_at = 0.0 if equal else label.broken_at or (time.time() if self.side.constructed else 0.0)
        if (label.last_update, label.broken_at) != (self.last_update, broken_at):
            self._noted_at = self.poller.now()
            self.saves.put(self.partition.noted(last_update=self.last_update, broken_at=broken_at))

    def changed(self) -> None:
        """Something that people and the agent want to know: told soon, several at a time."""
        if not self._changing:
            self._changing = True
            self.poller.after(_SHORTLY_S, self._tell_state)

    def _tell_state(self) -> None:
        self._changing = False
        state = status.state(self)
        if state["in_sync"] != self._essence.get("in_sync"):
            self.note_times()
        if state["in_sync"] and not self.side.writing.dirty.count:
            self.verifier.is_equal()
            self.behind.is_equal()
            self.separation.is_equal()
        self.peer.tell_facts(status.facts(self))
        essence = status.essence(state)
        if essence != self._essence:
            self._essence = essence
            self.tell(state)

    def state(self) -> dict[str, Any]:
        return status.state(self)

    def _tick(self) -> None:
        self.poller.after(TICK_S, self._tick)
        if self.side.active and self.poller.now() - self.last_write < 2 * FACTS_S:
            self.updated()
        if self.side.mode == "stalled":
            self._told(self.side.ask_again)
        self._look_for_answers()
        self.behind.tick()
        self.serving.tick()
        if self.poller.now() - self._noted_at > _NOTED_S:
            self.note_times()
        self._tell_state()

    def _look_for_answers(self) -> None:
        """The other side may live and its disk hang: nobody shall wait for that for ever."""
        writing = self.side.writing
        late = next((write.seq for write in writing.on_its_way.values() if write.here and not write.there), 0)
        late = late or next((-flush.number for flush in writing.asked if flush.here and not flush.there), 0)
        now = self.poller.now()
        if late != self._slow[0] or not late:
            self._slow = (late, now)
        elif now - self._slow[1] > self.settings.ack_s:
            self.peer.drop(f"{self.settings.peer} has not answered a write or a flush for {self.settings.ack_s:g} s")

    # ---- the end ----
    @property
    def at_rest(self) -> bool:
        return self.saves.idle and self.serving.idle
