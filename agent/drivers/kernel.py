"""What the supervisor and the heartbeat child ask of the kernel directly; standard library only and small."""

from __future__ import annotations

import ctypes
import os
import signal
import struct

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_MM, _PR_SET_MM_ARG_END = 35, 9
_M_ARENA_MAX = -8
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
_RB_AUTOBOOT = 0x01234567
# The number that the kernel gives to the process namespace it starts with.
_FIRST_PID_NAMESPACE = 4026531836
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}.get(os.uname().machine)
_SCHED_DEADLINE, _RESET_ON_FORK = 6, 1
# size, policy, flags, nice, priority, runtime, deadline, period (ns)
_SCHED_ATTR = struct.Struct("=IIQiIQQQ")
_RUNTIME_MS, _PERIOD_MS = 2, 10

_libc = ctypes.CDLL(None, use_errno=True)


def _error() -> str:
    return os.strerror(ctypes.get_errno())


def die_with_parent(parent: int, number: int = signal.SIGKILL) -> None:
    """Between fork and exec: the kernel sends `number` when the parent dies, even if it is dead already."""
    _libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """What our descendants leave behind becomes our child, not init's, so that we see it end."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def one_arena() -> None:
    """What MALLOC_ARENA_MAX=1 does for a program at its start: memory that threads free is used again by all."""
    if hasattr(_libc, "mallopt"):
        _libc.mallopt(_M_ARENA_MAX, 1)


def arguments_end(address: int) -> None:
    """Where the words end that `ps` shows for this process. Not for everybody; then it shows spaces after them."""
    _libc.prctl(_PR_SET_MM, _PR_SET_MM_ARG_END, ctypes.c_ulong(address), 0, 0)


def lock_memory() -> str:
    """Pages that were used once stay in memory (ONFAULT: the never used parts of libraries do not). "" or the error."""
    return _error() if _libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) else ""


def run_in_real_time(priority: int, runtime_ms: int = _RUNTIME_MS, period_ms: int = _PERIOD_MS) -> str:
    """A reservation of the processor for this thread and not for what it starts. "" or the error.

    SCHED_DEADLINE, since the kernel throttles all of SCHED_FIFO together when others there take more than 95 % (seen:
    silences of 0.4 to 0.9 s beside eight FIFO spinners). SCHED_FIFO where there is no room left for a reservation.
    """
    if _reserve(runtime_ms, period_ms):
        return ""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(priority))
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _reserve(runtime_ms: int, period_ms: int) -> bool:
    if _SCHED_SETATTR is None:
        return False
    attributes = _SCHED_ATTR.pack(
        _SCHED_ATTR.size, _SCHED_DEADLINE, _RESET_ON_FORK, 0, 0,
        runtime_ms * 1_000_000, period_ms * 1_000_000, period_ms * 1_000_000,
    )  # fmt: skip
    return bool(_libc.syscall(ctypes.c_long(_SCHED_SETATTR), 0, attributes, 0) == 0)


def owns_machine() -> bool:
    """False in a container: the levers of the kernel belong to the machine below it."""
    return os.stat("/proc/self/ns/pid").st_ino == _FIRST_PID_NAMESPACE


def panic() -> str:
    """End the machine by a kernel panic, which may write a dump; in a container as reboot() does."""
    if owns_machine():
        try:
            descriptor = os.open("/proc/sysrq-trigger", os.O_WRONLY | os.O_CLOEXEC)
            os.write(descriptor, b"c")
        except OSError:
            pass  # No such lever here.
    return reboot()


def reboot() -> str:
    """Reset the machine now, without syncing or stopping anything. Returns the error when the kernel refuses.

    Not through sysrq: in a container that would reset the machine below it, while this call ends the container only.
    """
    _libc.reboot(_RB_AUTOBOOT)
    return _error()
