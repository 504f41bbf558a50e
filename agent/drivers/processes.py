"""Scripts and their processes, which outlive the daemon and are found again by the next one.

The rules of this file:
- Every run is a session of its own, led by a small shell. What the run started and did not detach is one with it.
- A record names the run (leader's number and start time, boot) BEFORE the script begins: the shell waits for a word on
  its standard input, so a daemon killed between the two leaves no unknown script behind.
- The shell writes the script's exit code to a file, so that a daemon which was not its parent learns it.
- Output goes straight into a file: a pipe would break with the daemon.
- Nothing is signalled whose number and start time are not those of the record.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from agent.drivers import procfs
from agent.drivers.files import read_limited, write_atomic
from agent.drivers.machine import boot_id
from agent.drivers.scriptlog import ScriptLog
from agent.drivers.session import end_session
from agent.ports import DriverError, Exit, Run

KILL_AFTER_S = 3.0  # from SIGTERM to SIGKILL of a run that is out of time
DEATH_LIMIT_S = 5.0  # from SIGKILL until we report that they do not die
_TEND_S = 10.0  # how often a log is looked at
_RECORD_LIMIT_BYTES = 1 << 20

# $0 is the file for the exit code. Standard input closed without a word: the daemon died before its record was written.
_WAITED = 'read -r go || exit 126\nexec </dev/null\n"$@"\ncode=$?\necho "$code" >"$0"\nexit "$code"'
_LEFT = 'read -r go || exit 126\nexec "$@" </dev/null'
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Of the agent alone; would mislead what a script starts.
_PRIVATE = frozenset({"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID", "MALLOC_ARENA_MAX"})


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    argv: tuple[str, ...]
    left: bool  # started to be left running
    pid: int
    start: int
    boot: str
    began: float  # CLOCK_BOOTTIME
    log: str
    offset: int
    log_limit_bytes: int


class LocalProcesses:
    """Implements `ports.Processes`. `runs` holds the records, `logs` the output of runs that name no log."""

    def __init__(self, runs: Path, logs: Path) -> None:
        self._runs = runs
        self._logs = logs
        self._boot = boot_id()
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._tended: dict[str, asyncio.TimerHandle] = {}

    def close(self) -> None:
        """Stop looking after logs. What was left running goes on."""
        for timer in self._tended.values():
            timer.cancel()
        self._tended.clear()

    async def run(self, run: Run) -> Exit:
        record = await self._earlier(run)
        if record is None:
            record = self._launch(run, left=False)
        try:
            ended = await self._wait(record, run.timeout_s - (_now() - record.began))
            if not ended:
                await self._stop(record, KILL_AFTER_S)
        except asyncio.CancelledError:
            await self._stop_in_spite_of_cancellation(record)
            raise
        code = self._exit_code(record) if ended else None
        if ended and code is None:
            # Somebody killed the leading shell: what it led must not go on unseen.
            await self._stop(record, KILL_AFTER_S)
        log = self._log(record)
        result = Exit(code, _now() - record.began, log.tail())
        log.trim()
        self._forget(record.key)
        return result

    async def start(self, run: Run) -> None:
        await self.stop(run.key, KILL_AFTER_S)
        record = self._launch(run, left=True)
        self._reap_later(record.pid)
        self._tend(record)

    async def stop(self, key: str, grace_s: float) -> None:
        record = self._recall(key)
        if record is not None:
            await self._stop(record, grace_s)
            self._forget(record.key)

    async def alive(self, key: str) -> bool:
        record = self._recall(key)
        if record is None or not procfs.is_running(record.pid, record.start):
            return False
        self._tend(record)
        return True

    async def wait_gone(self, key: str) -> None:
        record = self._recall(key)
        if record is not None:
            await self._wait(record, None)

    async def _earlier(self, run: Run) -> _Record | None:
        """The run of this key that an earlier daemon began, in flight or ended without anybody to tell."""
        record = self._recall(run.key)
        if record is None:
            return None
        alive = procfs.is_running(record.pid, record.start)
        if record.argv == run.argv and not record.left and (alive or self._exit_code(record) is not None):
            return record
        await self.stop(run.key, KILL_AFTER_S)
        return None

    def _launch(self, run: Run, *, left: bool) -> _Record:
        log = ScriptLog(Path(run.log) if run.log else self._own_log(run.key), run.log_limit_bytes)
        argv, remark = resolve(run.argv)
        with log.opened() as output:
            if remark:
                os.write(output, remark.encode() + b"\n")
            offset = os.fstat(output).st_size
            child = self._spawn(run, argv, output, left=left)
        return self._release(child, run, log, offset, left=left)

    def _spawn(self, run: Run, argv: tuple[str, ...], output: int, *, left: bool) -> subprocess.Popen[bytes]:
        shell = ["/bin/sh", "-c", _LEFT if left else _WAITED, str(self._exit_file(run.key)), *argv]
        try:
            self._runs.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._exit_file(run.key).unlink(missing_ok=True)
            return subprocess.Popen(
                shell, stdin=subprocess.PIPE, stdout=output, stderr=output, cwd=run.directory, bufsize=0,
                env=_environment(run.environment), start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise DriverError(f"cannot run {run.argv[0]} in {run.directory}: {error.strerror or error}") from error

    def _release(self, child: subprocess.Popen[bytes], run: Run, log: ScriptLog, offset: int, *, left: bool) -> _Record:
        """Write the record, then let the shell go on."""
        assert child.stdin is not None
        with child.stdin:
            process = procfs.find(child.pid)
            assert process is not None, "a child stays until its parent has looked"
            record = _Record(
                key=run.key, argv=run.argv, left=left, pid=child.pid, start=process.start, boot=self._boot,
                began=_now(), log=str(log.path), offset=offset, log_limit_bytes=run.log_limit_bytes,
            )  # fmt: skip
            try:
                write_atomic(self._record_file(run.key), msgspec.json.encode(record), durable=False)
                child.stdin.write(b"go\n")
            except OSError as error:
                child.kill()
                child.wait()
                raise DriverError(f"cannot remember the run of {run.argv[0]} in {self._runs}: {error}") from error
        self._children[child.pid] = child
        return record

    async def _wait(self, record: _Record, timeout_s: float | None) -> bool:
        """Until its leader has ended; False when the time is over first."""
        loop = asyncio.get_running_loop()
        until = None if timeout_s is None else loop.time() + timeout_s
        try:
            descriptor = os.pidfd_open(record.pid)
        except ProcessLookupError:
            return True
        gone: asyncio.Future[None] = loop.create_future()
        try:
            loop.add_reader(descriptor, _resolve, gone)
            while procfs.is_running(record.pid, record.start) and not gone.done():
                left_s = _TEND_S if until is None else min(_TEND_S, until - loop.time())
                if left_s <= 0:
                    return False
                await asyncio.wait((gone,), timeout=left_s)
                if not gone.done():
                    self._log(record).trim()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        self._reap(record.pid)
        return True

    async def _stop(self, record: _Record, grace_s: float) -> None:
        """The whole session of the run, whether or not its leader still lives."""
        left = await end_session(record.pid, record.start, grace_s, DEATH_LIMIT_S)
        if left:
            raise DriverError(
                f"processes {', '.join(str(p.pid) for p in left)} of {record.argv[0]} do not end, not even by "
                f"SIGKILL (state {left[0].state}); a device or network file system may hang"
            )
        self._reap(record.pid)

    async def _stop_in_spite_of_cancellation(self, record: _Record) -> None:
        """Repeated cancellation must not leave a script behind that the engine believes to be gone."""
        stopping = asyncio.ensure_future(self._stop(record, KILL_AFTER_S))
        while not stopping.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait((stopping,))
        self._forget(record.key)
        stopping.result()

    def _reap_later(self, pid: int) -> None:
        """So that what ended is not left as a zombie until somebody asks for it."""
        loop = asyncio.get_running_loop()
        descriptor = os.pidfd_open(pid)

        def reap() -> None:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            self._reap(pid)

        loop.add_reader(descriptor, reap)

    def _reap(self, pid: int) -> None:
        child = self._children.get(pid)
        if child is not None and child.poll() is not None:
            del self._children[pid]

    def _tend(self, record: _Record) -> None:
        """Keep the log of a run within its limit for as long as the run lives."""
        if record.key not in self._tended:
            self._tend_again(record)

    def _tend_again(self, record: _Record) -> None:
        self._tended.pop(record.key, None)
        self._log(record).trim()
        if procfs.is_running(record.pid, record.start):
            timer = asyncio.get_running_loop().call_later(_TEND_S, self._tend_again, record)
            self._tended[record.key] = timer

    def _log(self, record: _Record) -> ScriptLog:
        return ScriptLog(Path(record.log), record.log_limit_bytes, record.offset)

    def _own_log(self, key: str) -> Path:
        """One for each object: exec1.log takes what exec1.start and exec1.stop say."""
        return self._logs / f"{_file_name(key.rpartition('.')[0] or key)}.log"

    def _exit_code(self, record: _Record) -> int | None:
        """None when something killed the run before it could tell."""
        text = read_limited(self._exit_file(record.key), 16) or b""
        return int(text) if text.strip().isdigit() else None

    def _recall(self, key: str) -> _Record | None:
        try:
            data = read_limited(self._record_file(key), _RECORD_LIMIT_BYTES)
            record = msgspec.json.decode(data, type=_Record) if data is not None else None
        except ValueError:
            # Records are written whole, so a power cut has damaged it, and what it named is gone too.
            record = None
        except OSError as error:
            raise DriverError(f"cannot read {self._record_file(key)}: {error.strerror or error}") from error
        if record is not None and record.boot == self._boot:
            return record
        self._forget(key)
        return None

    def _forget(self, key: str) -> None:
        if timer := self._tended.pop(key, None):
            timer.cancel()
        self._record_file(key).unlink(missing_ok=True)
        self._exit_file(key).unlink(missing_ok=True)

    def _record_file(self, key: str) -> Path:
        return self._runs / f"{_file_name(key)}.json"

    def _exit_file(self, key: str) -> Path:
        return self._runs / f"{_file_name(key)}.exit"


def resolve(argv: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """How to run it, and a remark for its log.

    Scripts that came through a Windows machine or an archive have often lost their executable bit: they run by the
    interpreter that they name.
    """
    path = argv[0]
    if not os.path.isabs(path) or (os.access(path, os.X_OK) and os.path.isfile(path)):
        return argv, ""
    try:
        with open(path, "rb") as file:
            first = file.readline(256)
    except FileNotFoundError:
        raise DriverError(
            f"there is no file {path}; put the script there, or correct its path", retryable=False
        ) from None
    except OSError as error:
        raise DriverError(f"cannot read the script {path}: {error.strerror}", retryable=False) from error
    named = first[2:].decode("utf-8", "replace").split(maxsplit=1) if first.startswith(b"#!") else []
    interpreter = [part.strip() for part in named] or ["/bin/sh"]
    return (*interpreter, *argv), f"openclp: {path} is not executable (chmod +x); run by {interpreter[0]}"


def _environment(added: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _PRIVATE}
    return {"PATH": _PATH, **kept, **added}


def _file_name(key: str) -> str:
    """Names of the configuration may hold what a file name cannot."""
    return re.sub(r"^\.|[^\w.@+=-]", lambda found: f"%{ord(found[0]):x}", key)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
