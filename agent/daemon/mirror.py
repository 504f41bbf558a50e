"""One mirror disk as the daemon keeps it: its process, what that says, and how it is activated and deactivated.

Rules of this file
- Whoever activates waits as long as something may still come of itself: the other server after both were down, a first
  copy, a repair of a few blocks. What can only be mended by an operator, or by a start on the other server, fails with
  the mirror's own sentence.
- The number of an activation is that of the view and of the order that started the group (`activation_epoch`): two
  activations in one view have different numbers, and the later one the greater.
- A mirror process that died while its disk was active is started anew and ordered again, by the same number: nobody
  else was activated meanwhile, or the order would be refused.
- Who does not end is made harmless: its device fails, and it is killed.
- A group that has to stop must not wait for writes that nobody will let go on: its processes could not even be killed.
  They fail soon where this server is cut off, later where a word may still come. None of them was acknowledged.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import msgspec

from agent.daemon.clock import steady
from agent.daemon.mirror_client import ANSWER_S, Conversation, Message, MirrorClient, MirrorGoneError, order, state_of
from agent.daemon.mirror_orders import MirrorRefusedError
from agent.daemon.mirror_process import MirrorProcess
from agent.messages import mirrors as md
from agent.mirrord.settings import Settings
from agent.ports import DriverError
from agent.wire.epoch import NO_EPOCH, Epoch
from agent.wire.mirror import MirrorState

_SERIAL_BITS = 40
_LOOK_S = 1.0  # whether the situation has changed, while an activation waits
_PROCESS_S = 30.0  # for the process to be there
_MEET_S = 5.0  # for both sides to meet again, when one has become the first truth
_LINK_S = 60.0  # for the other side to be met while its server is here
_SERVES_S = 10.0  # for the other side to say that it serves no more
_COPY_S = 20.0  # so long a copy to this side is waited for
_DEACTIVATE_S = 30.0
_DRAIN_S = 900.0  # asynchronous: what the other side lacks is sent first
_END_S = 10.0
_AGAIN_S = 1.0
_TOGETHER = ("source", "finishing", "equal")
_STALLED_S, _CUT_OFF_S = 10.0, 1.0  # so long a group that stops waits for writes that are stalled
_PERMIT_S = 10.0  # what lets it go on alone holds so long, where nobody has said how long this server's lease runs
_WITHOUT_ANSWER = ("pace", "verify_stop")


def activation_epoch(view: Epoch, serial: int) -> Epoch:
    return Epoch(view.counter, view.proposer << _SERIAL_BITS | serial)


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What the cluster says of this server and the other one of a mirror."""

    epoch: Epoch = NO_EPOCH  # of the view in force; none while there is none
    since: Epoch = NO_EPOCH  # the first view from which on this server has belonged to all
    peer_is_here: bool = False
    peer_is_gone: bool = False  # and has certainly stopped what it ran
    held: Epoch | None = None  # the activation that the group, or an operator, has here
    online: bool = False  # it was carried out
    stopping: bool = False  # the group is on its way down here
    cut_off: bool = False  # this server may run nothing now: no word will come that lets it go on alone

    @property
    def alone(self) -> bool:
        return self.epoch != NO_EPOCH and not self.peer_is_here and self.peer_is_gone


class Holder(Protocol):
    """The process that keeps the device while the mirror process is exchanged. All of it blocks."""

    def start(self, size: int) -> object: ...
    def attach(self) -> str: ...
    def detach(self, *, lazy: bool = False) -> None: ...
    def abort(self) -> None: ...
    def end(self) -> None: ...


