"""Who may act at a partition, as everybody shows it: facts first, then a sentence."""

from __future__ import annotations

from typing import Any

import pytest

from agent.clpconf import model
from agent.wire.epoch import Epoch
from agent.wire.report import Report, ResolverReport, VoteReport
from agent.wire.status import build_status

STALE_S = 3.0
VOTES = VoteReport(voters=("server1", "server2", "httpnp1"), present=("server2", "httpnp1"))
NEW, OLD = Epoch(2, 1), Epoch(1, 0)


def cluster(kind: str = "", **changes: Any) -> model.Cluster:
    resolvers = (model.PartitionResolver(name=f"{kind}1", type=kind, priority=0, device=0),) if kind else ()
    servers = tuple(model.Server(name=f"server{n}", priority=n) for n in (1, 2))
    return model.Cluster(name="demo", servers=servers, resolvers=resolvers, **changes)


def report(name: str, epoch: Epoch, *members: str, coordinator: str = "", **changes: Any) -> Report:
    first = coordinator or members[0]
    return Report(server=name, incarnation=1, seq=1, epoch=epoch, members=members, coordinator=first, **changes)


def shown(config: model.Cluster, *reports: Report, ages: dict[str, float] | None = None) -> dict[str, Any]:
    """Each server speaks for itself."""
    sources = {r.server: (r, (ages or {}).get(r.server, 0.1), r.server) for r in reports}
    return build_status(config, sources, None, STALE_S)


def partition(config: model.Cluster, *reports: Report, ages: dict[str, float] | None = None) -> dict[str, Any]:
    return dict(shown(config, *reports, ages=ages)["cluster"]["partition"])


BOTH = ("server1", "server2")
LEFT = report("server2", NEW, "server2", lost=("server1",), votes=VOTES)
GONE = report("server1", OLD, *BOTH)
AGE = {"server1": 30.0}


def test_servers_that_hear_each_other_are_whole():
    found = partition(cluster("httpnp"), report("server1", OLD, *BOTH), report("server2", OLD, *BOTH))

    assert (found["case"], found["acting"], found["silent"]) == ("whole", ["server1", "server2"], [])


def test_side_with_the_votes_acts_and_says_by_which():
    found = partition(cluster("httpnp"), GONE, LEFT, ages=AGE)

    assert (found["case"], found["acting"], found["silent"]) == ("votes", ["server2"], ["server1"])
    assert (found["voters"], found["present"], found["needed"]) == (
        ["server1", "server2", "httpnp1"], ["server2", "httpnp1"], 2,
    )  # fmt: skip
    assert found["why"] == (
        "server2 may act: 2 of 3 votes agreed (server2, httpnp1 of server1, server2, httpnp1). "
        "server1 is not heard: if it still runs, its lease has run out and it has stopped its groups, unless it hangs."
    )


def test_self_fencing_leaves_no_doubt_about_a_server_that_hangs():
    assert "unless it hangs" not in partition(cluster("httpnp", self_fencing=True), GONE, LEFT, ages=AGE)["why"]


def test_losing_side_that_reports_is_idle_and_not_silent():
    loser = report("server1", OLD, *BOTH, acts=False, lost=("server2",), detail="Not enough votes.")

    found = partition(cluster("httpnp"), loser, LEFT)

    assert (found["case"], found["acting"], found["idle"], found["silent"]) == ("votes", ["server2"], ["server1"], [])
    assert [(s["servers"], s["epoch"], s["acts"]) for s in found["sides"]] == [
        (["server2"], "2.1", True), (["server1"], "1.0", False),
    ]  # fmt: skip


def test_no_side_with_enough_votes_means_that_nobody_acts():
    loser = report("server1", OLD, *BOTH, acts=False, lost=("server2",), detail="No majority: 1 of 2 servers are here.")

    found = partition(cluster("majonp"), loser)

    assert (found["case"], found["acting"]) == ("nobody", [])
    assert found["why"] == "No server may run groups. server1: No majority: 1 of 2 servers are here."


def test_two_acting_sides_are_told_as_such():
    found = partition(cluster(), report("server1", NEW, "server1"), report("server2", NEW, "server2"))

    assert (found["case"], found["acting"]) == ("both", ["server1", "server2"])


@pytest.mark.parametrize(
    ("kind", "case", "words"),
    [
        ("pingnp", "ping", "else it runs them"),
        ("", "unsafe", "it runs its groups as well"),
    ],
)
def test_without_votes_the_other_side_is_not_known(kind: str, case: str, words: str):
    found = partition(cluster(kind), GONE, LEFT, ages=AGE)

    assert found["case"] == case
    assert words in found["why"]


def test_fenced_only_when_every_silent_server_is_covered():
    device = model.FenceDevice(name="bmc1", agent="fence_x")

    assert partition(cluster("", fences=(device,)), GONE, LEFT, ages=AGE)["case"] == "fenced"
    own = model.FenceDevice(name="bmc1", agent="fence_x", overrides={"server2": {}})
    assert partition(cluster("", fences=(own,)), GONE, LEFT, ages=AGE)["case"] == "unsafe"


def test_server_that_was_stopped_in_order_is_no_partition():
    stopped = report("server1", OLD, *BOTH, service="stopped")

    assert partition(cluster("httpnp"), stopped, LEFT, ages=AGE)["case"] == "whole"


def test_nobody_heard_is_unknown():
    assert partition(cluster("httpnp"), GONE, ages=AGE)["case"] == "unknown"


def test_resolver_says_since_when_and_why():
    resolving = {"httpnp1": ResolverReport(since=12.5, detail="no answer in time")}
    found = shown(cluster("httpnp"), report("server1", OLD, *BOTH, resolvers={"httpnp1": False}, resolving=resolving))

    entry = found["servers"]["server1"]["heartbeats"]["httpnp1"]
    assert (entry["status"], entry["since"], entry["detail"]) == ("Error", 12.5, "no answer in time")
