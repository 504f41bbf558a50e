"""Starting processes from the supervisor without `subprocess` (1 MB of memory): fork, arrange descriptors, exec."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from agent.drivers import kernel
from agent.drivers.message_sockets import CONTROL_FD

_CHUNK = 64 << 10
# `-I` keeps strangers' modules away from who must be on time, and us, too: our place comes as an argument.
_CHILD = "import sys; sys.path.insert(0, sys.argv[1]); from {} import run; run()"


class Result(NamedTuple):
    code: int | None  # None: did not end within its limit and was killed
    out: bytes
    err: bytes


def start(
    command: Sequence[str],
    environ: Mapping[str, str],
    files: Mapping[int, int],
    *,
    death_signal: int = signal.SIGKILL,
    own_group: bool = True,
) -> int:
    """Start `command` with `files` (its descriptor -> ours); it gets `death_signal` when we die, 0 for nothing."""
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become(command, environ, files, parent, death_signal, own_group)
    return pid


def child_command(module: str, root: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", _CHILD.format(module), root]


def start_child(
    command: Sequence[str],
    environ: Mapping[str, str],
    settings: Mapping[str, Any],
    files: Mapping[int, int],
    *,
    death_signal: int = 0,
) -> tuple[int, socket.socket]:
    """Start it with its settings as standard input; returns its number and our end of its CONTROL_FD."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    memory = os.memfd_create("settings")
    try:
        os.write(memory, json.dumps(settings).encode())
        os.lseek(memory, 0, os.SEEK_SET)
        inherited = {0: memory, CONTROL_FD: theirs.fileno(), **files}
        return start(command, environ, inherited, death_signal=death_signal), ours
    finally:
        os.close(memory)
        theirs.close()


def _become(
    command: Sequence[str], environ: Mapping[str, str], files: Mapping[int, int], parent: int, death: int, group: bool
) -> NoReturn:
    try:
        settle_in(files, parent, death, own_group=group)
        os.execve(command[0], list(command), dict(environ))  # noqa: S606 - there is no shell
    except BaseException as error:
        os.write(2, f"cannot start {command[0]}: {error}\n".encode())
    os._exit(127)


def settle_in(files: Mapping[int, int], parent: int, death: int, *, own_group: bool) -> None:
    """Of a process that was just forked: signals, group and descriptors as it shall have them."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    if own_group:
        os.setpgid(0, 0)
    if death:
        kernel.die_with_parent(parent, death)
    # First out of each other's way, then to their places.
    high = {target: os.dup(source) for target, source in files.items()}
    floor = max((*files, 2)) + 1
    for target, copy in high.items():
        while copy < floor:
            copy = os.dup(copy)
        high[target] = copy
    for target, copy in high.items():
        os.dup2(copy, target)


def run(command: Sequence[str], environ: Mapping[str, str], limit_s: float, limit_bytes: int) -> Result:
    """Run to its end and collect what it says; what is beyond `limit_bytes` is dropped."""
    read_out, write_out = os.pipe()
    read_err, write_err = os.pipe()
    empty = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        pid = start(command, environ, {0: empty, 1: write_out, 2: write_err})
    finally:
        for fd in (write_out, write_err, empty):
            os.close(fd)
    deadline = time.monotonic() + limit_s
    try:
        said = collect((read_out, read_err), deadline, limit_bytes)
    finally:
        os.close(read_out)
        os.close(read_err)
    return Result(wait(pid, deadline), *said)


def collect(ends: tuple[int, int], deadline: float, limit_bytes: int) -> tuple[bytes, bytes]:
    said = {end: bytearray() for end in ends}
    poll = select.poll()
    for end in ends:
        poll.register(end, select.POLLIN)
    open_ends = set(ends)
    while open_ends:
        ready = poll.poll(max(deadline - time.monotonic(), 0.0) * 1000)
        if not ready:
            break
        for end, _ in ready:
            data = os.read(end, _CHUNK)
            if not data:
                poll.unregister(end)
                open_ends.discard(end)
            elif len(said[end]) < limit_bytes:
                said[end] += data
    return bytes(said[ends[0]]), bytes(said[ends[1]])


def wait(pid: int, deadline: float) -> int | None:
    """The exit code; a process that does not end is killed with its group."""
    descriptor = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        in_time = bool(poll.poll(max(deadline - time.monotonic(), 0.0) * 1000))
        if not in_time:
            kill_group(pid)
        _, status = os.waitpid(pid, 0)
    finally:
        os.close(descriptor)
    return os.waitstatus_to_exitcode(status) if in_time else None


def kill_group(pid: int) -> None:
    """SIGKILL for a child that we started, with its process group; nothing when it is gone, or 0: that is our own."""
    for kill in (os.killpg, os.kill) if pid > 0 else ():
        try:
            kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue


def ending(status: int) -> str:
    """How a process ended, in words."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def starved_ns(pid: int) -> int:
    """How long the process was ready to run and got no CPU; 0 where the kernel does not tell."""
    try:
        with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[1])
    except (OSError, IndexError, ValueError):
        return 0


def kill_orphans(keep: set[int]) -> int:
    """Kill what the daemon left to us (we are the subreaper); returns how many."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            orphans = {int(pid) for pid in file.read().split()} - keep
    except (OSError, ValueError):
        return 0
    for pid in orphans:
        kill_group(pid)
    return len(orphans)
