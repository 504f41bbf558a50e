"""Drills on real agents in the bed: what they do, that nothing is active twice, and that each ends by itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import clean_bed
from tests.e2e.stage import GROUP, ONLINE_S, WAIT_S, Stage, staged
from webmanager.demo.cluster import demo_plan
from webmanager.demo.machine import until

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def two() -> Iterator[Stage]:
    """Two servers without a majority: what is taken over by mistake would be active twice."""
    with clean_bed(2) as bed, staged(bed, demo_plan(bed, groups=1, majority=False)) as stage:
        yield stage


def start(stage: Stage, server: str, at: str = "server2", **drill: Any) -> dict[str, Any]:
    request = {"op": "drill_start", "target": server, "drill": drill}
    return stage.cluster.ask(at, {"op": "ask", "request": request, "wait_s": 10}, timeout_s=15)["answer"]


def begin(stage: Stage, server: str, at: str = "server2", **drill: Any) -> None:
    """As soon as it is safe: what the test before has done may not quite be over."""
    until(lambda: start(stage, server, at, **drill)["code"] == 0, f"a drill of {server} begins", WAIT_S, 0.1)


def test_crash_moves_the_group_and_clpd_is_back_by_itself(two: Stage):
    count = two.count()
    begin(two, "server1", kind="crash", bound_s=6)

    assert two.client.outage_after(GROUP, count, "server2", WAIT_S) < 4
    two.owned_by("server2")
    if two.bed["server1"].pids("agent.daemon.main") == []:  # On a very slow machine it is back by now.
        assert start(two, "server2", kind="crash", bound_s=2)["reason"] == "not_safe"
    two.says("server1", "The drill on server1 is over: its groups were taken down within")
    (away_s,) = re.findall(r"then it was away for ([\d.]+) s", two.log("server1"))
    assert float(away_s) > 1.0  # What the others need to take it for lost.
    two.cluster.wait_online(ONLINE_S)
    two.owned_by("server2")


def test_link_of_one_path_is_noticed_moves_nothing_and_ends_at_once(two: Stage):
    count = two.count()
    begin(two, "server1", kind="link", bound_s=300, heartbeats=["lanhb1"])
    path = lambda: two.server("server2", "server2")["heartbeats"]["lanhb1"]["status"]  # noqa: E731
    until(lambda: path() == "Error", "lanhb1 is noticed", WAIT_S, 0.05)

    end = {"op": "ask", "request": {"op": "drill_end", "target": "server1"}, "wait_s": 5}
    assert two.cluster.ask("server2", end)["answer"]["code"] == 0
    until(lambda: path() == "Normal", "lanhb1 is heard again", WAIT_S, 0.05)
    two.says("server1", "root@0 ended it")
    assert two.count() == count
    assert "active twice" in start(two, "server1", kind="link", bound_s=5)["text"]


def test_hang_of_a_server_without_groups_is_lost_and_ends_at_once_though_it_answers_nobody(two: Stage):
    standby = next(name for name in ("server1", "server2") if two.cluster.owners(two.address) != [name])
    other = "server1" if standby == "server2" else "server2"
    until(lambda: "active twice" in start(two, other, at=standby, kind="hang", bound_s=9)["text"], "its reason", WAIT_S)
    pids = [two.bed[standby].pids(f"agent.daemon.{name}") for name in ("main", "heartbeat", "supervisor")]
    begin(two, standby, at=other, kind="hang", bound_s=300)
    until(lambda: two.server(standby, other)["status"] == "Offline", f"{standby} is lost", WAIT_S, 0.05)

    end = {"op": "ask", "request": {"op": "drill_end", "target": standby}, "wait_s": 5}
    assert two.cluster.ask(other, end)["answer"]["code"] == 0
    two.cluster.wait_online(ONLINE_S)
    two.says(standby, "an operator, through another server, ended it")
    assert pids == [two.bed[standby].pids(f"agent.daemon.{name}") for name in ("main", "heartbeat", "supervisor")]
    two.owned_by(other)


def test_power_cut_in_a_drill_leaves_nothing_of_it(two: Stage):
    """No file, no word: the next start knows nothing."""
    standby = next(name for name in ("server1", "server2") if two.cluster.owners(two.address) != [name])
    other = "server1" if standby == "server2" else "server2"
    for server in (standby, other):
        two.cluster.run(other, "clpdrill", "list", "-h", server)
    until(
        lambda: two.sh(other, f"clpdrill check link {standby} --heartbeat lanhb2").code == 0,
        "it is safe again",
        WAIT_S,
        0.1,
    )
    said = two.sh(other, f"clpdrill start link {standby} --heartbeat lanhb2 --seconds 600 --json")
    assert json.loads(said.out)["ok"]
    runs = f"RUNNING on {standby}: heartbeat paths lanhb2"
    until(lambda: runs in two.cluster.run(other, "clpdrill", "list"), "the other server has its report", WAIT_S, 0.05)
    two.restart(standby)
    two.cluster.wait_online(ONLINE_S)
    until(
        lambda: all(hb["status"] == "Normal" for hb in two.server(other, other)["heartbeats"].values()),
        "all paths", WAIT_S, 0.05,
    )  # fmt: skip
    report = two.cluster.run(other, "clpdrill", "report")
    assert f"{standby}  " in report
    assert "Heartbeat lanhb2 to server" in report
    assert two.sh(other, "clpdrill end").code == 1
    assert two.sh(other, "clpdrill start flood server1").code == 2
