"""One side of a mirror: what it does with its data when writes, the other side, the cluster or a restart speak.

Rules of this file (why: head of the package)
- Two things are told apart: whether this side is `active`, and its `relation` to the other one. What happens to writes
  follows from both and from what is durable (`mode`), so that no mixture has to be thought of:
  equal or finishing: `mirrored`; else, when the disk says that the other side is behind: `copying` to a target, which
  gets the writes as well, or `alone`; else `stalled`: they wait.
- `in_sync`: this side has had every acknowledged write since it began to run, and its server has belonged to every view
  since. Only then, or when its own disk says that the other one is behind, may it follow an active side that is gone.
  A repair does not end it, since the source acknowledges nothing meanwhile.
- Nothing durable is assumed before the hands have said so: what follows a save is kept in `_then`. While a save is on
  its way, nobody is met: a hello tells what is durable, and what it told still holds when the other side acts on it.
- A side that begins to serve, stops serving or learns something that its hello did not tell says hello anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import msgspec

from agent.mirror import effects as fx
from agent.mirror.effects import Effect
from agent.mirror.past import Past
from agent.mirror.relation import Order, Relating, Stored

__all__ = ["Order", "Side", "Stored"]


class Side(Relating):
    """`name()` gives a generation that nobody has given before, on whichever server. Every method that the hands call
    returns effects in order."""

    # ---- activation ----
    def activate(self, order: Order) -> list[Effect]:
        if self.failed:
            self._refuse(self.failed)
            return self._end()
        self._belongs(order.since)
        self.order = order
        if order.alone:
            self.permitted = order.epoch
        return self._end()

    def doubt(self) -> str:
        """Why this side must not follow without the other one; empty: it may. Read it aloud at 3 a.m."""
        past = self._coming
        if not past.current:
            return "The mirror was not constructed yet."
        if not past.whole:
            return f"The disk of {self.server} is no whole copy: it was being copied to."
        if self.relation == "foreign" and self.meeting:
            return self.meeting.why
        if past.peer == "behind":
            return ""
        if past.outdated:
            return f"{self.peer} has gone on without {self.server}; its data is newer."
        if not self.in_sync:
            return f"{self.server} cannot know whether {self.peer} has gone on without it."
        return ""

    def _try_order(self) -> None:
        order = self.order
        if order is None or self._beginning or self._then or self._met:
            return
        if self.active:
            self._keep(order)
        elif order.epoch < self._coming.epoch:
            self._refuse("A newer activation is known here.")
        elif order.force:
            self._reconnect()
            past = self._with(peer="equal", whole=True, outdated=False, discards=False)
            self._begin(msgspec.structs.replace(past.alone(self._name(), order.epoch), peer_at=()))
        elif order.alone and self.relation != "apart":
            # Nothing of a server that the cluster goes on without is taken from now on.
            self._reconnect()
        elif (self.relation in ("equal", "source", "finishing") and not self.peer_active) or (
            self.relation in ("apart", "foreign") and not self.doubt() and not self.awaited
        ):
            if self.may_lack:
                self._follow(order)
            else:
                self._begin(self._with(active=True, epoch=order.epoch))
        elif order.alone:
            self._refuse(self.doubt())

    @property
    def awaited(self) -> str:
        """Why an order waits for the other side, which is there and has more. Empty: it need not."""
        order = self.order
        if order is None or order.alone or order.force or not self.may_lack or self.peer_failed:
            return ""
        return (
            f"{self.peer} may have the newest writes, and {self.server} may not (asynchronous mode): both have to meet."
        )

    def _keep(self, order: Order) -> None:
        """Ordered again. Another activation is none of ours: what this one has done meanwhile nobody knows."""
        self.order = None
        if order.epoch == self.past.epoch:
            self._do(fx.Activated())
        else:
            self._refuse(f"{self.server} is active by an older order; it has to be deactivated first.")

    def _refuse(self, why: str) -> None:
        self.order = None
        self._do(fx.Refused(why))

    def _begin(self, past: Past) -> None:
        self.order, self._beginning = None, True
        self._save(msgspec.structs.replace(past, ahead=past.ahead or self._runs_ahead), self._begun)

    def _follow(self, order: Order) -> None:
        """What the other side has acknowledged as flushed, and this disk has, is flushed here before anybody reads."""
        self._following = (self.traffic.next_number(), order)
        self.order, self._beginning, self.may_lack = None, True, False
        self._do(fx.TookOver(), fx.Flush(self._following[0]))

    def _followed(self, order: Order) -> None:
        self._following = None
        self._begin(self._with(active=True, epoch=order.epoch))

    def _begun(self) -> None:
        self._beginning, self.active, self.open, self.in_sync = False, True, True, True
        self._announced = False
        if self.relation in ("equal", "source", "finishing"):
            self._do(fx.Send(fx.Serving(active=True, ahead=self._runs_ahead)))
        elif self._met is not None:
            self._reconnect()

    @property
    def constructed(self) -> bool:
        return bool(self._coming.current)

    def construct(self, *, full: bool) -> list[Effect]:
        """This disk is the first truth. Not `full`: the disks are the same already, as after making a file system."""
        if self.constructed:
            return self._end()
        past = self._with(current=self._name(), peer="behind", peer_at=() if full else ("",))
        self._save(past, self._reconnect)
        return self._end()

    def discard(self) -> list[Effect]:
        """The operator gives up what this side has written without the other one."""
        if not self.active:
            self.in_sync = False
            self._save(self._with(discards=True), self._reconnect)
        return self._end()

    def deactivate(self) -> list[Effect]:
        """The applications have let go of the device. Writes that wait or are on their way fail."""
        self.order = None
        if self.active:
            if self.mode != "stalled" and self.traffic.answered:
                # Asynchronous: what the other side lacks stands before this flush on the link.
                self._closing = True
                self.traffic.ask_flush(0, sends=self.mode != "alone")
            else:
                self.traffic.fail()
                self._stop_serving()
        else:
            self._do(fx.Deactivated())
        return self._end()

    def _stop_serving(self) -> None:
        """Not in good order: the log on disk keeps what may differ, and the next meeting repairs it."""
        self.active, self._closing = False, False
        self._reconnect()
        self._do(fx.Deactivated())

    def _closed_well(self) -> None:
        self._closing = False
        if self.relation == "equal":
            self.active = False
            self._do(fx.Send(fx.Serving(active=False)), fx.Deactivated())
            self._close()
        elif self.mode == "alone":
            self._parting = self.traffic.save_all_bits()
        else:
            self._stop_serving()

    def _part_well(self) -> None:
        """Alone, with all that the other side lacks on disk as bits."""
        self._save(self._with(active=False), self._parted)

    def _parted(self) -> None:
        self.open = False
        self.log.clear()
        self._stop_serving()

    def _stand_down(self, why: str) -> None:
        self.traffic.fail()
        self.active, self.in_sync = False, False
        self._reconnect()
        self._do(fx.StoodDown(why))

    # ---- writes and flushes of the application ----
    @property
    def _serves(self) -> bool:
        return self.active and not self._closing and not self._parting

    def write(self, seq: int, offset: int, length: int) -> list[Effect]:
        """`seq` is above 0 and never used again."""
        if self._serves:
            self.traffic.waiting.append((seq, self.writing.grains(offset, length), length))
        else:
            self._do(fx.Fail(seq))
        return self._end()

    def flush(self, seq: int) -> list[Effect]:
        if self._serves:
            self.traffic.held.append(seq)
        else:
            self._do(fx.Fail(seq))
        return self._end()

    def written(self, seq: int) -> list[Effect]:
        self.traffic.written(seq, here=True)
        return self._end()

    def flushed(self, number: int) -> list[Effect]:
        self.traffic.flushed(number, here=True)
        self.copying.flush_done(number)
        if number == self._taking[0]:
            self._taken_over()
        if self._following is not None and number == self._following[0]:
            self._followed(self._following[1])
        return self._end()

    def logged(self) -> list[Effect]:
        self.log.written()
        return self._end()

    def bits_saved(self, number: int) -> list[Effect]:
        self.traffic.bits_saved(number)
        if number == self._parting and self.active:
            self._parting = 0
            self._part_well()
        if number == self._repairing:
            self._repairing = 0
            self._save(self._with(ahead=True), self._reconnect)
        return self._end()

    # ---- what the hands have found ----
    def repair(self, grains: Iterable[int]) -> list[Effect]:
        """Both sides are equal by all that is known, and their disks differ there. The other one takes ours, and is no
        whole copy until it has."""
        if self.relation == "equal" and not self.peer_active and not self._repairing:
            marked = list(grains)
            self.writing.dirty.update(marked)
            self._repairing = self.traffic.save_bits(marked)
        return self._end()

    def disk_failed(self, why: str) -> list[Effect]:
        """This side only says so from now on."""
        if not self.failed:
            self.failed = why
            self._do(fx.Send(fx.GaveUp()))
            self._then = deque((number, past, lambda: None) for number, past, _ in self._then)
            self._following = None
            self._save(self._coming.doubted(failed=True))
            if self.active:
                self._stand_down(why)
            else:
                self._reconnect()
                self._refuse(why)
        return self._end()

    # ---- what follows from all of it ----
    def _rests(self) -> bool:
        """`_step` has nothing to do but to say what becomes of the next write or flush."""
        if not self.active or self.relation != "equal" or self.order is not None or self._met is not None:
            return False
        if self._then or self._beginning or self._closing or self._parting or self._following or self.failed:
            return False
        return self._announced and not self.copying.reading and self.traffic.rests

    def _step(self) -> None:
        if self.failed:
            return
        self._meet()
        self._seek_permit()
        self._try_order()
        self._copy()
        mode = self.mode
        if mode in ("mirrored", "copying", "alone"):
            if not self._announced:
                self._announced = True
                self._do(fx.Activated())
            self.traffic.step(sends=mode != "alone", skips=mode == "copying" and self._coming.peer == "behind")
            if self.traffic.overrun:
                self._do(fx.Overrun())
                self._reconnect()
            if self._closing and self.traffic.idle and not self.writing.asked:
                self._closed_well()
        elif self._closing and self.relation == "apart":
            # Nobody waits for anything, and who follows asks this side first for what it lacks.
            self._stop_serving()
        elif not self.active and (extents := self.log.cleared()) is not None:
            self._do(fx.Log(extents))
