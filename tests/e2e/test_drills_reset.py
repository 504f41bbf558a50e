"""Drills that end in a reset: of the machine at once, and of an agent that hangs, by the server's watchdog."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.engine.firing import fires_after_s
from tests.e2e.conftest import clean_bed
from tests.e2e.stage import GROUP, ONLINE_S, WAIT_S, Stage, staged
from tests.e2e.test_drills import begin, start
from webmanager.demo.bed import Bed
from webmanager.demo.cluster import demo_plan
from webmanager.demo.machine import until

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(180)]
TIMEOUT_MS = 2000  # of the heartbeat; a device counts whole seconds


class Watchdogs:
    """A FIFO for each server in the place of its device: who has opened it and does not write to it in time loses its
    power, until the magic word."""

    def __init__(self, bed: Bed, directory: Path, fires_s: float) -> None:
        self.fired: list[str] = []
        self.asleep = False
        self._bed = bed
        self._fires_s = fires_s
        self._servers: dict[int, str] = {}
        self._until: dict[int, float] = {}
        for server in bed.servers:
            path = directory / f"watchdog-{server}"
            os.mkfifo(path)
            path.chmod(0o666)
            # For both ways: without a writer it would be readable at its end all the time.
            self._servers[os.open(path, os.O_RDWR | os.O_NONBLOCK)] = server
            bed[server].environment["OPENCLP_WATCHDOG"] = str(path)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join(10)
        for fd in self._servers:
            os.close(fd)

    def _watch(self) -> None:
        while not self._ended.is_set():
            # Pets of before this moment are read below; who is judged by a later one may have petted since.
            now = time.monotonic()
            ready, _, _ = select.select(list(self._servers), [], [], 0.05)
            for fd in ready:
                if os.read(fd, 65536).endswith(b"V"):
                    self._until.pop(fd, None)
                else:
                    self._until[fd] = time.monotonic() + self._fires_s
            for fd, end in list(self._until.items()):
                server = self._servers[fd]
                if not self._bed[server].on:  # With its machine the device stops as well.
                    del self._until[fd]
                elif now > end and not self.asleep:
                    del self._until[fd]
                    self.fired.append(server)
                    self._bed.power_off(server)


@pytest.fixture(scope="module")
def bed() -> Iterator[Bed]:
    with clean_bed(3) as it:
        yield it


@pytest.fixture(scope="module")
def dogs(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watchdogs]:
    made = Watchdogs(bed, tmp_path_factory.mktemp("dogs"), fires_after_s(TIMEOUT_MS / 1000))
    yield made
    made.close()


@pytest.fixture(scope="module")
def three(bed: Bed, dogs: Watchdogs) -> Iterator[Stage]:
    plan = demo_plan(bed, groups=1, self_fencing=True, timeout_ms=TIMEOUT_MS)
    with staged(bed, plan) as stage:
        yield stage


def holder(stage: Stage) -> tuple[str, str]:
    """(who runs the group, another server)"""
    (owner,) = stage.cluster.owners(stage.address)
    return owner, next(name for name in stage.bed.servers if name != owner)


def taken_over(stage: Stage, lost: str, count: int) -> None:
    """Somebody else serves, and nobody beside him; the lost one comes back and knows of no drill."""
    stage.client.outage_after(GROUP, count, None, WAIT_S)
    (now,) = stage.cluster.owners(stage.address)
    assert now != lost
    stage.cluster.recover(lost)
    stage.cluster.wait_online(ONLINE_S)
    # Online by its own word; the others have that with its next report.
    until(lambda: stage.server(lost, now)["drill"] is None, f"{now} knows that it is over", WAIT_S, 0.05)
    assert stage.sh(now, "clpdrill end").code == 1  # No drill runs.
    stage.owned_by(now)
    # What the client saw: never an answer of the lost one after another one's.
    assert [one["to"] for one in stage.client.seen(GROUP).outages[count:]] == [now]


def test_hang_of_a_holder_is_ended_by_its_watchdog_before_anybody_takes_over(three: Stage, dogs: Watchdogs) -> None:
    owner, other = holder(three)
    until(lambda: three.server(owner, other)["watchdog"]["status"] == "armed", "the watchdog of the holder", WAIT_S)
    count = three.count()
    told = three.sh(other, f"clpdrill check hang {owner} --seconds 300")
    assert f"The watchdog of {owner} resets the machine" in told.out
    begin(three, owner, at=other, kind="hang", bound_s=300)

    until(lambda: not three.bed[owner].on, "the reset", WAIT_S, 0.02)
    assert dogs.fired == [owner]
    taken_over(three, owner, count)
    assert dogs.fired == [owner]


def test_reset_of_a_machine_is_taken_over_and_leaves_nothing_of_the_drill(three: Stage, dogs: Watchdogs) -> None:
    owner, other = holder(three)
    count = three.count()
    dogs.asleep = True  # Else it would not be known who did it.
    begin(three, owner, at=other, kind="reset", bound_s=300)

    until(lambda: not three.bed[owner].on, "the reset", WAIT_S, 0.02)
    assert start(three, other, at=other, kind="crash", bound_s=2)["reason"] == "not_safe"
    taken_over(three, owner, count)
    dogs.asleep = False
    three.says(owner, "reset of the machine")


def test_shortest_hang_is_told_to_reset_the_machine_where_the_watchdog_is_that_quick(three: Stage) -> None:
    """At a timeout of 2 s the others would not notice a hang of 1 s, but the device fires 1 s after its last pet."""
    owner, other = holder(three)
    until(lambda: three.server(owner, other)["watchdog"]["status"] == "armed", "the watchdog of the holder", WAIT_S)
    told = three.sh(other, f"clpdrill check hang {owner} --seconds 1")
    assert f"The watchdog of {owner} resets the machine" in told.out
