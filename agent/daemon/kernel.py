"""What the supervisor and the heartbeat child ask of the kernel directly; standard library only and small."""

from __future__ import annotations

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
_RB_AUTOBOOT = 0x01234567

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


def lock_memory() -> str:
    """Pages that were used once stay in memory (ONFAULT: the never used parts of libraries do not). "" or the error."""
    return _error() if _libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) else ""


def run_in_real_time(priority: int) -> str:
    """SCHED_FIFO for this process and not for what it starts. "" or the error."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(priority))
    except OSError as error:
        return error.strerror or str(error)
    return ""


def reboot() -> str:
    """Reset the machine now, without syncing or stopping anything. Returns the error when the kernel refuses.

    Not through sysrq: in a container that would reset the machine below it, while this call ends the container only.
    """
    _libc.reboot(_RB_AUTOBOOT)
    return _error()
