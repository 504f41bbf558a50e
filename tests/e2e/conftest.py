"""The stage of the end-to-end tests, and what its agents said when a test fails."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.stage import Stage, staged
from webmanager.demo.bed import Bed
from webmanager.demo.machine import until

GONE_S = 30.0


@contextlib.contextmanager
def clean_bed(servers: int = 3) -> Iterator[Bed]:
    """Servers and a client; afterwards no process is left in any of their namespaces, and so no mount either."""
    with contextlib.ExitStack() as held:
        with Bed(servers=servers) as it:
            spaces = {held_space(it[s].pid, held) for s in it.servers}
            spaces |= {held_space(machine.pid, held) for machine in (it.switch, it.client)}
            yield it
            # Servers that lost their power meanwhile came back in namespaces of their own.
            spaces |= {held_space(it[s].pid, held) for s in it.servers if it[s].on}
        left: dict[int, str] = {}

        def clean() -> bool:
            left.clear()
            left.update(inhabitants(spaces))
            return not left

        until(clean, "everything of the bed is gone", GONE_S, last=lambda: left)


@pytest.fixture
def bed() -> Iterator[Bed]:
    with clean_bed() as it:
        yield it


def held_space(pid: int, held: contextlib.ExitStack) -> str:
    """Its process namespace, kept open: else the kernel may give its number to that of another bed beside this one."""
    held.callback(os.close, os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC))
    return os.readlink(f"/proc/{pid}/ns/pid")


def inhabitants(spaces: set[str]) -> dict[int, str]:
    """Processes in any of these namespaces, with their command lines."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{entry}/ns/pid") in spaces:
                    found[int(entry)] = Path(f"/proc/{entry}/cmdline").read_text(errors="replace").replace("\0", " ")
    return found


@pytest.fixture
def stage(bed: Bed) -> Iterator[Stage]:
    """All servers and groups Online at home."""
    with staged(bed) as stage:
        yield stage
