"""Runs activations and deactivations as tasks; each ends in exactly one ActionDone."""

from __future__ import annotations

import asyncio
import contextlib
import time
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial

from agent.clpconf.schema import Values
from agent.daemon.binding import BoundResource, Machine
from agent.daemon.state import StateFile
from agent.daemon.tasks import give_up
from agent.engine.effects import Activate, Deactivate
from agent.engine.events import ActionDone
from agent.ports import DriverError, Ports

# A type keeps its own time limit and stops its processes then; this is for one that does not.
OVERTIME_S = 10.0
ANNOUNCEMENTS = 3
ANNOUNCE_EVERY_S = 1.0
_READY_S = 1.0  # so long what was prepared is true

Deed = Callable[[Values, Ports], Awaitable[None]]
Preparation = Callable[[Values, Ports], Awaitable[Callable[[], None] | None]]


class Stalled(str):
    """Why a step failed that did not even end at its timeout."""


async def attempt(name: str, deed: Deed, bound: BoundResource, timeout_s: float, log: Callable[[str], None]) -> str:
    """Why it failed, "" when it succeeded. Only cancellation comes out as an exception."""
    try:
        async with asyncio.timeout(timeout_s + OVERTIME_S):
            await deed(bound.values, bound.ports)
    except DriverError as error:
        return error.detail or "failed without a reason"
    except TimeoutError:
        return Stalled(f"{name} did not finish within {timeout_s:g} s.")
    except Exception as error:
        log(f"{name}: an error of this program\n{traceback.format_exc()}")
        return f"{name}: an error of this program ({type(error).__name__}: {error}); agent.log has the details."
    return ""


async def _refused(why: str) -> str:
    return why


class Actions:
    """`done` feeds the engine; `log` takes tracebacks of our own errors."""

    def __init__(
        self, machine: Machine, state: StateFile, done: Callable[[ActionDone], None], log: Callable[[str], None]
    ) -> None:
        self._machine = machine
        self._state = state
        self._done = done
        self._log = log
        self._running: dict[int, asyncio.Task[None]] = {}
        self._announcing: dict[str, asyncio.Task[None]] = {}  # by resource
        self._preparing: dict[str, asyncio.Task[str]] = {}  # by resource
        self._ready: dict[str, tuple[float, Callable[[], None]]] = {}  # resource -> until when, what activates it

    def activate(self, effect: Activate) -> None:
        try:
            bound = self._machine.resource(effect.resource, event=effect.event, announce=effect.announce)
            self._state.hold(effect.resource)
        except DriverError as error:
            self._start(effect.token, _refused(error.detail))
            return
        except OSError as error:
            self._start(effect.token, _refused(f"this server cannot remember that it runs here: {error}; make room"))
            return
        if not self._at_once(effect):
            self._start(effect.token, self._activate(effect, bound))

    def prepare(self, resource: str) -> None:
        """Best effort: what it finds, the activation finds again."""
        with contextlib.suppress(DriverError):
            bound = self._machine.resource(resource)
            if bound.type.prepare is not None and resource not in self._preparing:
                work = attempt(resource, partial(self._prepare, resource, bound.type.prepare), bound, 0.0, self._log)
                self._preparing[resource] = task = asyncio.get_running_loop().create_task(work)
                task.add_done_callback(lambda _task: self._preparing.pop(resource, None))

    def ready(self, effect: Activate) -> bool:
        """Would it be active within the call?"""
        until, _deed = self._ready.get(effect.resource, (0.0, None))
        return effect.announce and time.monotonic() < until

    def deactivate(self, effect: Deactivate) -> None:
        self._hush(effect.resource)
        self._ready.pop(effect.resource, None)
        self._start(effect.token, self._deactivate(effect))

    def abort(self, token: int) -> None:
        """Its ActionDone still comes, once its processes are stopped."""
        task = self._running.get(token)
        if task is not None:
            task.cancel()

    def announce(self, resources: tuple[str, ...], *, wait_s: float = 0.0) -> None:
        """Tell the LAN, and again at 1 s steps: a switch or a client may miss the first."""
        for name in resources:
            self._hush(name)
            with contextlib.suppress(DriverError):
                bound = self._machine.resource(name)
                if bound.type.announce is not None:
                    task = asyncio.get_running_loop().create_task(self._announce(name, bound, wait_s))
                    self._announcing[name] = task

    def stalled(self) -> None:
        """What was about to be announced, or free, may belong to another server by now."""
        self._ready.clear()
        for name in list(self._announcing):
            self._hush(name)

    @property
    def busy(self) -> bool:
        return bool(self._running)

    async def close(self) -> None:
        """Gives up what runs, without a word to the engine."""
        tasks = [*self._running.values(), *self._announcing.values(), *self._preparing.values()]
        self._running.clear()
        self._announcing.clear()
        await give_up(tasks)

    def _start(self, token: int, work: Coroutine[None, None, str]) -> None:
        async def run() -> None:
            try:
                detail = await work
            except asyncio.CancelledError:
                detail = "given up"
            if self._running.pop(token, None) is not None:
                stalled = isinstance(detail, Stalled)
                self._done(ActionDone(token=token, ok=not detail, detail=str(detail), stalled=stalled))

        self._running[token] = asyncio.get_running_loop().create_task(run())

    def _at_once(self, effect: Activate) -> bool:
        """The failover itself, of what was prepared: a task would begin behind all that has arrived meanwhile."""
        ready = self.ready(effect)
        _until, deed = self._ready.pop(effect.resource, (0.0, None))
        if not ready or deed is None:
            return False
        try:
            deed()
        except DriverError:
            return False
        except Exception:
            self._log(f"{effect.resource}: an error of this program\n{traceback.format_exc()}")
            return False
        self.announce((effect.resource,), wait_s=ANNOUNCE_EVERY_S)
        self._done(ActionDone(token=effect.token, ok=True))
        return True

    async def _prepare(self, name: str, deed: Preparation, values: Values, ports: Ports) -> None:
        until = time.monotonic() + _READY_S
        ready = await deed(values, ports)
        if ready is not None:
            self._ready[name] = (until, ready)

    async def _activate(self, effect: Activate, bound: BoundResource) -> str:
        name = effect.resource
        failure = await attempt(name, bound.type.activate, bound, effect.timeout_s, self._log)
        if not failure and effect.announce:
            self.announce((name,), wait_s=ANNOUNCE_EVERY_S)
        return failure

    async def _deactivate(self, effect: Deactivate) -> str:
        name = effect.resource
        try:
            bound = self._machine.resource(name, factor=effect.factor)
        except DriverError as error:
            # What cannot be used was never activated, and so it is down.
            return error.detail if name in self._state.held else ""
        failure = await attempt(name, bound.type.deactivate, bound, effect.timeout_s, self._log)
        if not failure:
            self._state.let_go(name)
        return failure

    async def _announce(self, name: str, bound: BoundResource, wait_s: float) -> None:
        assert bound.type.announce is not None
        await asyncio.sleep(wait_s)
        for number in range(ANNOUNCEMENTS):
            if number:
                await asyncio.sleep(ANNOUNCE_EVERY_S)
            try:
                await bound.type.announce(bound.values, bound.ports)
            except DriverError as error:
                bound.ports.note(f"announcement failed: {error.detail}")
        self._announcing.pop(name, None)

    def _hush(self, name: str) -> None:
        task = self._announcing.pop(name, None)
        if task is not None:
            task.cancel()
