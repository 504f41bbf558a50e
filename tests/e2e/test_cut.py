"""All links of one server are cut, with each resolver: a client on both sides counts who serves, and it converges."""

from __future__ import annotations

import contextlib

import pytest

from tests.e2e.conftest import clean_bed
from tests.e2e.stage import ONLINE_S, WAIT_S, Stage
from webmanager.demo.client import Run
from webmanager.demo.cluster import demo_plan
from webmanager.demo.cut import Cut, outcome, overlap
from webmanager.demo.machine import BedError

CASES = [
    (2, ("witness",), "others"),
    (2, ("ping",), "others"),
    (2, ("disk",), "one"),
    (2, ("disk", "ping"), "others"),
    (2, ("witness", "disk", "ping"), "others"),
    (2, ("majority",), "nobody"),
    (3, ("majority",), "others"),
    (3, ("witness",), "others"),
    (2, (), "both"),
]
# One of each outcome, and the three at once: the others differ in what is asked, not in how it is decided.
SHORT = (CASES[2], CASES[4], CASES[5], CASES[6])


@pytest.mark.parametrize(("servers", "resolvers", "wanted"), CASES)
def test_what_must_come_of_a_cut_follows_from_the_resolvers(servers: int, resolvers: tuple[str, ...], wanted: str):
    assert outcome(resolvers, servers) == wanted


def test_overlap_is_the_time_in_which_two_servers_certainly_served():
    one, other, late = Run("server1", 0.0, 5.0, 9), Run("server2", 4.0, 9.0, 9), Run("server2", 5.5, 9.0, 9)

    assert overlap([one, other]) == 1.0
    assert overlap([one, late]) == -0.5
    assert overlap([one, Run("server1", 2.0, 3.0, 9)]) == float("-inf")


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("servers", "resolvers", "wanted"),
    [case if case in SHORT else pytest.param(*case, marks=pytest.mark.long) for case in CASES],
)
def test_exactly_one_side_serves_and_is_one_cluster_again_when_healed(
    servers: int, resolvers: tuple[str, ...], wanted: str
):
    with clean_bed(servers) as bed:
        stage = Stage(bed, demo_plan(bed, majority=False, resolvers=resolvers))
        said: list[str] = []
        try:
            with stage:
                cut = Cut(bed, stage.cluster, stage.client, outcome(resolvers, servers), said.append)
                cut.server("server1", "active")
                gather(stage, "server1", standby=bed.servers[-1])
                cut.server(bed.servers[-1], "standby")
        finally:
            print("\n".join(said))
            with contextlib.suppress(BedError):
                print(stage.cluster.tails(40))
    assert [line.partition(" ")[0] for line in said] == ["cut", "healed:", "cut", "healed:"]


def gather(stage: Stage, server: str, standby: str) -> None:
    """Every group runs somewhere else than on `standby`."""
    for group in stage.plan.groups:
        goal = server if group.policy[0] == standby else group.policy[0]
        if stage.client.wait_any(group.name, WAIT_S) != goal:
            stage.cluster.run(goal, "clpgrp", "-m", group.name, "-a", goal, timeout_s=ONLINE_S)
        stage.client.wait_answer(group.name, goal, WAIT_S)
    stage.cluster.wait_online(ONLINE_S)
