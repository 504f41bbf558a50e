"""Processes as /proc shows them: who they are beyond a number that may be used again."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable

import msgspec


class Process(msgspec.Struct, frozen=True):
    """`pid` and `start` together are never used twice within one boot."""

    pid: int
    start: int  # clock ticks since boot
    group: int
    session: int
    state: str

    @property
    def ended(self) -> bool:
        """A zombie holds nothing any more; only its parent has yet to look."""
        return self.state in "ZXx"


def find(pid: int) -> Process | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read(4096)
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in parentheses may hold blanks and parentheses itself.
    fields = text[text.rindex(b")") + 2 :].split()
    return Process(pid, int(fields[19]), int(fields[2]), int(fields[3]), fields[0].decode("ascii"))


def is_running(pid: int, start: int) -> bool:
    """That very process, not one that got its number later."""
    process = find(pid)
    return process is not None and process.start == start and not process.ended


def session(leader: int, start: int) -> list[Process]:
    """What runs in the session that this leader opened, the leader being alive or not.

    A number is not given away while a session uses it, so a leader with another start time means: all of it is gone.
    """
    now = find(leader)
    if now is not None and now.start != start:
        return []
    found = (find(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return [p for p in found if p and p.session == leader and p.start >= start and not p.ended]


def send(processes: Iterable[Process], number: signal.Signals) -> None:
    """To each of them if it is still itself."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(process.pid)
            try:
                if is_running(process.pid, process.start):
                    signal.pidfd_send_signal(descriptor, number)
            finally:
                os.close(descriptor)
