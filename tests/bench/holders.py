"""Who had which address when, as told by the kernels of all servers of the bed."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.bench.rivals import owners
from webmanager.demo.bed import Bed
from webmanager.demo.machine import Job, until

WATCH = Path(__file__).with_name("watch.py")


class Change(NamedTuple):
    at: float
    server: str
    address: str
    there: bool


class Moves(NamedTuple):
    """What happened to some addresses."""

    taken: int
    lost: int
    both_s: float  # time in which one of them was on two servers at once


class Watch:
    """Listens in every server from the start on; `holding`: the addresses that it shall know the holders of."""

    def __init__(self, bed: Bed, holding: Iterable[str]) -> None:
        self._changes: list[Change] = []
        self._ready = 0
        self._jobs: list[Job] = []
        self._threads: list[threading.Thread] = []
        for server in bed.servers:
            source, sink = os.pipe2(os.O_CLOEXEC)
            self._jobs.append(bed[server].spawn([sys.executable, "-I", "-S", str(WATCH)], stdout=sink))
            os.close(sink)
            thread = threading.Thread(target=self._read, args=(server, source), daemon=True)
            thread.start()
            self._threads.append(thread)
        until(lambda: self._ready == len(bed.servers), "the watchers of the addresses", 10)
        self._since = time.monotonic()
        self._first = {address: frozenset(owners(bed, address)) for address in holding}

    def _read(self, server: str, source: int) -> None:
        with os.fdopen(source) as lines:
            for line in lines:
                sign, *rest = line.split()
                if sign == "ready":
                    self._ready += 1
                else:
                    self._changes.append(Change(float(rest[1]), server, rest[0], sign == "+"))

    def moves(self, addresses: Sequence[str]) -> Moves:
        """Until now."""
        now, changes = time.monotonic(), sorted(self._changes)
        found = [moves(self._first[a], [c for c in changes if c.address == a], self._since, now) for a in addresses]
        return Moves(sum(m.taken for m in found), sum(m.lost for m in found), sum(m.both_s for m in found))

    def close(self) -> None:
        for job in self._jobs:
            job.kill()
        for thread in self._threads:
            thread.join(5)


def moves(first: frozenset[str], changes: Sequence[Change], since: float, end: float) -> Moves:
    """Of one address. What a kernel says again of an address that it has is no change."""
    holders, taken, lost, both_s = set(first), 0, 0, 0.0
    for change in changes:
        if (change.server in holders) == change.there:
            continue
        if len(holders) > 1:
            both_s += change.at - since
        since = change.at
        if change.there:
            holders.add(change.server)
            taken += 1
        else:
            holders.remove(change.server)
            lost += 1
    return Moves(taken, lost, both_s + (end - since if len(holders) > 1 else 0.0))
