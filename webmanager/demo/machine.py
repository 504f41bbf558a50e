"""One machine of the bed, seen from outside: run programs in it, reach its files and sockets, take its power."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PID1 = Path(__file__).with_name("pid1.py")
LIMIT = 160_000
ANSWER_S = 10.0  # the longest that process 1 of a machine may take for one order on a busy computer
END_S = 60.0  # for all of its processes to be gone: each of them needs a processor for that
DISK = "/run/server"  # of a server of the bed: survives its loss of power

# Every kind of namespace but the user's; `--propagation private` (the default) keeps our mounts to ourselves.
UNSHARE = ("unshare", "--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc")

HINT = (
    ". An ordinary user needs unprivileged user namespaces (sysctl user.max_user_namespaces above 0 and, on Ubuntu,"
    " kernel.apparmor_restrict_unprivileged_userns=0); or run it as root"
)


class BedError(Exception):
    """The bed could not do it; the text names what and why."""


class MachineGoneError(BedError):
    """The machine has no power."""


@dataclass(frozen=True, slots=True)
class Result:
    code: int
    out: str
    err: str


@dataclass(slots=True)
class Job:
    """One program started in a machine; `pid` is its number there."""

    machine: Machine
    argv: Sequence[str]
    pid: int
    code: int | None = None
    _ended: threading.Event = field(default_factory=threading.Event)

    def wait(self, timeout_s: float) -> int:
        """Exit code, minus the signal number when a signal ended it or the machine lost its power (SIGKILL)."""
        if not self._ended.wait(timeout_s):
            raise BedError(f"{self.argv[0]} on {self.machine.name} did not end within {timeout_s} s")
        assert self.code is not None
        return self.code

    def running(self) -> bool:
        return not self._ended.is_set()

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Signal its whole process group."""
        with contextlib.suppress(MachineGoneError):
            self.machine.kill(-self.pid, number)

    def ended(self, code: int) -> None:
        self.code = code
        self._ended.set()


@dataclass(slots=True)
class _Answer:
    event: threading.Event = field(default_factory=threading.Event)
    value: dict[str, Any] | None = None
    fds: list[int] = field(default_factory=list)


# Runs argv + [FD], where FD is the number under which the new process has the given socket; stderr goes to the last.
Starter = Callable[[list[str], socket.socket, int], None]


