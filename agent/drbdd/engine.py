"""The mirror process of a disk whose engine is DRBD: what the cluster orders, carried out by the kernel.

Rules of this file
- One thing is done at a time (`_do`), in a thread; a look at the kernel follows each, and one comes every second. What
  is decided is decided in the loop, by the newest look.
- A permit to go on without the other side is for the activation that it was given for, and ends as soon as both are
  connected again. Only it answers a handler with "the other side is out".
- After the promotion that it was asked for the kernel calls the handler as well; the decision was made before.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from secrets import token_hex
from typing import Any

from agent.drbdd import memory, status
from agent.drbdd.handler import NO_WORD, OTHER_IS_OUT
from agent.drbdd.kernel import DrbdError, Kernel
from agent.drbdd.mind import Known, Wanted, act_of, mode_of, relation_of
from agent.drbdd.orders import Fence, Parted, orders, too_late
from agent.drbdd.words import Seen
from agent.mirrord.disk import DiskError
from agent.mirrord.poller import Poller
from agent.mirrord.settings import Settings
from agent.wire.epoch import Epoch

LOOK_S, _AGAIN_S, _RETRY_S = 1.0, 2.0, 10.0
_NO_BACKUP = (
    "A mirror disk whose engine is DRBD is not separated for a backup: make a snapshot below it (LVM), or copy from "
    "where it is mounted."
)
Tell = Callable[[dict[str, Any]], None]


class Engine:
    def __init__(self, settings: Settings, poller: Poller, tell: Tell, note: Callable[[str, str], None]) -> None:
        self.settings, self.poller, self.tell, self.note = settings, poller, tell, note
        self.kernel = Kernel(settings)
        self.memory = memory.remembered(settings)
        self.seen, self.trouble, self.ready = Seen(), "", False
        self.in_sync = False
        self.rate: tuple[float, int, float] = (0.0, 0, 0.0)  # when, bytes left, bytes a second
        self.pace = 0
        self.on_stop: Callable[[], None] = lambda: None
        self._since: tuple[int, int] | None = None
        self._permitted: Epoch | None = None
        self._asked = ""  # the name of our question, whether the other side is outdated
        self._promoting = False
        self._wanted: tuple[orders.Activate, Wanted] | None = None
        self._waits: dict[str, None] = {}  # handlers
        self._jobs: deque[tuple[Callable[[], Any], Callable[[Any, str], None]]] = deque()
        self._busy = False
        self._retry_at = self._asked_at = 0.0
        self._told: dict[str, Any] = {}

    # ---- work ----
    def start(self) -> None:
        self._do(self.kernel.up, self._begun)
        self.poller.after(LOOK_S, self._tick)

    def _begun(self, _: object, why: str) -> None:
        self.ready = not why
        if why != self.trouble:
            self.trouble = why
            if why:
                self.note("error", why)
        if why:
            self.poller.after(_AGAIN_S, lambda: self._do(self.kernel.up, self._begun))

    def _do(self, work: Callable[[], Any], then: Callable[[Any, str], None] = lambda result, why: None) -> None:
        self._jobs.append((work, then))
        self._next()

    def _next(self) -> None:
        if self._busy or not self._jobs:
            return
        self._busy = True
        work, then = self._jobs.popleft()

        def both() -> tuple[Any, str, Seen | None]:
            result, why = None, ""
            try:
                result = work()
            except (DrbdError, DiskError) as error:
                why = str(error)
            try:
                return result, why, self.kernel.look()
            except DrbdError as error:
                return result, why or str(error), None

        def done(found: tuple[Any, str, Seen | None] | None, error: BaseException | None) -> None:
            if found is None:
                raise error or AssertionError
            result, why, seen = found
            self._busy = False
            if seen is not None:
                self._looked(seen)
            then(result, why)
            self._step()
            self._next()

        self.poller.work(both, done)

    def _tick(self) -> None:
        self.poller.after(LOOK_S, self._tick)
        if not self._jobs:
            self._do(lambda: None)

    def _looked(self, seen: Seen) -> None:
        before, self.seen = self.seen, seen
        kept = self.memory
        if seen.connected:
            self._permitted, self._asked = None, ""
            kept.parted = ""
        if seen.equal:
            self.in_sync = True
            kept.broken_at, kept.last_equal, kept.discards = 0.0, time.time(), False
        elif seen.generations.constructed and not kept.broken_at:
            kept.broken_at = time.time()
        if seen.disk in ("Inconsistent", "Outdated"):
            self.in_sync = False
        if before.verifies and not seen.verifies and seen.connected:
            kept.verified_at, kept.differing = time.time(), seen.out_of_sync
        if kept.active and seen.there and seen.role != "Primary" and not self._promoting:
            kept.active = False
        self._measure(seen)
        self._keep()

    def _measure(self, seen: Seen) -> None:
        at, left, rate = self.rate
        now = self.poller.now()
        if seen.is_source or seen.is_target:
            new = (left - seen.out_of_sync) / (now - at) if at and now > at and left >= seen.out_of_sync else 0.0
            self.rate = (now, seen.out_of_sync, 0.7 * rate + 0.3 * new if rate else new)
        else:
            self.rate = (0.0, 0, 0.0)

    def _keep(self) -> None:
        try:
            memory.keep(self.settings, self.memory)
        except OSError as error:
            self.note("warning", f"{memory.place_of(self.settings)} cannot be written: {error.strerror}.")

    @property
    def known(self) -> Known:
        kept, settings = self.memory, self.settings
        wanted = self._wanted[1].epoch if self._wanted is not None else None
        permitted = self._permitted is not None and self._permitted == (wanted or kept.newest)
        return Known(settings.server, settings.peer, kept.active, kept.newest, self.in_sync, kept.isolated,
                     kept.parted, permitted)  # fmt: skip

    # ---- what follows ----
    def _step(self) -> None:
        if self.ready and not self._busy and not self._jobs:
            self._try_order()
            self._answer_fences()
            self._retry()
        state = status.state(self)
        essence = {key: value for key, value in state.items() if key not in ("rate", "remaining_s")}
        if essence != self._told:
            self._told = essence
            self.tell(state)

    def _try_order(self) -> None:
        if self._wanted is None:
            return
        order, wanted = self._wanted
        if (order.alone or order.force) and too_late(order.until):
            self.refused("The order came too late: nobody answers for it any more.")
            return
        if self.memory.active and self.seen.role == "Primary":
            if wanted.epoch == self.memory.newest:
                self._activated()
            else:
                self.refused(f"{self.settings.server} is active by an older order; it has to be deactivated first.")
            return
        act, why = act_of(wanted, self.seen, self.known)
        if act == "refuse":
            self.refused(why)
        elif act == "part":
            self._do(self.kernel.disconnect)
        elif act == "ask":
            self._ask(wanted.epoch)
        elif act != "wait":
            self._promote(wanted, apart=act == "promote apart")

    def _promote(self, wanted: Wanted, *, apart: bool) -> None:
        kept = self.memory
        kept.epoch = (max(kept.newest, wanted.epoch)[0], max(kept.newest, wanted.epoch)[1])
        self._promoting = True
        # On disk before the kernel serves: whoever comes after this process knows by which order it does.
        kept.active = True
        self._keep()
        if apart:
            self._permitted = wanted.epoch

        def then(_: object, why: str) -> None:
            self._promoting = False
            if why:
                kept.active = self.seen.role == "Primary"
                self._keep()
                self.refused(why)
            else:
                self.in_sync = True
                self._activated()

        self._do(lambda: self.kernel.promote(apart=apart, force=wanted.force), then)

    def _activated(self) -> None:
        if self._wanted is not None:
            (order, wanted), self._wanted = self._wanted, None
            self.memory.by_hand = order.by_hand
            self._keep()
            self.note("info", f"Active from now on, by order {wanted.epoch}; {mode_of(self.seen, self.known)}.")
            self.tell({"type": "activated", "id": order.id, "epoch": list(wanted.epoch)})

    def refused(self, why: str) -> None:
        if self._wanted is not None:
            (order, _), self._wanted = self._wanted, None
            self.tell({"type": "refused", "id": order.id, "why": why})

    def _answer_fences(self) -> None:
        if not self._waits:
            return
        if self.known.permitted:
            self._answer(OTHER_IS_OUT)
        elif self.seen.connected or not self.memory.active:
            self._answer(NO_WORD)
        else:
            self._ask(self.memory.newest)

    def _answer(self, code: int) -> None:
        for key in self._waits:
            self.tell({"type": "done", "id": key, "code": code})
        self._waits.clear()

    def _ask(self, epoch: Epoch) -> None:
        """Again and again while somebody waits."""
        if self.poller.now() - self._asked_at >= LOOK_S / 2:
            self._asked_at = self.poller.now()
            self._asked = self._asked or token_hex(8)
            self.tell({"type": "ask_outdated", "generation": self._asked, "epoch": list(epoch)})

    def _retry(self) -> None:
        """The kernel has given up (both have gone on, or the other one was not ready)."""
        kept, now = self.memory, self.poller.now()
        if (
            self.seen.connection == "StandAlone"
            and not kept.isolated
            and self._wanted is None
            and now >= self._retry_at
        ):
            self._retry_at = now + _RETRY_S
            discard = kept.discards and not kept.active
            self._do(lambda: self.kernel.connect(discard=discard))

    # ---- orders ----
    def take(self, order: object) -> None:
        getattr(self, f"_{type(order).__name__.lower()}")(order)
        self._step()

    def _fence(self, order: Fence) -> None:
        if self._promoting and self._permitted is not None:
            self.tell({"type": "done", "id": order.id, "code": OTHER_IS_OUT})
        else:
            self._waits[order.id] = None
            self._asked_at = 0.0
            if not self._jobs:
                self._do(lambda: None)

    def _parted(self, order: Parted) -> None:
        if not self.memory.parted:
            self.memory.parted = "Both servers have gone on without the other one."
            self.note("error", self.memory.parted)
        self.tell({"type": "done", "id": order.id, "code": 0})

    def _view(self, order: orders.View) -> None:
        if order.since != self._since:
            self.in_sync = False
            if self._since is not None and self.seen.connected and not self.memory.active:
                self._do(self.kernel.reconnect)
        self._since = order.since
        given = order.permitted if not too_late(order.until) else None
        if given is not None:
            self._permitted = Epoch(*given)

    def _outdated(self, order: orders.Outdated) -> None:
        if order.generation and order.generation == self._asked and not too_late(order.until):
            epoch = self._wanted[1].epoch if self._wanted is not None else self.memory.newest
            self._permitted = epoch

    def _outdate(self, order: orders.Outdate) -> None:
        epoch = Epoch(*order.epoch)
        if self.memory.active or self._promoting or epoch < self.memory.newest:
            return
        self.in_sync = False
        self.memory.epoch = order.epoch
        self._keep()

        def then(done: object, why: str) -> None:
            if done and not why:
                self.tell({"type": "told", "generation": order.generation})
            elif why:
                self.note("error", why)

        self._do(self.kernel.outdate, then)

    def _activate(self, order: orders.Activate) -> None:
        if self._wanted is not None and self._wanted[0].id != order.id:
            self.refused("A newer order took the place of this one.")
        if self._since != order.since:
            self._since, self.in_sync = order.since, self.seen.equal
        wanted = Wanted(Epoch(*order.epoch), order.alone, order.force)
        self._wanted = (order, wanted)
        if not self.ready:
            self.refused(self.trouble or "DRBD is being started on this server.")

    def _deactivate(self, order: orders.Deactivate) -> None:
        self.refused("It was ordered to deactivate.")

        def then(_: object, why: str) -> None:
            if why and self.seen.role == "Primary":
                self.tell({"type": "failed", "id": order.id, "why": why})
                return
            self.memory.active = self.memory.by_hand = False
            self._keep()
            self._answer(NO_WORD)
            self.tell({"type": "deactivated", "id": order.id})

        if self.seen.role == "Primary" or self.ready:
            self._do(self.kernel.demote, then)
        else:
            then(None, "")

    def _ordered(self, key: str, work: Callable[[], Any]) -> None:
        def then(_: object, why: str) -> None:
            self.tell({"type": "failed", "id": key, "why": why} if why else {"type": "done", "id": key})

        self._do(work, then)

    def _construct(self, order: orders.Construct) -> None:
        if relation_of(self.seen, self.known) != "foreign" or self.seen.generations.constructed:
            self.tell({"type": "failed", "id": order.id, "why": "Both servers have to be connected, without data."})
        else:
            self._ordered(order.id, lambda: self.kernel.construct(full=order.full))

    def _discard(self, order: orders.Discard) -> None:
        if self.memory.active:
            self.tell({"type": "failed", "id": order.id, "why": "An active side cannot give its data up."})
            return
        self.in_sync, self.memory.discards = False, True
        self._keep()
        self._ordered(order.id, lambda: self.kernel.connect(discard=True))

    def _break(self, order: orders.Break) -> None:
        self.memory.isolated = True
        self._keep()
        self._ordered(order.id, self.kernel.disconnect)

    def _join(self, order: orders.Join) -> None:
        self.memory.isolated = False
        self._keep()
        self._ordered(order.id, self.kernel.connect)

    def _separate(self, order: orders.Separate) -> None:
        self.tell({"type": "failed", "id": order.id, "why": _NO_BACKUP})

    def _restore(self, order: orders.Restore) -> None:
        self.tell({"type": "failed", "id": order.id, "why": _NO_BACKUP})

    def _pace(self, order: orders.Pace) -> None:
        self.pace = max(order.bytes_s, 0)
        self._do(lambda: self.kernel.pace(self.pace))

    def _verify(self, order: orders.Verify) -> None:
        # What a comparison has found is marked; a new connection copies it.
        self._ordered(order.id, self.kernel.reconnect if order.repair else self.kernel.verify)

    def _verifystop(self, _: orders.VerifyStop) -> None:
        self._do(self.kernel.reconnect)

    def _stop(self, order: orders.Stop) -> None:
        def then(_: object, why: str) -> None:
            if why:
                self.note("warning", why)
            self.tell({"type": "done", "id": order.id})
            self.on_stop()

        self._do(self.kernel.down if self.seen.role != "Primary" else lambda: None, then)
