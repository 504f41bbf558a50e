"""Who pets the watchdog, and when nobody does: the keeper by itself, then in real heartbeat children on real LANs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.daemon.heartbeat_lan import steady
from agent.daemon.watchdog import PET, WatchdogKeeper
from agent.engine.detector import FENCE
from agent.engine.firing import FIRES, fires_after_s
from tests.agent.daemon.heartbeat_lans import SERVERS, Child, Lans, Speaker
from tests.agent.drivers.test_watchdog import StandIn
from tests.agent.waiting import until

TIMEOUT_S = 10.0


@pytest.fixture
def device(tmp_path: Path) -> Iterator[StandIn]:
    made = StandIn(tmp_path / "watchdog0")
    yield made
    made.close()


@pytest.fixture
def told() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def keeper(device: StandIn, told: list[tuple[str, str]]) -> WatchdogKeeper:
    return WatchdogKeeper(device.path, "", TIMEOUT_S, lambda state, detail: told.append((state, detail)))


def test_it_fires_before_anybody_takes_over_and_after_the_child_would_have_reset() -> None:
    assert FENCE < PET + FIRES < 1.0
    assert [fires_after_s(t) for t in (0.5, 1.0, 5.0, 90.0)] == [1, 1, 3, 54]


def test_it_runs_from_online_until_stopped(
    keeper: WatchdogKeeper, device: StandIn, told: list[tuple[str, str]]
) -> None:
    keeper.turn(0.0, "stopped", armed=True, healthy=True)
    assert device.read() == b""

    keeper.turn(1.0, "online", armed=True, healthy=True)
    assert device.read() == b"\0"
    keeper.turn(1.1, "leaving", armed=True, healthy=True)
    assert device.read() == b""  # Not yet again.
    keeper.turn(2.1, "leaving", armed=True, healthy=True)
    assert device.read() == b"\0"
    keeper.turn(3.2, "stopped", armed=True, healthy=True)

    assert device.read() == b"V"
    assert told == [("armed", f"{device.path}, fires after 6 s"), ("released", "")]


def test_it_is_not_petted_while_others_may_take_over_soon(keeper: WatchdogKeeper, device: StandIn) -> None:
    keeper.turn(0.0, "online", armed=True, healthy=True)
    device.read()
    for tenth in range(50):
        keeper.turn(1.0 + tenth / 10, "online", armed=True, healthy=False)
    assert device.read() == b""

    keeper.turn(6.0, "online", armed=True, healthy=True)

    assert device.read() == b"\0"


def test_disarmed_it_stops_and_armed_it_runs_again(
    keeper: WatchdogKeeper, device: StandIn, told: list[tuple[str, str]]
) -> None:
    keeper.turn(0.0, "online", armed=True, healthy=True)
    keeper.turn(0.1, "online", armed=False, healthy=True)
    assert device.read() == b"\0V"
    keeper.turn(20.0, "online", armed=True, healthy=True)

    assert device.read() == b"\0"
    assert [state for state, _ in told] == ["armed", "released", "armed"]


def test_a_device_that_cannot_be_used_is_told_and_tried_again(tmp_path: Path, told: list[tuple[str, str]]) -> None:
    path = tmp_path / "later"
    keeper = WatchdogKeeper(str(path), "", TIMEOUT_S, lambda state, detail: told.append((state, detail)))

    for second in range(8):
        keeper.turn(float(second), "online", armed=True, healthy=True)
    assert told == [("none", f"{path} cannot be used: No such file or directory")]
    with contextlib.closing(StandIn(path)) as device:
        keeper.turn(20.0, "online", armed=True, healthy=True)
        assert device.read() == b"\0"
    assert told[-1][0] == "armed"


def test_a_device_too_coarse_for_the_timeout_says_so(device: StandIn, told: list[tuple[str, str]]) -> None:
    keeper = WatchdogKeeper(device.path, "", 0.5, lambda state, detail: told.append((state, detail)))

    keeper.turn(0.0, "online", armed=True, healthy=True)

    assert "too late for this heartbeat timeout" in told[0][1]


# Real children ------------------------------------------------------------------------------------------------------


class Kennel:
    """Three children with daemons; only the first has a watchdog."""

    def __init__(self, run: Path, device: StandIn, stack: contextlib.ExitStack) -> None:
        self.device = device
        self.lans = Lans(3)
        stack.callback(self.lans.close)
        self.children: list[Child] = []
        self.daemons: list[Speaker] = []
        for number, node in enumerate(self.lans.nodes):
            path = device.path if number == 0 else ""
            child = Child(node, run, number, watchdog=path, timeout_s=2.0, interval_s=0.1)
            stack.callback(child.close)
            self.children.append(child)
            self.daemons.append(child.daemon())
            stack.callback(self.daemons[-1].end.close)
        until(lambda: self.daemons[0].verdicts("LeaseHeld"))

    def say(self, *, holding: bool, armed: bool = True, service: str = "online") -> None:
        self.daemons[0].say(op="beat", epoch=[1, 0], service=service, members=SERVERS, holding=holding, armed=armed)

    def state(self) -> str:
        found = self.daemons[0].of("watchdog")
        return str(found[-1]["state"]) if found else ""

    def pets(self) -> None:
        """Waits for two further pets."""
        for _ in range(2):
            self.device.read()
            until(lambda: b"\0" in self.device.read())


@pytest.fixture
def kennel(tmp_path: Path, device: StandIn) -> Iterator[Kennel]:
    with contextlib.ExitStack() as stack:
        yield Kennel(tmp_path, device, stack)


@pytest.mark.root
@pytest.mark.slow
def test_a_holder_without_a_young_lease_is_not_petted(kennel: Kennel) -> None:
    kennel.say(holding=True)
    kennel.pets()
    since = steady()
    for lan in (0, 1):
        kennel.lans.pull(lan, 0)
    until(lambda: kennel.daemons[0].verdicts("LeaseLost", since=since))
    kennel.device.read()
    until(lambda: kennel.daemons[0].of("fenced"))
    assert kennel.device.read() == b""  # From before the loss of the lease until the reset.

    kennel.say(holding=False)
    kennel.pets()


@pytest.mark.root
@pytest.mark.slow
def test_a_dead_child_leaves_the_watchdog_running(kennel: Kennel) -> None:
    kennel.pets()

    kennel.children[0].kill()

    assert b"V" not in kennel.device.read()
    kennel.children[0].start()  # The next one goes on with it.
    kennel.daemons[0] = kennel.children[0].daemon()
    kennel.pets()
    kennel.daemons[0].end.close()


@pytest.mark.root
@pytest.mark.slow
def test_disarming_releases_it_and_keeps_the_child_from_resetting(kennel: Kennel) -> None:
    kennel.say(holding=True, armed=False)
    until(lambda: kennel.state() == "released")
    assert kennel.device.read().endswith(b"V")
    since = steady()
    for lan in (0, 1):
        kennel.lans.pull(lan, 0)
    until(lambda: kennel.daemons[1].verdicts("PeerLost", since=since))
    assert kennel.daemons[0].of("fenced") == []

    for lan in (0, 1):
        kennel.lans.plug(lan, 0)
    kennel.say(holding=False)
    until(lambda: kennel.state() == "armed")


@pytest.mark.root
@pytest.mark.slow
def test_an_orderly_end_releases_it(kennel: Kennel) -> None:
    kennel.pets()

    kennel.children[0].control.say(op="stop")

    assert kennel.children[0].wait() == 0
    assert kennel.device.read().endswith(b"V")
