"""Starts clpaltd beside the daemon and starts it anew when it ends. The daemon never waits for it while it works.

The first one is forked before the daemon has threads (fork.py): it shares most of its memory with the daemon, so that
it costs a third. One that comes in the place of another is executed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from typing import NamedTuple

from agent.daemon import fork, spawn
from agent.daemon.first import ROOT
from agent.daemon.paths import LEASE_FD, PET_FD

OFF = "OPENCLP_ALERTS"  # "none": nobody is told (tests, benches)
START_S = 3.0  # after the daemon: it has more urgent things to do
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
END_S = 4.0  # for the last alerts to leave when the service stops
_STEADY_S = 60.0
_SAID_BYTES = 2000
_COMMAND = (sys.executable, "-m", "agent.daemon.alertd")


class Forked(NamedTuple):
    """Its standard input is `end`: it ends when that is closed."""

    pid: int
    end: int


def fork_early() -> Forked | None:
    """None: it is executed later."""
    if os.environ.get(OFF) == "none" or not fork.can_fork():
        return None
    theirs, ours = os.pipe()
    environ = {name: value for name, value in os.environ.items() if name not in (PET_FD, LEASE_FD)}
    try:
        pid = fork.fork(_COMMAND, _wait_and_work, environ, {0: theirs}, root=ROOT, death_signal=0)
    finally:
        os.close(theirs)
    return Forked(pid, ours)


def _wait_and_work() -> int:
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))  # What the daemon was given: clpd's lock, lease, pet pipe.
    if select.select((0,), (), (), START_S)[0]:
        return 0
    from agent.daemon import alertd

    return alertd.main()


class AlertChild:
    """run() for as long as the daemon lives, then close(). `say` gets a sentence for agent.log."""

    def __init__(self, say: Callable[[str], None], forked: Forked | None = None, *, start_s: float = START_S) -> None:
        self._say = say
        self._forked = forked
        self._start_s = start_s
        self._process: Process | None = None

    async def run(self) -> None:
        """Until cancelled."""
        if os.environ.get(OFF) == "none":
            return
        pause_s = FIRST_PAUSE_S
        if self._forked is not None:
            code = await _ended(self._forked.pid)
            self._let_go()
            self._say(f"clpaltd has ended and is started anew in {pause_s:g} s. Code {code}.")
        await asyncio.sleep(self._start_s)
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            said = await self._live()
            pause_s = FIRST_PAUSE_S if loop.time() - began > _STEADY_S else min(LONGEST_PAUSE_S, 2 * pause_s)
            self._say(f"clpaltd has ended and is started anew in {pause_s:g} s. {said}")
            await asyncio.sleep(pause_s)

    async def close(self) -> None:
        """It sees the end of its standard input, sends what can be sent at once, and ends."""
        if self._forked is not None:
            pid = self._forked.pid
            self._let_go()
            try:
                async with asyncio.timeout(END_S):
                    await _ended(pid)
            except TimeoutError:
                spawn.kill_group(pid)
                await _ended(pid)
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(END_S):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _let_go(self) -> None:
        if self._forked is not None:
            os.close(self._forked.end)
            self._forked = None

    async def _live(self) -> str:
        """One life of it; what it said last."""
        try:
            self._process = process = await asyncio.create_subprocess_exec(
                *_COMMAND, stdin=PIPE, stdout=DEVNULL, stderr=PIPE, start_new_session=True
            )
        except OSError as error:
            return f"It cannot be started: {error.strerror}."
        assert process.stderr is not None
        said = b""
        while data := await process.stderr.read(_SAID_BYTES):
            said = (said + data)[-_SAID_BYTES:]
        code = await process.wait()
        return f"Code {code}. {' '.join(said.decode('utf-8', 'replace').split())}"


async def _ended(pid: int) -> int:
    """The exit code of our child, below zero a signal; it is reaped."""
    loop = asyncio.get_running_loop()
    descriptor = os.pidfd_open(pid)
    gone = asyncio.Event()
    try:
        loop.add_reader(descriptor, gone.set)
        await gone.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    _, status = os.waitpid(pid, os.WNOHANG)  # noqa: ASYNC222 - it has ended
    return os.waitstatus_to_exitcode(status)