class Mirror:
    """`said` takes each state and what else it says; `note` numbers of agent.messages.mirrors with parameters."""

    def __init__(
        self,
        settings: Settings,
        logs: Path,
        holder: Holder,
        *,
        said: Callable[[Mirror, Message], None],
        note: Callable[..., None],
    ) -> None:
        self.name, self.peer = settings.mirror, settings.peer
        self.settings = settings
        self.holder = holder
        self.process = MirrorProcess(settings, logs, self._died)
        self.client = MirrorClient(settings.control, self._hear, self._connected)
        self.state: MirrorState | None = None
        self.standing = Standing()
        self.by_hand: Epoch | None = None  # activated by an operator, outside of its group
        self.forced = False  # an operator takes the loss of the activation that waits
        self.look: Callable[[], None] = lambda: None  # at what the cluster says of it now
        self.number: Callable[[], Awaitable[Epoch]] | None = None  # of an activation by hand
        self.answers_until: Callable[[], float] = lambda: steady() + _PERMIT_S  # for what lets it go on alone
        self.mounting: Callable[[str], Awaitable[None]] = _nothing  # by hand: its file system is on this device
        self.unmounting: Callable[[], Awaitable[None]] = _nothing
        self.unshown: Callable[[], Awaitable[None]] = _nothing  # a copy of this side that is read for a backup ends
        self._said = said
        self._note = note
        self._changed = asyncio.Event()
        self._busy = 0  # activations and deactivations under way
        self._again_at = 0.0
        self._stalled_at = 0.0
        self._failing = False  # its device was made to fail
        self._lock = asyncio.Lock()

    # ---- its process ----
    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.client.run())
            tasks.create_task(self.process.keep(lambda: self.client.is_connected))

    def _died(self, how: str) -> None:
        self._note(md.DIED, self.name, self.settings.server, how)

    def _connected(self, there: bool) -> None:
        if not there:
            self.state = None
            self._said(self, {"type": "gone"})
        self._changed.set()

    def _hear(self, message: Message) -> None:
        if message.get("type") == "hello" and isinstance(pid := message.get("pid"), int):
            self.process.found(pid)
        elif (state := state_of(message)) is not None:
            if self.state is None or (self.state.error and not state.error):
                self.tell_view()  # A mind that begins late has not heard it.
            self.state = state
            self._remember(state)
            self._resume()
            self._let_go()
        elif message.get("type") == "stood_down":
            # What waits in its device would wait for ever: the group is about to be stopped here.
            asyncio.get_running_loop().run_in_executor(None, _abort, self.holder)
        self._said(self, message)
        self._changed.set()

    def _remember(self, state: MirrorState) -> None:
        """Activated by hand, for a daemon before this one."""
        idle = not self._busy and self.by_hand is None and self.standing.held is None
        if idle and state.active and state.by_hand:
            self.by_hand = Epoch(*state.epoch)
            self.look()

    @property
    def is_idle(self) -> bool:
        """Nobody would miss its process for a moment."""
        state = self.state
        return state is not None and not state.active and not self._busy and self.standing.held is None

    async def silence(self, limit_s: float) -> bool:
        """Its process has not answered; from now on it activates nothing unless it begins anew. False: it is active."""
        if self.state is not None and self.state.active:
            return False
        if not self.process.running:
            self.process.find()
        if self.process.running:
            self.process.kill()
            await self._change(limit_s)
        return True

    async def abort(self) -> None:
        await abort(self.holder)

    # ---- what the cluster says ----
    def stand(self, standing: Standing) -> None:
        if standing == self.standing:
            return
        self.standing = standing
        self.tell_view()
        self._resume()
        self._let_go()
        self._changed.set()

    def _let_go(self) -> None:
        """The group stops, and its writes wait."""
        standing, state, loop = self.standing, self.state, asyncio.get_running_loop()
        if not standing.stopping or state is None or state.mode != "stalled":
            self._stalled_at = 0.0
            return
        self._stalled_at = self._stalled_at or loop.time()
        left_s = self._stalled_at + (_CUT_OFF_S if standing.cut_off else _STALLED_S) - loop.time()
        if left_s > 0:
            loop.call_later(left_s, self._let_go)
        elif not self._failing:
            self._failing = True
            self._note(md.LET_GO, self.name, self.settings.server, self.peer)
            loop.run_in_executor(None, _abort, self.holder)

    def tell_view(self) -> None:
        standing = self.standing
        if standing.epoch != NO_EPOCH:
            permitted = list(standing.held) if standing.alone and standing.held is not None else None
            self.client.view(permitted, list(standing.since), self.answers_until())

    def outdated_there(self, generation: str) -> None:
        """The other side has written down that it is outdated."""
        self.client.send({"op": "outdated", "generation": generation, "until": self.answers_until()})

    def _resume(self) -> None:
        """Its process is another one, and the file system above it waits."""
        now = asyncio.get_running_loop().time()
        standing, state = self.standing, self.state
        if state is None or state.active or self._busy or not standing.online or standing.held is None:
            return
        if standing.epoch != NO_EPOCH and now >= self._again_at:
            self._again_at = now + _AGAIN_S
            wish = self._order(uuid4().hex, standing.held, force=False, by_hand=self.by_hand is not None)
            self.client.send({**wish, "until": self.answers_until()})

    def _order(self, key: str, epoch: Epoch, *, force: bool, by_hand: bool) -> Message:
        standing = self.standing
        return {
            "op": "activate", "id": key, "epoch": list(epoch), "since": list(standing.since),
            "alone": standing.alone, "force": force, "by_hand": by_hand,
        }  # fmt: skip

    # ---- activation ----
    async def activate_here(
        self, epoch: Epoch, *, full: bool = True, force: bool = False, by_hand: bool = False
    ) -> tuple[str, bool]:
        """The block device, and whether this was the first construction of the disk. DriverError."""
        self._busy += 1
        done = self._failing = False
        try:
            async with self._lock:
                await self._process_is_there()
                if self.state is not None and self.state.size:
                    await asyncio.to_thread(self.holder.start, self.state.size)
                new = await self._activated(epoch, full=full, force=force, by_hand=by_hand)
                await self.unshown()
                device = await asyncio.to_thread(self._attach)
                done = True
                return device, new
        except MirrorGoneError as error:
            raise DriverError(f"the mirror process of {self.name} has gone meanwhile ({error})") from error
        except OSError as error:
            raise DriverError(f"the device of {self.name} cannot be made: {error.strerror or error}") from error
        finally:
            self._busy -= 1
            if not done:
                self.client.send({"op": "deactivate", "id": uuid4().hex})

    def _attach(self) -> str:
        size = self.state.size if self.state is not None else 0
        self.holder.start(size)
        return self.holder.attach()

    async def _process_is_there(self) -> None:
        try:
            async with asyncio.timeout(_PROCESS_S):
                while self.state is None:
                    await self._change()
        except TimeoutError:
            raise DriverError(
                f"the mirror process of {self.name} does not run; its log says why (clpmdstat {self.name})"
            ) from None

    async def _change(self, most_s: float | None = None) -> None:
        """Something is new, or the time is over."""
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(most_s):
                await self._changed.wait()

    async def _activated(self, epoch: Epoch, *, full: bool, force: bool, by_hand: bool) -> bool:
        loop = asyncio.get_running_loop()
        told: Message = {}
        began, new, key = loop.time(), False, ""
        async with Conversation.open(self.settings.control) as talk:
            while True:
                new = await self._constructed(full=full) or new
                forced = force or self.forced
                wish = self._order(key, epoch, force=forced, by_hand=by_hand)
                if wish != told:
                    key = wish["id"] = uuid4().hex
                    talk.send({**wish, "until": self.answers_until()})
                    told = wish
                answer = await _answer_within(talk, key, _LOOK_S)
                if answer is None:
                    self._look_forward(loop.time() - began, force=forced)
                    continue
                self.forced = self.forced and not forced
                self._changed.set()
                if answer["type"] == "activated":
                    return new
                if not told["alone"] or forced:  # As it was ordered: the cluster may say something else by now.
                    raise self._refusal(str(answer.get("why", "")))
                self._note(md.WAITS, self.name, self.settings.server, str(answer.get("why", "")))
                await self._change(_LOOK_S)
                told = {}

    async def _constructed(self, *, full: bool) -> bool:
        """Is this side made the first truth? Only where both have met and neither has data."""
        state = self.state
        if state is None or state.constructed or state.relation != "foreign":
            return False
        await _done(self.settings.control, "construct", full=full)
        self._note(md.CONSTRUCTED, self.name, self.settings.server)
        # Both say hello anew: whoever were activated meanwhile would begin alone.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_MEET_S):
                while self.state is None or self.state.relation not in _TOGETHER:
                    await self._change()
        return True

    def _look_forward(self, waited_s: float, *, force: bool) -> None:
        """DriverError: nothing will come of waiting."""
        state = self.state
        if state is None or force:
            return
        if state.relation == "foreign" and state.constructed and state.doubt:
            raise self._refusal(state.doubt)
        if state.peer_active and waited_s > _SERVES_S:
            raise self._refusal(f"it is active on {self.peer}")
        if state.relation == "target" and waited_s > _COPY_S and (state.remaining_s or 0) > _COPY_S:
            raise self._refusal(
                f"{self.peer} has the newer data, which is being copied here ({state.remaining_s:.0f} s to go); "
                f"{self.peer} can run it at once"
            )
        if state.relation == "apart" and self.standing.peer_is_here and waited_s > _LINK_S:
            raise self._refusal(state.doubt or f"{self.peer} is not met over any mirror connect")

    def _refusal(self, why: str) -> DriverError:
        self._note(md.REFUSED, self.name, self.settings.server, why)
        return DriverError(
            f"The mirror {self.name} refuses: {why.rstrip('.')}; clpmdstat {self.name} shows both sides, "
            f"clpmdctrl --force {self.name} takes the loss"
        )

    # ---- deactivation ----
    async def deactivate_here(self) -> None:
        """Its file system is unmounted. DriverError only where the kernel does not let the process go."""
        self._busy += 1
        try:
            await deactivate(self.settings, self.holder, self.process)
        finally:
            self._busy -= 1

    # ---- by hand (agent/daemon/mirror_orders.py) ----
    async def order(self, op: str, **fields: Any) -> None:
        if op in _WITHOUT_ANSWER:
            self.client.send({"op": op, **fields})
            return
        await _done_or_refused(self.settings.control, op, **fields)

    async def activate(self, *, force: bool, mount: bool) -> None:
        if self.standing.held is not None:
            raise MirrorRefusedError(f"{self.name} belongs to a group that is active here; stop the group first.")
        if self.number is None or self.standing.epoch == NO_EPOCH:
            raise MirrorRefusedError("This server belongs to no view of the cluster now: nobody can say what is safe.")
        try:
            epoch = await self.number()
            device, _ = await self.activate_here(epoch, force=force, by_hand=True)
            if mount:
                await self.mounting(device)
        except DriverError as error:
            raise MirrorRefusedError(error.detail) from error
        except OSError as error:
            raise MirrorRefusedError(str(error)) from error
        self.by_hand = epoch
        self.look()
        if force:
            self._note(md.FORCED, self.name, self.settings.server)
        self._changed.set()

    async def deactivate(self) -> None:
        if self.standing.held is not None and self.by_hand is None:
            raise MirrorRefusedError(f"{self.name} belongs to a group that is active here; stop the group instead.")
        try:
            await self.unmounting()
            self.by_hand = None
            self.look()
            await self.deactivate_here()
        except DriverError as error:
            raise MirrorRefusedError(error.detail) from error

    async def take_over(self) -> None:
        if self.standing.held is None:
            await self.activate(force=True, mount=False)
            await self.deactivate()
            return
        if self.state is not None and self.state.active:
            raise MirrorRefusedError(f"{self.name} is active on {self.settings.server} already.")
        # Its group waits for just that: its own activation takes the loss.
        self.forced = True
        self._changed.set()
        try:
            while self.forced or (self.state is not None and not self.state.active and self._busy):
                await self._change(_LOOK_S)
        finally:
            self.forced = False
        if self.state is None or not self.state.active:
            raise MirrorRefusedError(f"{self.name} could not be activated; its log on {self.settings.server} says why.")
        self._note(md.FORCED, self.name, self.settings.server)

    # ---- the end of the service ----
    async def end(self) -> bool:
        """In order if possible. False: the kernel does not end it."""
        with contextlib.suppress(MirrorGoneError, TimeoutError):
            await order(self.settings.control, "stop", _END_S)
        ended = await self.process.end(_END_S)
        with contextlib.suppress(DriverError):
            await _device(self.settings, self.holder.end)
        return ended


