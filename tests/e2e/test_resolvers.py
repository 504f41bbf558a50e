"""A cut with each kind of resolver, two servers: exactly one side serves, by the kernels and by the client."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import clean_bed
from tests.e2e.stage import GROUP, ONLINE_S, WAIT_S, Stage, staged
from webmanager.demo.cluster import demo_plan
from webmanager.demo.machine import until

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(180)]

ARBITER = "agent.daemon.arbiter"
LANS = ("ic1", "ic2", "pub")


@contextlib.contextmanager
def two_servers(*resolvers: str) -> Iterator[Stage]:
    with clean_bed(2) as bed, staged(bed, demo_plan(bed, majority=False, resolvers=resolvers)) as stage:
        for server in bed.servers:
            wait_resolvers(stage, server)
        yield stage


@pytest.fixture(params=["witness", "disk"])
def arbitrated(request: pytest.FixtureRequest) -> Iterator[Stage]:
    with two_servers(request.param) as stage:
        yield stage


@pytest.fixture
def witnessed() -> Iterator[Stage]:
    with two_servers("witness") as stage:
        yield stage


def wait_resolvers(stage: Stage, server: str, wanted: str = "Normal") -> None:
    """Until the server shows that it reaches all of them, or not."""

    def shown() -> dict[str, tuple[str, str]]:
        there = stage.server(server, server)["heartbeats"]
        return {name: (h["status"], h["detail"]) for name, h in there.items() if not name.startswith("lanhb")}

    until(
        lambda: all(status == wanted for status, _ in shown().values()), f"resolvers of {server} {wanted}",
        WAIT_S, 0.1, shown,
    )  # fmt: skip


def separate(stage: Stage) -> None:
    """They hear each other no more, on any LAN; the client and the arbiter hear both."""
    for lan in LANS:
        stage.faults.deaf(lan, "server1", "server2")
        stage.faults.deaf(lan, "server2", "server1")


def never_two(stage: Stage, seconds: float) -> None:
    """By the kernels: at no look do both have the address."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert len(stage.cluster.owners(stage.address)) <= 1


def the_one(stage: Stage) -> str:
    """Who has the address when it is decided; never two, also while it is being decided."""
    never_two(stage, 3.0)
    owners: list[str] = []

    def decided() -> bool:
        owners[:] = stage.cluster.owners(stage.address)
        assert len(owners) <= 1
        return bool(owners)

    until(decided, "one server has the address", WAIT_S)
    return owners[0]


def groups_of(stage: Stage, server: str) -> None:
    """Both groups are served by this server alone."""
    for group in stage.plan.groups:
        until(lambda address=group.address: stage.cluster.owners(address) == [server], f"{group.name} on {server}",
              WAIT_S, 0.05)  # fmt: skip
        stage.client.wait_answer(group.name, server, WAIT_S)


def test_servers_that_hear_each_other_no_more_are_one_that_serves(arbitrated: Stage):
    stage = arbitrated
    separate(stage)
    owner = the_one(stage)

    groups_of(stage, owner)
    other = {"server1": "server2", "server2": "server1"}[owner]
    until(lambda: stage.status(other)["groups"][GROUP]["active_on"] in ([], [owner]), "the other is idle", WAIT_S, 0.1)
    stage.faults.heal()
    stage.cluster.wait_online(ONLINE_S)
    assert stage.cluster.owners(stage.address) == [owner]


def test_server_without_any_cable_is_replaced(arbitrated: Stage):
    """The witness is reached over a LAN of its own, the disk anyway; clients are not."""
    stage = arbitrated
    stage.faults.cut_witness("server1")
    for lan in LANS:
        stage.faults.pull(lan, "server1")

    if "witness" in stage.plan.resolvers:
        groups_of(stage, "server2")
    else:
        the_one(stage)  # Both reach the disk, so the vote is with whoever asks first.


def test_crash_of_either_is_taken_over(arbitrated: Stage):
    stage = arbitrated
    for crashed, other in (("server1", "server2"), ("server2", "server1")):
        stage.cluster.crash(crashed)
        groups_of(stage, other)
        stage.cluster.recover(crashed)
        stage.cluster.wait_online(ONLINE_S)
        wait_resolvers(stage, crashed)


def test_witness_that_is_lost_first_does_not_stop_the_cluster(witnessed: Stage):
    stage = witnessed
    stage.faults.cut_witness()
    for server in stage.bed.servers:
        wait_resolvers(stage, server, "Error")
    time.sleep(2.0)
    assert stage.quiet()
    # A link that is lost later: the first of the two goes on, and nobody else.
    separate(stage)
    groups_of(stage, "server1")
    never_two(stage, 1.0)
    stage.faults.heal()

    stage.cluster.wait_online(ONLINE_S)
    for server in stage.bed.servers:
        wait_resolvers(stage, server)


def test_witness_that_is_restarted_remembers_and_interrupts_nothing(witnessed: Stage):
    stage = witnessed
    stage.cluster.arbiters.stop_witness()
    for server in stage.bed.servers:
        wait_resolvers(stage, server, "Error")
    stage.cluster.arbiters.start_witness()
    for server in stage.bed.servers:
        wait_resolvers(stage, server)
    assert stage.quiet()
    separate(stage)

    groups_of(stage, the_one(stage))


def kill_arbiter(stage: Stage) -> None:
    """And wait for the next one. As long as clpd has not collected it, the killed one is still found."""
    until(lambda: bool(stage.bed["server1"].pids(ARBITER)), "an arbiter child", WAIT_S)
    killed = set(stage.faults.kill("server1", ARBITER))
    until(lambda: bool(set(stage.bed["server1"].pids(ARBITER)) - killed), "a new arbiter child", WAIT_S)


def test_arbiter_child_may_die_and_hang_without_harm(witnessed: Stage):
    stage = witnessed
    for _ in range(3):
        kill_arbiter(stage)
        wait_resolvers(stage, "server1")

    time.sleep(1.0)
    assert stage.quiet()


def test_server_that_reaches_no_ping_target_stops_and_the_other_serves():
    with two_servers("ping") as stage:
        for lan in LANS:
            stage.faults.pull(lan, "server1")
        groups_of(stage, "server2")
        never_two(stage, 1.0)
        stage.says("server1", "pingnp1")
        stage.faults.heal()

        stage.cluster.wait_online(ONLINE_S)


def test_several_at_once():
    with two_servers("witness", "disk", "ping") as stage:
        stage.cluster.arbiters.stop_witness()
        until(lambda: stage.server("server1", "server1")["heartbeats"]["httpnp1"]["status"] == "Error", "it is told",
              WAIT_S, 0.1)  # fmt: skip
        time.sleep(1.0)
        assert stage.quiet()
        stage.cluster.crash("server1")

        groups_of(stage, "server2")
