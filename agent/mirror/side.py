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
            self.relation in ("apart", "foreign") and not self.doubt()
        ):
            self._begin(self._with(active=True, epoch=order.epoch))
        elif order.alone:
            self._refuse(self.doubt())

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
        self._save(past, self._begun)

    def _begun(self) -> None:
        self._beginning, self.active, self.open, self.in_sync = False, True, True, True
        self._announced = False
        if self.relation in ("equal", "source", "finishing"):
            self._do(fx.Send(fx.Serving(active=True)))
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
            if self.mode != "stalled" and self.traffic.idle:
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
            self.traffic.waiting.append((seq, self.writing.grains(offset, length)))
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
        return self._end()

    def logged(self) -> list[Effect]:
        self.log.written()
        return self._end()

    def bits_saved(self, number: int) -> list[Effect]:
        self.traffic.bits_saved(number)
        if number == self._parting and self.active:
            self._parting = 0
            self._part_well()
        return self._end()

    # ---- what follows from all of it ----
    def _step(self) -> None:
        self._meet()
        self._seek_permit()
        self._try_order()
        self._copy()
        mode = self.mode
        if mode in ("mirrored", "copying", "alone"):
            if not self._announced:
                self._announced = True
                self._do(fx.Activated())
            self.traffic.step(sends=mode != "alone")
            if self._closing and self.traffic.idle and not self.writing.asked:
                self._closed_well()
        elif not self.active and (extents := self.log.cleared()) is not None:
            self._do(fx.Log(extents))
