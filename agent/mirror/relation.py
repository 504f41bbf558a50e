"""One side of a mirror and the other one: how they meet, who copies what, who may go on alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import msgspec

from agent.mirror import effects as fx
from agent.mirror.activity import ActivityLog
from agent.mirror.bits import Bits
from agent.mirror.copying import Copying
from agent.mirror.effects import Effect
from agent.mirror.past import Hello, Meeting, Past, meet
from agent.mirror.ranges import ranges_of
from agent.mirror.traffic import Queue, Traffic
from agent.mirror.writing import Writing
from agent.wire.epoch import Epoch

Mode = Literal["off", "stalled", "mirrored", "copying", "alone"]
# equal: both have the same; source, finishing: we copy, the target takes our generation over; target: we are copied to;
# foreign: met, but neither can follow the other one without the operator; apart: not met.
Relation = Literal["apart", "equal", "source", "finishing", "target", "foreign"]


class Stored(NamedTuple):
    """What the cluster partition holds."""

    past: Past
    bits: Bits
    extents: tuple[int, ...]


class Order(NamedTuple):
    """Of the cluster: this side shall be active. `since`: the first view from which on this server has belonged to all.
    `alone`: the other server is outside of the view and has certainly stopped. `force`: the operator takes the loss."""

    epoch: Epoch
    since: Epoch
    alone: bool = False
    force: bool = False


class Relating:
    """What `Side` (side.py, whose head has the rules) knows of the other one."""

    def __init__(
        self,
        server: str,
        peer: str,
        stored: Stored,
        grain_bytes: int,
        boot: str,
        name: Callable[[], str],
        queue: Queue | None = None,
    ) -> None:
        self.server, self.peer = server, peer
        self.boot = boot  # names the time since this machine was switched on
        self.past = stored.past  # on disk
        self._coming = stored.past  # on disk when all saves are done
        self._name = name
        self.log = ActivityLog()
        self.log.durable.update(dict.fromkeys(stored.extents))
        size = stored.bits.size
        self.writing = Writing(grain_bytes, Bits(size, stored.bits.part(0, size)), self.log, stored.bits)
        self.copying = Copying(self.writing)
        self.traffic = Traffic(self.writing, self.copying, self._do, queue)
        self.open = stored.past.active
        if self.open:
            self._mark(stored.extents)
        self.in_sync = False
        self.active = False
        self.relation: Relation = "apart"
        self.meeting: Meeting | None = None
        self.peer_active = False
        self.may_lack = False  # the active side acknowledges, or did to its end, what this one does not have
        self.peer_failed = False  # its disk: it will not give what this side lacks any more
        self.failed = ""  # the own disk: a sentence
        self.permitted: Epoch | None = None  # the activation that may go on without the other server
        self.order: Order | None = None
        self._since: Epoch | None = None
        self._met: tuple[Hello, Hello] | None = None  # to be acted upon when the saves on their way are done
        self._permit = ""  # name of the generation for which the other side was asked to be outdated
        self._number = 0
        self._then: deque[tuple[int, Past, Callable[[], None]]] = deque()  # saves on their way, and what follows
        self._taking: tuple[int, str, tuple[str, ...]] = (0, "", ())  # flush before it, generation, history
        self._beginning = False  # an activation is being written down
        self._following: tuple[int, Order] | None = None  # a flush before it
        self._gives_up = False  # what it was ahead with; told once
        self._repairing = 0  # number of the bits that a repair waits for
        self._announced = True  # the agent knows of the activation; nothing is read before
        self._closing = False  # a deactivation waits for its flush
        self._parting = 0  # number of the bits that a deactivation waits for
        self._out: list[Effect] = []
        self.at_rest = False  # nothing but writes and flushes of the application goes on (quick.py)

    @property
    def mode(self) -> Mode:
        if not self.active:
            return "off"
        if self.relation in ("equal", "finishing"):
            return "mirrored"
        if self.past.peer == "behind" and self.relation != "target":
            return "copying" if self.relation == "source" else "alone"
        return "stalled"

    # ---- small things that every entry uses ----
    def _step(self) -> None:
        raise NotImplementedError

    def _rests(self) -> bool:
        raise NotImplementedError

    def _stand_down(self, why: str) -> None:
        raise NotImplementedError

    def _end(self) -> list[Effect]:
        self._step()
        self.at_rest = self._rests()
        out, self._out = self._out, []
        return out

    def _do(self, *effects: Effect) -> None:
        self._out.extend(effects)

    def _save(self, past: Past, then: Callable[[], None] = lambda: None) -> None:
        self._coming = past
        self._number += 1
        self._then.append((self._number, past, then))
        self._do(fx.Save(self._number, past))

    def _with(self, **changes: object) -> Past:
        return msgspec.structs.replace(self._coming, **changes)

    def saved(self, number: int) -> list[Effect]:
        """This superblock is on stable storage, and every one before it."""
        while self._then and self._then[0][0] <= number:
            _, self.past, then = self._then.popleft()
            then()
        return self._end()

    def _mark(self, extents: tuple[int, ...]) -> None:
        per, dirty = self.writing.grains_in_extent, self.writing.dirty
        for extent in extents:
            dirty.update(range(extent * per, min((extent + 1) * per, dirty.size)))

    # ---- the other side ----
    def hello(self) -> Hello:
        ranges = ranges_of(self.writing.doubtful()) if self.open and not self.active else ()
        intact = self.active or self.past.boot == self.boot
        return Hello(server=self.server, past=self.past, intact=intact, active=self.active, open=self.open,
                     ranges=ranges)  # fmt: skip

    def met(self, mine: Hello, theirs: Hello) -> list[Effect]:
        """Both have said hello on a new connection. `mine` is what was sent on it."""
        self._met = (mine, theirs)
        return self._end()

    def _meet(self) -> None:
        if self._met is None or self._then or self._following is not None:
            return
        (mine, theirs), self._met = self._met, None
        # Whoever answers is not gone: what was allowed without it has to be asked for again.
        self._permit, self.permitted = "", None
        if mine != self.hello():
            self._reconnect()
            return
        self.peer_active, self.peer_failed = theirs.active, False
        # A disk that has failed gives nothing of what it had more.
        gone = theirs.open and not theirs.past.whole and theirs.past.current == self._coming.current
        self.may_lack = theirs.past.ahead and (theirs.active or gone)
        self.meeting = meeting = meet(mine, theirs)
        if meeting.role == "stands down":
            self._stand_down(meeting.why)
            return
        becomes_no_copy = meeting.role == "target" and not meeting.repair
        if theirs.past.epoch > self._coming.epoch and not becomes_no_copy:
            self._save(self._with(epoch=theirs.past.epoch))
        if meeting.role == "equal":
            self._equal()
        elif meeting.role == "source":
            self._begin_source(meeting, theirs)
        elif meeting.role == "target":
            self._begin_target(meeting, theirs)
        else:
            self.relation, self.in_sync = "foreign", self.in_sync and self.active

    def unlinked(self) -> list[Effect]:
        """The connection is gone; what was on its way may have arrived or not."""
        self._part()
        return self._end()

    def _part(self) -> None:
        self._met, self.meeting, self.peer_active = None, None, False
        self.copying.stop()
        self.traffic.lost_the_other()
        self.relation, self._permit = "apart", ""

    def _reconnect(self) -> None:
        self._part()
        self._do(fx.Reconnect())

    def heard(self, word: fx.Word) -> list[Effect]:
        match word:
            case fx.Written(seq):
                self.traffic.written(seq, here=False)
            case fx.FlushDone(number):
                self.traffic.flushed(number, here=False)
                self.copying.flush_done(number)
            case fx.Ready() if self.relation == "source":
                self.copying.ready = True
            case fx.Finish(current, history) if self.relation == "target":
                self._take_over(current, history)
            case fx.Finished(current) if self.relation == "finishing" and current == self.past.current:
                self._equal()
            case fx.Serving(active, ahead):
                self.peer_active, self.may_lack = active, active and ahead
            case fx.GaveUp():
                self.peer_failed = True
                self._reconnect()
            case fx.TooOld() if self.active:
                self._stand_down(f"{self.peer} was activated after this server.")
            case _:
                pass  # Of a relation that has ended.
        return self._end()

    # ---- in sync ----
    def _equal(self) -> None:
        self.relation, self.in_sync = "equal", True
        past = self._with(
            peer="equal", peer_at=(self._coming.current,), boot=self.boot, outdated=False, ahead=self._runs_ahead
        )
        if past != self._coming:
            self._save(past, self._caught_up if self._coming.ahead and not past.ahead else lambda: None)
        if not self.active and not self._beginning:
            self._close()

    def _caught_up(self) -> None:
        """After a repair: whoever follows from now on lacks nothing."""
        if self.relation == "equal" and self.active:
            self._do(fx.Send(fx.Serving(active=True, ahead=False)))

    @property
    def _runs_ahead(self) -> bool:
        """It is told to the applications that a write is safe before the other side has it."""
        return self.traffic.queue is not None and (self.active or self._beginning)

    def _close(self) -> None:
        """Nothing of this disk is in doubt any more."""
        if self.open or self.log.durable or self.writing.saved.count or self._coming.ahead:
            self._save(self._with(active=False, ahead=False), self._closed)

    def _closed(self) -> None:
        self.open = False
        self.log.clear()
        self.traffic.save_all_bits()

    # ---- source ----
    def _begin_source(self, meeting: Meeting, theirs: Hello) -> None:
        if meeting.scope == "all":
            self.writing.dirty.fill()
        for first, stop in theirs.ranges:
            self.writing.dirty.update(range(first, min(stop, self.writing.dirty.size)))
        self.relation = "source"
        self.copying.begin()

    def grain_sent(self, grain: int) -> list[Effect]:
        self.copying.was_sent(grain)
        return self._end()

    def _copy(self) -> None:
        if self.relation != "source" or not self.copying.ready:
            return
        self._do(*(fx.SendGrain(grain) for grain in self.copying.next()))
        if self.copying.flush_due():
            number = self.traffic.next_number()
            self.copying.flush_asked(number)
            self._do(fx.Send(fx.FlushAsked(number)), fx.Flush(number))
        if self.copying.over and not self._then:
            self._finish()

    def _finish(self) -> None:
        if self.past.peer == "equal":
            self.relation = "finishing"
            self._do(fx.Send(fx.Finish(self.past.current, self.past.history)))
        else:
            # From this save on the other side may be equal, whatever becomes of the word.
            past = self._with(peer="equal", peer_at=tuple(dict.fromkeys((*self._coming.peer_at, self._coming.current))))
            self._save(past)

    # ---- target ----
    def _begin_target(self, meeting: Meeting, theirs: Hello) -> None:
        self.relation = "target"
        if meeting.repair:
            self._do(fx.Send(fx.Ready()))
            return
        self.in_sync = False
        if self.open and self._coming.ahead and not self._gives_up:
            self._gives_up = True
            self._do(fx.ThrownAway(len(set(self.writing.doubtful()))))
        # The epoch of the giver, never before the word that this is no whole copy: who has that epoch alone claims as
        # much as the giver, and on the next connection both could give way to the other one.
        past = self._with(whole=False, epoch=max(theirs.past.epoch, self._coming.epoch))
        self._save(past, lambda: self._do(fx.Send(fx.Ready())))

    def _take_over(self, current: str, history: tuple[str, ...]) -> None:
        self._taking = (self.traffic.next_number(), current, history)
        self._do(fx.Flush(self._taking[0]))

    def _taken_over(self) -> None:
        _, current, history = self._taking
        self._taking = (0, "", ())
        if self.relation != "target":
            return
        past = self._with(current=current, history=history, peer_at=(current,), peer="equal", whole=True,
                          outdated=False, active=False, discards=False, ahead=False, boot=self.boot)  # fmt: skip
        self._save(past, partial(self._target_done, current))

    def _target_done(self, current: str) -> None:
        self.writing.dirty.clear()
        self._closed()
        if self.relation == "target":
            self.relation, self.in_sync = "equal", True
            self._do(fx.Send(fx.Finished(current)))

    @property
    def epoch(self) -> Epoch:
        """Of what this side sends."""
        return self.past.epoch if self.active else self._coming.epoch

    def takes(self, epoch: Epoch) -> bool:
        """A write or a grain of the other side may be applied here; if not, `refuse` it."""
        return not self.active and self.relation in ("equal", "target") and epoch >= self._coming.epoch

    def refuse(self, epoch: Epoch) -> list[Effect]:
        """Nothing that follows on this connection counts: there is a hole in it."""
        if epoch < self._coming.epoch:
            self._do(fx.Send(fx.TooOld()))
        self._reconnect()
        return self._end()

    # ---- alone ----
    def view(self, permitted: Epoch | None, since: Epoch) -> list[Effect]:
        """The view in force goes on without the other server, which has certainly stopped, and keeps this activation.
        None: the other one belongs to it. An activation of which the cluster does not know any more gets no permit.
        `since`: the first view from which on this server has belonged to all."""
        self._belongs(since)
        self.permitted = permitted
        return self._end()

    def _belongs(self, since: Epoch) -> None:
        """Whoever was left out of a view knows nothing any more: the other side was permitted to go on."""
        if since != self._since:
            self.in_sync = False
            if self.relation != "apart" and not self.active:
                self._reconnect()
        self._since = since

    def _seek_permit(self) -> None:
        if self.mode != "stalled" or self._then or self._met:
            return
        if self.relation == "source":
            self._leave_behind()
        if self.relation not in ("apart", "foreign"):
            return
        if self.permitted == self.past.epoch or self._permit == "given":
            self._permit = ""
            self._save(self._coming.alone(self._name(), self._coming.epoch))
        elif not self._permit:
            self._permit = self._name()
            self._do(fx.AskOutdated(self._permit))

    def _leave_behind(self) -> None:
        """A target that has written down that it is no whole copy needs no other word: nobody can activate it
        unknowingly. The applications do not wait for its copy."""
        repairs = self.meeting is not None and self.meeting.repair
        if self.past.ahead and self.copying.ready and not self.copying.over and not repairs:
            self._save(self._coming.alone(self._name(), self._coming.epoch))

    def ask_again(self) -> list[Effect]:
        """From time to time while writes wait."""
        if self._permit and self._permit != "given":
            self._do(fx.AskOutdated(self._permit))
        return self._end()

    def outdated_there(self, generation: str) -> list[Effect]:
        """The other side has written down that it is outdated."""
        if generation and generation == self._permit:
            self._permit = "given"
        return self._end()

    def outdate(self, generation: str, epoch: Epoch) -> list[Effect]:
        """The other side, which is active in `epoch`, asks to go on alone."""
        if self.failed:
            # This process is active no more, and the next one will not know enough to be: yes in any case.
            if epoch >= self._coming.epoch:
                self._save(self._with(outdated=True, epoch=epoch))
                self._do(fx.Told(generation))
        elif not self.active and not self._beginning and epoch >= self._coming.epoch:
            self._reconnect()
            self.in_sync = False
            self._save(self._with(outdated=True, epoch=epoch), lambda: self._do(fx.Told(generation)))
        return self._end()