class Machine:
    """A set of namespaces with a process 1 that obeys us; `on` between start() and power_off()."""

    def __init__(self, name: str, environment: Mapping[str, str], unshare: Sequence[str] = UNSHARE) -> None:
        self.name = name
        self.environment = dict(environment)
        self._unshare = unshare
        self._lock = threading.Lock()
        self._answers: dict[int, _Answer] = {}
        self._jobs: dict[int, Job] = {}
        self._early: dict[int, int] = {}  # exits that overtook the reply to their spawn
        self._serial = 0
        self._control: socket.socket | None = None
        self._pidfd = -1
        self.pid = 0  # of its process 1, as the caller's /proc numbers it

    # ---- power ----
    @property
    def on(self) -> bool:
        return self._control is not None

    def start(self, starter: Starter) -> None:
        assert not self.on, f"{self.name} has power already"
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        ours.settimeout(ANSWER_S)
        with _memory("stderr") as stderr:
            with theirs:
                starter([*self._unshare, sys.executable, "-I", "-S", str(PID1), self.name], theirs, stderr)
            try:
                self.pid = _hello(ours)
            except OSError as error:
                ours.close()
                reason = _content(stderr).strip() or str(error)
                raise BedError(f"{self.name} did not start: {reason}{HINT if os.geteuid() else ''}") from error
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 0)
        ours.settimeout(None)
        self._pidfd = os.pidfd_open(self.pid)
        self._control = ours
        threading.Thread(target=self._listen, args=(ours,), name=f"machine {self.name}", daemon=True).start()

    def power_off(self) -> None:
        """SIGKILL to process 1: the kernel ends every process of the machine; returns when they are gone."""
        with self._lock:
            # Taken out, so that the listener, which sees the end as well, does not close it under our hands.
            pidfd, self._pidfd = self._pidfd, -1
        if pidfd < 0:
            return
        try:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            gone, _, _ = select.select([pidfd], [], [], END_S)
        finally:
            os.close(pidfd)
        if not gone:
            raise BedError(f"the processes of {self.name} did not end within {END_S:g} s of SIGKILL")
        self._forget()

    def _forget(self) -> None:
        with self._lock:
            control, self._control = self._control, None
            pidfd, self._pidfd = self._pidfd, -1
            jobs, self._jobs = list(self._jobs.values()), {}
            answers, self._answers = list(self._answers.values()), {}
            self._early.clear()
        if control is None:
            return
        with contextlib.suppress(OSError):
            control.shutdown(socket.SHUT_RDWR)
        control.close()
        if pidfd >= 0:
            os.close(pidfd)
        for answer in answers:
            answer.event.set()
        for job in jobs:
            job.ended(-signal.SIGKILL)

    # ---- orders ----
    def _listen(self, control: socket.socket) -> None:
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(control, LIMIT, 4, socket.MSG_CMSG_CLOEXEC)
            except OSError:
                data, fds = b"", []
            if not data:
                if self._control is control:
                    self._forget()
                return
            self._take(json.loads(data), fds)

    def _take(self, message: dict[str, Any], fds: list[int]) -> None:
        with self._lock:
            if "exited" in message:
                job = self._jobs.pop(message["exited"], None)
                if job is None:
                    self._early[message["exited"]] = message["status"]
                else:
                    job.ended(message["status"])
                return
            answer = self._answers.pop(message["id"], None)
        if answer is None:
            for fd in fds:
                os.close(fd)
            return
        answer.value, answer.fds = message, fds
        answer.event.set()

    def _ask(self, order: dict[str, Any], fds: Sequence[int] = ()) -> tuple[dict[str, Any], list[int]]:
        answer = _Answer()
        with self._lock:
            if self._control is None:
                raise MachineGoneError(f"{self.name} has no power")
            self._serial += 1
            self._answers[self._serial] = answer
            data = json.dumps({**order, "id": self._serial}).encode()
            assert len(data) < LIMIT, "order too large for one message"
            try:
                socket.send_fds(self._control, [data], list(fds))
            except OSError as error:
                raise MachineGoneError(f"{self.name} has no power") from error
        if not answer.event.wait(ANSWER_S):
            raise BedError(f"{self.name} did not answer {order['op']} within {ANSWER_S} s")
        if answer.value is None:
            raise MachineGoneError(f"{self.name} lost its power")
        if "error" in answer.value:
            raise BedError(f"{order['op']} {order.get('argv', '')} on {self.name}: {answer.value['error']}")
        return answer.value, answer.fds

    def spawn(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        extra: Sequence[int] = (),
    ) -> Job:
        """Start a program; descriptors that are not given are /dev/null, `extra` become 3, 4, ..."""
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            fds = [null if fd is None else fd for fd in (stdin, stdout, stderr)]
            order = {"op": "spawn", "argv": list(argv), "env": {**self.environment, **(environment or {})}}
            answer, _ = self._ask(order, [*fds, *extra])
        finally:
            os.close(null)
        job = Job(self, argv, answer["pid"])
        with self._lock:
            if job.pid in self._early:
                job.ended(self._early.pop(job.pid))
            elif self._control is None:
                job.ended(-signal.SIGKILL)
            else:
                self._jobs[job.pid] = job
        return job

    def run(
        self,
        argv: Sequence[str],
        *,
        input: str = "",
        environment: Mapping[str, str] | None = None,
        timeout_s: float = 20.0,
        check: bool = True,
        extra: Sequence[int] = (),
    ) -> Result:
        """Run a program to its end and give its output; with `check`, an exit code other than 0 raises BedError."""
        with _memory("in", input) as source, _memory("out") as out, _memory("err") as err:
            job = self.spawn(argv, environment=environment, stdin=source, stdout=out, stderr=err, extra=extra)
            try:
                code = job.wait(timeout_s)
            except BedError:
                job.kill()
                raise
            result = Result(code, _content(out), _content(err))
        if check and code != 0:
            raise BedError(f"{' '.join(argv)} on {self.name} gave {code}: {(result.err or result.out).strip()}")
        return result

    def sh(self, script: str, *, timeout_s: float = 20.0, check: bool = True) -> Result:
        return self.run(["/bin/sh", "-eu"], input=script, timeout_s=timeout_s, check=check)

    def kill(self, pid: int, number: int = signal.SIGKILL) -> bool:
        """Signal a process by its number in the machine (-1: all of them). False when there is none."""
        answer, _ = self._ask({"op": "kill", "pid": pid, "signal": int(number)})
        return bool(answer["sent"])

    def listen(self, host: str, port: int) -> socket.socket:
        """A listening socket in the machine's network, usable here."""
        _, fds = self._ask({"op": "listen", "host": host, "port": port})
        return socket.socket(fileno=fds[0])

    # ---- what is in it ----
    def path(self, inside: str) -> Path:
        """A path of the machine as a path of the caller; good for files and for unix sockets."""
        if not self.on:
            raise MachineGoneError(f"{self.name} has no power")
        return Path(f"/proc/{self.pid}/root") / inside.lstrip("/")

    def processes(self) -> dict[int, list[str]]:
        """Number in the machine -> command line, process 1 left out."""
        found: dict[int, list[str]] = {}
        for entry in self.path("/proc").iterdir():
            if entry.name.isdigit() and entry.name != "1":
                with contextlib.suppress(OSError):
                    found[int(entry.name)] = (entry / "cmdline").read_text(errors="replace").split("\0")[:-1]
        return found

    def pids(self, word: str) -> list[int]:
        """Processes that have `word` in their command line (a module, a script, a program's name)."""
        return [pid for pid, argv in self.processes().items() if any(word in part for part in argv)]

    def net(self) -> int:
        """A descriptor of its network namespace; the caller closes it."""
        return os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def start_here(argv: list[str], control: socket.socket, stderr: int) -> None:
    """Start the outermost machine as a child of this process, in a session of its own (Ctrl-C is not for it)."""
    process = subprocess.Popen(
        [*argv, str(control.fileno())],
        pass_fds=[control.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr,
        start_new_session=True,
    )  # fmt: skip
    threading.Thread(target=process.wait, name="reaper of the bed", daemon=True).start()


def _hello(control: socket.socket) -> int:
    """The first message carries the sender's credentials, in which the kernel puts its pid as we number it."""
    data, ancillary, _, _ = control.recvmsg(100, socket.CMSG_SPACE(12))
    for level, kind, content in ancillary:
        if data and level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            return int(struct.unpack("iii", content[:12])[0])
    raise ConnectionResetError("its process 1 ended at once")


@contextlib.contextmanager
def _memory(name: str, content: str = ""):  # type: ignore[no-untyped-def]
    fd = os.memfd_create(f"bed-{name}")
    try:
        os.write(fd, content.encode())
        os.lseek(fd, 0, os.SEEK_SET)
        yield fd
    finally:
        os.close(fd)


def _content(fd: int) -> str:
    size = min(os.fstat(fd).st_size, 4_000_000)
    return os.pread(fd, size, 0).decode(errors="replace")


def until(
    condition: Callable[[], bool], what: str, timeout_s: float, step_s: float = 0.01,
    last: Callable[[], object] | None = None,
) -> float:  # fmt: skip
    """Poll until the condition holds; the seconds that it took. BedError names what did not come; `last` tells what was
    there instead."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > timeout_s:
            raise BedError(f"{what}: not within {timeout_s:g} s{_instead(last)}")
        time.sleep(step_s)
    return time.monotonic() - start


def _instead(last: Callable[[], object] | None) -> str:
    if last is None:
        return ""
    try:
        return f"; instead: {last()}"
    except BedError as error:
        return f"; instead: {error}"
