"""What the agent orders through the control socket, and the answers that it gets.

Rules of this file
- What lets this side go on without the other one, or over it, carries a time (`until`) up to which the agent answers
  for it: that at which this server's lease ends, so that nobody can have been started in its place. A process that was
  held up (SIGSTOP, a machine that slept) finds old words in its socket. Such a word is not obeyed but asked for anew,
  since another side may have become the truth meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from agent.mirror.side import Order
from agent.wire.epoch import Epoch

if TYPE_CHECKING:
    from agent.mirrord.engine import Engine

EpochPair = tuple[int, int]


class _Op(msgspec.Struct, frozen=True, tag_field="op"):
    pass


class View(_Op, frozen=True, tag="view"):
    """`until`, here and below: CLOCK_BOOTTIME; None: whoever says so answers for it at any time."""

    permitted: EpochPair | None
    since: EpochPair
    until: float | None = None


class Activate(_Op, frozen=True, tag="activate"):
    id: str
    epoch: EpochPair
    since: EpochPair
    alone: bool = False
    force: bool = False
    by_hand: bool = False  # by an operator, outside of its group
    until: float | None = None  # of `alone` and `force`


class Deactivate(_Op, frozen=True, tag="deactivate"):
    id: str


class Construct(_Op, frozen=True, tag="construct"):
    id: str
    full: bool = True


class Discard(_Op, frozen=True, tag="discard"):
    id: str


class Break(_Op, frozen=True, tag="break"):
    id: str


class Join(_Op, frozen=True, tag="join"):
    id: str


class Separate(_Op, frozen=True, tag="separate"):
    """For a backup (separation.py); `join` is the end of it."""

    id: str


class Restore(_Op, frozen=True, tag="restore"):
    """This side lets go of its data partition, which an operator is about to write. The process ends."""

    id: str
    over: str = ""  # the generation of the other side


class Outdate(_Op, frozen=True, tag="outdate"):
    generation: str
    epoch: EpochPair


class Outdated(_Op, frozen=True, tag="outdated"):
    generation: str
    until: float | None = None


class Pace(_Op, frozen=True, tag="pace"):
    bytes_s: int


class Verify(_Op, frozen=True, tag="verify"):
    id: str
    repair: bool = False  # what differs is copied from the active side


class VerifyStop(_Op, frozen=True, tag="verify_stop"):
    pass


class Stop(_Op, frozen=True, tag="stop"):
    id: str


Op = (
    View | Activate | Deactivate | Construct | Discard | Break | Join | Outdate | Outdated | Pace | Verify | VerifyStop
    | Stop | Separate | Restore
)  # fmt: skip
_decoder = msgspec.json.Decoder(Op)


def too_late(until: float | None) -> bool:
    """Nobody answers any more for what was said."""
    return until is not None and time.clock_gettime(time.CLOCK_BOOTTIME) > until


def order_of(data: bytes) -> Op:
    """ValueError: what is wrong, and where."""
    order: Op = _decoder.decode(data)
    return order


class Orders:
    """`on_stop` ends the process in good order."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.on_stop: Callable[[], None] = lambda: None
        self.by_hand = False  # active because an operator said so: a daemon that begins anew learns it here
        self._wanted_by_hand = False
        self._activating: tuple[str, EpochPair] | None = None
        self._deactivating: list[str] = []

    def take(self, order: Op) -> None:
        getattr(self, f"_{type(order).__name__.lower()}")(order)

    def _tell(self, kind: str, **fields: Any) -> None:
        self._engine.tell({"type": kind, **fields})

    # ---- the cluster's view ----
    def _view(self, order: View) -> None:
        engine = self._engine
        if not engine.ended:
            given = None if too_late(order.until) else order.permitted
            permitted = Epoch(*given) if given is not None else None
            engine.carry_out(engine.side.view(permitted, Epoch(*order.since)))

    def _outdate(self, order: Outdate) -> None:
        engine, epoch = self._engine, Epoch(*order.epoch)
        engine.carry_out(engine.side.outdate(order.generation, epoch))

    def _outdated(self, order: Outdated) -> None:
        engine = self._engine
        if not engine.ended and not too_late(order.until):
            engine.carry_out(engine.side.outdated_there(order.generation))

    # ---- activation ----
    def _activate(self, order: Activate) -> None:
        engine = self._engine
        if self._activating is not None and self._activating[0] != order.id:
            self._tell("refused", id=self._activating[0], why="A newer order took the place of this one.")
        self._activating = (order.id, order.epoch)
        if hinders := engine.error if engine.ended else "" if order.force else engine.separation.hinders:
            self.refused(hinders)
            return
        if (order.alone or order.force) and too_late(order.until):
            self.refused(
                f"This process was held up, and what it was told of {engine.settings.peer} is too old to be acted on."
            )
            return
        self._wanted_by_hand = order.by_hand
        wanted = Order(Epoch(*order.epoch), Epoch(*order.since), alone=order.alone, force=order.force)
        engine.carry_out(engine.side.activate(wanted))

    def activated(self) -> None:
        if self._activating is not None:
            (name, epoch), self._activating = self._activating, None
            self.by_hand = self._wanted_by_hand
            self._engine.separation.over()
            self._tell("activated", id=name, epoch=list(epoch))

    def refused(self, why: str) -> None:
        if self._activating is not None:
            (name, _), self._activating = self._activating, None
            self._tell("refused", id=name, why=why)

    def _deactivate(self, order: Deactivate) -> None:
        engine = self._engine
        self._deactivating.append(order.id)
        self.refused("It was ordered to deactivate.")
        if engine.ended:
            engine.serving.close()
            self.deactivated()
        else:
            engine.carry_out(engine.side.deactivate())

    def deactivated(self) -> None:
        names, self._deactivating = self._deactivating, []
        for name in names:
            self._tell("deactivated", id=name)

    def stood_down(self, why: str) -> None:
        self.refused(why)
        self._tell("stood_down", why=why)

    # ---- the operator ----
    def _construct(self, order: Construct) -> None:
        engine = self._engine
        if engine.side.constructed:
            self._tell("failed", id=order.id, why="The mirror was constructed already.")
        else:
            self._when_saved(order.id, lambda: engine.side.construct(full=order.full))

    def _discard(self, order: Discard) -> None:
        engine = self._engine
        if engine.active:
            self._tell("failed", id=order.id, why="An active side cannot give its data up.")
        else:
            self._when_saved(order.id, engine.side.discard)

    # ---- backup and restore ----
    def _separate(self, order: Separate) -> None:
        def then(why: str) -> None:
            self._tell("failed", id=order.id, why=why) if why else self._tell("done", id=order.id)

        self._engine.separation.begin(then)

    def _restore(self, order: Restore) -> None:
        engine = self._engine
        if engine.active:
            self._tell("failed", id=order.id, why=f"It is active on {engine.settings.server}.")
            return
        engine.peer.stop("a backup is about to be restored here")
        label = engine.partition.noted(
            restoring_at=time.time(), restoring_over=order.over, isolated=True, separated_at=0.0, trace=None
        )
        engine.saves.put(label, lambda: self._tell("done", id=order.id))
        engine.saves.put([], self.on_stop)

    def _when_saved(self, name: str, act: Callable[[], Any]) -> None:
        engine = self._engine
        if engine.ended:
            self._tell("failed", id=name, why=engine.error)
            return
        engine.carry_out(act())
        engine.saves.put([], lambda: self._tell("done", id=name))

    def _break(self, order: Break) -> None:
        engine = self._engine
        if not engine.partition.label.isolated:
            engine.note("warning", "Isolated by the operator: this server stays apart until it is joined again.")
            engine.peer.stop("isolated by the operator")
        engine.saves.put(engine.partition.noted(isolated=True), lambda: self._tell("done", id=order.id))

    def _join(self, order: Join) -> None:
        engine = self._engine
        isolated = engine.partition.label.isolated
        found = None if engine.ended else engine.separation.end()
        engine.saves.put(
            engine.partition.noted(isolated=False), lambda: self._tell("done", id=order.id, found=found or "")
        )
        if engine.ended:
            # What the disks are now only a new process finds out; the agent starts it.
            engine.saves.put([], self.on_stop)
        elif isolated:
            engine.peer.start()

    def _pace(self, order: Pace) -> None:
        self._engine.copier.set_pace(max(order.bytes_s, 0))
        self._engine.changed()

    def _verify(self, order: Verify) -> None:
        def then(why: str) -> None:
            if why:
                self._tell("failed", id=order.id, why=why)
            else:
                self._tell("done", id=order.id)

        self._engine.verifier.begin(repair=order.repair, then=then)

    def _verifystop(self, _: VerifyStop) -> None:
        self._engine.verifier.stop("It was ended by the operator.")

    def _stop(self, order: Stop) -> None:
        self._tell("done", id=order.id)
        self.on_stop()