async def _nothing(*_: object) -> None:
    pass


async def deactivate(settings: Settings, holder: Holder, process: MirrorProcess | None = None) -> None:
    """With a daemon or without one (agent/daemon/release.py)."""
    await _device(settings, partial(_detach, holder))
    try:
        limit_s = _DRAIN_S if settings.asynchronous else _DEACTIVATE_S
        answer = await order(settings.control, "deactivate", limit_s)
    except MirrorGoneError:
        answer = {"type": "deactivated"}  # Whoever is dead writes nothing; whoever comes after it is not active.
    except TimeoutError:
        await abort(holder)
        if process is None or not await process.end(0.0):
            raise DriverError(f"the mirror process of {settings.mirror} does not answer and does not end") from None
        answer = {"type": "deactivated"}
    if answer["type"] != "deactivated":
        raise DriverError(f"the mirror {settings.mirror} stays active: {answer.get('why', 'it does not say why')}")
    await _device(settings, holder.end)


async def abort(holder: Holder) -> None:
    """All I/O of its device fails from now on."""
    await asyncio.to_thread(_abort, holder)


_ABORTED: set[int] = set()  # holders whose device fails: its users do not keep it


def _abort(holder: Holder) -> None:
    with contextlib.suppress(OSError):
        _ABORTED.add(id(holder))
        holder.abort()


def _detach(holder: Holder) -> None:
    holder.detach(lazy=id(holder) in _ABORTED)
    _ABORTED.discard(id(holder))


async def _device(settings: Settings, work: Callable[[], object]) -> None:
    try:
        await asyncio.to_thread(work)
    except OSError as error:
        raise DriverError(f"the device of {settings.mirror} does not go: {error.strerror or error}") from error


async def _answer_within(talk: Conversation, key: str, seconds: float) -> Message | None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            return await talk.answer(key)
    return None


async def _done_or_refused(path: str, op: str, **fields: Any) -> None:
    try:
        answer = await order(path, op, ANSWER_S, **fields)
    except MirrorGoneError as error:
        raise MirrorRefusedError(f"Its mirror process does not answer ({error}).") from error
    if answer["type"] != "done":
        raise MirrorRefusedError(str(answer.get("why") or "It refuses, and does not say why."))


async def _done(path: str, op: str, **fields: Any) -> None:
    try:
        await _done_or_refused(path, op, **fields)
    except MirrorRefusedError as error:
        raise DriverError(str(error)) from error
