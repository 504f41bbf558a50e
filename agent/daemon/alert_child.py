"""Runs clpaltd when there is something to tell; the daemon never waits for it while it works.

A server at rest runs none: it would be a quarter of all its memory. The daemon holds its sockets (UDP 29003), listens
while it is away, and starts it when an event was written that nobody has handled yet (alert_rest.py), or a datagram of
another server has come. It inherits the sockets, so that what comes between is not lost, and ends by itself.

It is started calmly, since servers often have something to tell at the same time: not right after the daemon, not
while a failover is at hand, at a moment of each server's own, and behind everything else that wants the processor.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from binascii import crc32
from collections.abc import Callable
from pathlib import Path
from socket import MSG_PEEK, socket

from agent.clpconf.model import Cluster
from agent.daemon import alert_net
from agent.daemon.alert_rest import is_work_left
from agent.daemon.paths import LEASE_FD, PET_FD, Paths
from agent.daemon.peers import lan_paths
from agent.messages.template import Severity
from agent.wire.alerts import PORT, Codec, derive_key

OFF = "OPENCLP_ALERTS"  # "none": nobody is told (tests, benches)
START_S = 10.0  # after the daemon: it has more urgent things to do
CALM_S = 2.0  # within which each server has its moment
# Of what is no mere information. Together with the start it stays well below telling.GATHER_S: those who write the
# same have to know of each other before one of them tells it.
SOON_S, SOON_SPREAD_S = 0.25, 0.5
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
END_S = 4.0  # for the last alerts to leave when the service stops
BEHIND_S = 2.0  # then it gets a small share of a busy processor, too
_STEADY_S = 60.0
_BIND_S = 1.0  # between two tries to get an address that the one before still holds
_LOOK_S = 0.1
_SAID_BYTES = 2000
_DATAGRAM_BYTES = 65535
_LAST_NICE, _LOW_NICE = 19, 15
_COMMAND = (sys.executable, "-m", "agent.daemon.alertd")


class AlertChild:
    """run() for as long as the daemon lives, then close(). `say` gets a sentence for agent.log."""

    def __init__(
        self, places: Paths, cluster: Cluster, me: str, key: bytes, *, say: Callable[[str], None],
        is_urgent: Callable[[], bool], start_s: float = START_S, port: int = PORT,
    ) -> None:  # fmt: skip
        """`is_urgent`: the daemon has something at hand that must not be disturbed."""
        self._places = places
        self._say = say
        self._is_urgent = is_urgent
        self._start_s = start_s
        self._port = port
        self._moment = crc32(me.encode()) / 2**32
        self._codec = Codec(cluster.name, me, derive_key(key), cluster.server_names)
        ways = lan_paths(cluster, me)
        own = [way.local for way in ways.pop(me)]
        self._own = tuple(dict.fromkeys(own)) if ways else ()
        self._sockets: dict[str, socket] = {}
        self._wake, self._soon = asyncio.Event(), asyncio.Event()
        self._process: Process | None = None

    def written(self, severity: Severity) -> None:
        """Something was written to events.jsonl."""
        self._wake.set()
        if severity != "info":
            self._soon.set()

    async def run(self) -> None:
        """Until cancelled."""
        if _is_off():
            return
        loop = asyncio.get_running_loop()
        pause_s = FIRST_PAUSE_S
        end = loop.time() + self._start_s
        while not self._has_sockets() and loop.time() < end:  # noqa: ASYNC110 - nobody tells when it is free
            await asyncio.sleep(_BIND_S)
        await asyncio.sleep(max(0.0, end - loop.time()))
        while True:
            await self._called()
            began = loop.time()
            code, said = await self._live()
            pause_s = FIRST_PAUSE_S if loop.time() - began > _STEADY_S else min(LONGEST_PAUSE_S, 2 * pause_s)
            if code:
                self._say(f"clpaltd has ended and is started anew in {pause_s:g} s. {said}")
            if code or is_work_left(self._places):
                await asyncio.sleep(pause_s)
            else:
                pause_s = FIRST_PAUSE_S

    async def close(self) -> None:
        """It sees the end of its standard input, sends what can be sent at once, and ends."""
        if self._process is None and not _is_off() and is_work_left(self._places):
            with contextlib.suppress(OSError):
                await self._start()  # For the daemon's last words.
        process, self._process = self._process, None
        try:
            if process is not None and process.returncode is None:
                await _end(process)
        finally:
            for sock in self._sockets.values():
                sock.close()
            self._sockets.clear()

    # --- when

    async def _called(self) -> None:
        """There is something to do, and this is the moment to begin."""
        self._wake.clear()
        if not is_work_left(self._places):
            self._soon.clear()
            self._listen()
            try:
                await self._wake.wait()
            finally:
                self._listen_no_more()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CALM_S * self._moment):
                await self._soon.wait()
                await asyncio.sleep(SOON_S + SOON_SPREAD_S * self._moment)
        while self._is_urgent():  # noqa: ASYNC110 - it lasts for milliseconds, and nobody waits for us
            await asyncio.sleep(_LOOK_S)
        self._soon.clear()

    def _has_sockets(self) -> bool:
        """Another one's end may still hold an address; one that stays away is complained of by clpaltd."""
        for address in self._own:
            if address not in self._sockets:
                with contextlib.suppress(OSError):
                    self._sockets[address] = alert_net.bind(address, self._port)
        return len(self._sockets) == len(self._own)

    def _listen(self) -> None:
        self._has_sockets()
        for sock in self._sockets.values():
            asyncio.get_running_loop().add_reader(sock, self._readable, sock)

    def _listen_no_more(self) -> None:
        for sock in self._sockets.values():
            asyncio.get_running_loop().remove_reader(sock)

    def _readable(self, sock: socket) -> None:
        """What is ours stays for clpaltd; a stranger cannot have it started."""
        with contextlib.suppress(OSError):
            if self._codec.open(sock.recv(_DATAGRAM_BYTES, MSG_PEEK)) is None:
                sock.recv(_DATAGRAM_BYTES)
                return
            self._listen_no_more()
            self._wake.set()

    # --- its life

    async def _live(self) -> tuple[int, str]:
        """One life of it: its code, and what it said last."""
        try:
            process = await self._start()
        except OSError as error:
            return 1, f"It cannot be started: {error.strerror}."
        _put_behind(process.pid)
        hurry = asyncio.get_running_loop().call_later(BEHIND_S, _put_low, process)
        try:
            assert process.stderr is not None
            said = b""
            while data := await process.stderr.read(_SAID_BYTES):
                said = (said + data)[-_SAID_BYTES:]
            code = await process.wait()
        finally:
            hurry.cancel()
        self._process = None
        return code, f"Code {code}. {' '.join(said.decode('utf-8', 'replace').split())}"

    async def _start(self) -> Process:
        self._has_sockets()
        words = [f"{address}={sock.fileno()}" for address, sock in self._sockets.items()]
        environ = {name: value for name, value in os.environ.items() if name not in (PET_FD, LEASE_FD)}
        self._process = await asyncio.create_subprocess_exec(
            *_COMMAND, *words, stdin=PIPE, stdout=DEVNULL, stderr=PIPE, start_new_session=True, env=environ,
            pass_fds=[sock.fileno() for sock in self._sockets.values()],
        )  # fmt: skip
        return self._process


def _is_off() -> bool:
    return os.environ.get(OFF) == "none"


async def _end(process: Process) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(END_S):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _put_behind(pid: int) -> None:
    """While it imports its modules, which is most of its work."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, _LAST_NICE)
        # Where the kernel shares the processor between sessions, only this counts.
        Path(f"/proc/{pid}/autogroup").write_text(str(_LAST_NICE), "ascii")
    with contextlib.suppress(OSError):
        os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))


def _put_low(process: Process) -> None:
    """People have to be told, too, that a server is overloaded."""
    if process.returncode is not None:
        return
    with contextlib.suppress(OSError):
        os.sched_setscheduler(process.pid, os.SCHED_BATCH, os.sched_param(0))
        os.setpriority(os.PRIO_PROCESS, process.pid, _LOW_NICE)
        Path(f"/proc/{process.pid}/autogroup").write_text(str(_LOW_NICE), "ascii")
