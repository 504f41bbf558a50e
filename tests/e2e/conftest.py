"""The stage of the end-to-end tests, and what its agents said when a test fails."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import pytest

from tests.e2e.stage import Stage, staged
from webmanager.demo.bed import Bed
from webmanager.demo.machine import until

GONE_S = 30.0


@contextlib.contextmanager
def clean_bed(servers: int = 3) -> Iterator[Bed]:
    """Servers and a client; afterwards no process is left in any of their namespaces, and so no mount either."""
    with Bed(servers=servers) as it:
        spaces = {namespace(it.switch.pid), namespace(it.client.pid), *(namespace(it[s].pid) for s in it.servers)}
        yield it
        # Servers that lost their power meanwhile came back in namespaces of their own.
        spaces |= {namespace(it[s].pid) for s in it.servers if it[s].on}
    until(lambda: not spaces & namespaces(), "everything of the bed is gone", GONE_S)


@pytest.fixture
def bed() -> Iterator[Bed]:
    with clean_bed() as it:
        yield it


def namespace(pid: int) -> str:
    return os.readlink(f"/proc/{pid}/ns/mnt")


def namespaces() -> set[str]:
    """Mount namespaces that some process is in."""
    found = set()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                found.add(namespace(int(entry)))
    return found


@pytest.fixture
def stage(bed: Bed) -> Iterator[Stage]:
    """All servers and groups Online at home."""
    with staged(bed) as stage:
        yield stage
