"""Starts clpaltd beside the daemon and starts it anew when it ends. The daemon never waits for it while it works."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable

OFF = "OPENCLP_ALERTS"  # "none": nobody is told (tests, benches)
START_S = 1.0  # after the daemon: it has more urgent things to do
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
END_S = 4.0  # for the last alerts to leave when the service stops
_STEADY_S = 60.0
_SAID_BYTES = 2000
_COMMAND = (sys.executable, "-m", "agent.daemon.alertd")


class AlertChild:
    """run() for as long as the daemon lives, then close(). `say` gets a sentence for agent.log."""

    def __init__(self, say: Callable[[str], None], *, start_s: float = START_S) -> None:
        self._say = say
        self._start_s = start_s
        self._process: Process | None = None

    async def run(self) -> None:
        """Until cancelled."""
        if os.environ.get(OFF) == "none":
            return
        await asyncio.sleep(self._start_s)
        pause_s = FIRST_PAUSE_S
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            said = await self._live()
            pause_s = FIRST_PAUSE_S if loop.time() - began > _STEADY_S else min(LONGEST_PAUSE_S, 2 * pause_s)
            self._say(f"clpaltd has ended and is started anew in {pause_s:g} s. {said}")
            await asyncio.sleep(pause_s)

    async def close(self) -> None:
        """It sees the end of its standard input, sends what can be sent at once, and ends."""
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
