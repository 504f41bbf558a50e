"""The mirror process of one md resource: started apart from the daemon, watched, started anew when it dies.

Rules of this file
- It leads a session of its own and ends neither with the daemon nor by a signal to its group. A daemon that begins
  finds it by its control socket and its number, and starts none beside it.
- The settings file says what the running process was started with: it is written before a start and at no other time,
  so that whoever compares it with clp.conf knows whether a new start is due.
- Who dies again and again is started more and more slowly, ten seconds apart at most; what was well for a minute
  begins anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from agent.daemon.mirror_client import listener_of
from agent.drivers import procfs
from agent.drivers.files import read_limited, write_atomic
from agent.mirrord.settings import Settings

MODULE = "agent.mirrord.main"
_ROOT = str(Path(__file__).resolve().parents[2])
_FILE_BYTES = 1 << 20
_FIRST_PAUSE_S, _LONGEST_PAUSE_S, _WELL_S = 0.1, 10.0, 60.0
_KILL_S = 1.0  # for the kernel to end a process
_LOG_BYTES = 1 << 20
_TAIL_BYTES = 400
# Of the daemon alone.
_PRIVATE = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID")


class MirrorProcess:
    """`died` takes a sentence each time that it has ended without having been told to."""

    def __init__(self, settings: Settings, logs: Path, died: Callable[[str], None]) -> None:
        self.settings = settings
        self._file = Path(settings.run) / f"mirror-{settings.mirror}.json"
        self._log = logs / f"{settings.mirror}.log"
        self._died = died
        self._pid = 0
        self._pause_s = 0.0

    @property
    def encoded(self) -> bytes:
        return msgspec.json.encode(self.settings)

    @property
    def outdated(self) -> bool:
        """What runs was started with other settings."""
        return read_limited(self._file, _FILE_BYTES) != self.encoded

    def find(self) -> None:
        """By its control socket."""
        self._pid = listener_of(self.settings.control)

    def found(self, pid: int) -> None:
        """It has said its number: started by us, or by a daemon before us."""
        self._pid = pid

    @property
    def running(self) -> bool:
        process = procfs.find(self._pid) if self._pid else None
        return process is not None and not process.ended

    async def keep(self, connected: Callable[[], bool]) -> None:
        """Until cancelled. `connected`: one listens already."""
        loop = asyncio.get_running_loop()
        while True:
            while connected() or self.running:
                await self._ended()
            if self._pause_s:
                await asyncio.sleep(self._pause_s)
                if connected():
                    continue
            began = loop.time()
            self._start()
            await self._ended()
            well = loop.time() - began >= _WELL_S
            self._pause_s = _FIRST_PAUSE_S if well else min(_LONGEST_PAUSE_S, 2 * self._pause_s or _FIRST_PAUSE_S)

    def _start(self) -> None:
        """Its standard output and error are the log of the resource."""
        try:
            self._file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            write_atomic(self._file, self.encoded, durable=False, mode=0o600)
            self._trim()
            log = str(self._log)
            actions = [
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ]
            self._pid = os.posix_spawn(
                sys.executable, [sys.executable, "-m", MODULE, str(self._file)], _environment(), file_actions=actions,
                setsid=True, setsigmask=[], setsigdef=[signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGPIPE],
            )  # fmt: skip
        except OSError as error:
            self._pid = 0
            self._died(f"it cannot be started: {error.strerror or error}")

    async def _ended(self) -> None:
        """Returns when the process has ended; at once without one."""
        pid = self._pid
        if not pid:
            await asyncio.sleep(_FIRST_PAUSE_S)
            return
        await _gone(pid)
        code = _reap(pid)
        if self._pid == pid:
            self._pid = 0
            self._died(f"{_ending(code)}{self._last_words()}")

    def _trim(self) -> None:
        with contextlib.suppress(OSError):
            if self._log.stat().st_size > _LOG_BYTES:
                self._log.replace(self._log.with_name(f"{self._log.name}.1"))

    def _last_words(self) -> str:
        try:
            with self._log.open("rb") as file:
                file.seek(max(0, self._log.stat().st_size - _TAIL_BYTES))
                lines = file.read(_TAIL_BYTES).decode("utf-8", "replace").strip().splitlines()
        except OSError:
            return ""
        return f"; its log ends with: {lines[-1].strip()}" if lines else ""

    async def end(self, grace_s: float) -> bool:
        """It is told to end by SIGTERM, and by SIGKILL after `grace_s`. False: the kernel does not end it."""
        pid, self._pid = self._pid, 0
        for number, wait_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, _KILL_S)):
            process = procfs.find(pid) if pid else None
            if process is None or process.ended:
                break
            if wait_s <= 0:
                continue
            procfs.send((process,), number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await _gone(pid)
        if pid:
            _reap(pid)
        process = procfs.find(pid) if pid else None
        return process is None or process.ended

    def kill(self) -> None:
        """From now on it does nothing any more, although it may take a while to disappear."""
        process = procfs.find(self._pid) if self._pid else None
        if process is not None:
            procfs.send((process,), signal.SIGKILL)

    def forget(self) -> None:
        """The process is not needed any more."""
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)


def left_behind(run: Path, known: set[str]) -> dict[str, Settings]:
    """Of mirrors that are not in clp.conf any more: settings of processes that may still run."""
    found = {}
    for file in run.glob("mirror-*.json"):
        with contextlib.suppress(OSError, ValueError):
            settings = msgspec.json.decode(read_limited(file, _FILE_BYTES) or b"", type=Settings)
            if settings.mirror not in known:
                found[settings.mirror] = settings
    return found


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _PRIVATE}
    path = [_ROOT, *(p for p in kept.get("PYTHONPATH", "").split(os.pathsep) if p and p != _ROOT)]
    return {**kept, "PYTHONPATH": os.pathsep.join(path)}


async def _gone(pid: int) -> None:
    loop = asyncio.get_running_loop()
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return
    gone = asyncio.Event()
    loop.add_reader(descriptor, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _reap(pid: int) -> int | None:
    """How it ended; None: it was started by another daemon, and its parent knows."""
    try:
        done, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return os.waitstatus_to_exitcode(status) if done else None


def _ending(code: int | None) -> str:
    if code is None:
        return "it has ended"
    return f"it ended with code {code}" if code >= 0 else f"it was killed by signal {-code}"
