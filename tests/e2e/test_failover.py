"""Real agents on three servers in the bed: what fails, who takes over, and what the client sees of it."""

from __future__ import annotations

import signal

import pytest

from tests.e2e.stage import GROUP, ONLINE_S, WAIT_S, Stage
from webmanager.demo.machine import until

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(180)]


def test_group_fails_over_and_stays_until_it_is_moved_back(stage: Stage):
    count = stage.count()
    stage.cluster.crash("server1")

    assert stage.client.outage_after(GROUP, count, "server2", WAIT_S) < 3
    stage.owned_by("server2")
    count = stage.count()
    stage.cluster.recover("server1")
    stage.cluster.wait_online(ONLINE_S)
    assert stage.count() == count
    stage.cluster.run("server3", "clpgrp", "-m", GROUP, "-a", "server1")
    assert stage.client.outage_after(GROUP, count, "server1", WAIT_S) < 3
    stage.owned_by("server1")
    assert stage.client.count("failover2") == 0


def test_killed_daemon_comes_back_and_nothing_stops_or_moves(stage: Stage):
    service = stage.bed["server1"].pids("service.py")
    stage.faults.kill("server1", "agent.daemon.main")
    # The first status that the new daemon gives must already show what it adopted.
    until(lambda: bool(stage.bed["server1"].pids("agent.daemon.main")), "a new daemon", WAIT_S)
    stage.cluster.wait_online(ONLINE_S)

    assert stage.bed["server1"].pids("service.py") == service
    assert stage.quiet()
    stage.owned_by("server1")


def test_killed_heartbeat_child_comes_back_and_nothing_moves(stage: Stage):
    old = stage.bed["server1"].pids("heartbeat")
    stage.faults.kill("server1", "heartbeat")
    until(lambda: bool(set(stage.bed["server1"].pids("heartbeat")) - set(old)), "a new heartbeat child", WAIT_S)
    stage.cluster.wait_online(ONLINE_S)

    assert stage.quiet()


def test_cut_interconnects_move_nothing_while_one_path_is_left(stage: Stage):
    stage.faults.cut("ic1")
    stage.faults.cut("ic2")
    lost = ("lanhb1", "lanhb2")

    def noticed() -> bool:
        heartbeats = stage.cluster.status("server1")["servers"]["server1"]["heartbeats"]
        return (
            all(heartbeats[name]["status"] != "Normal" for name in lost) and heartbeats["lanhb3"]["status"] == "Normal"
        )

    until(noticed, "both interconnects shown as lost", WAIT_S, 0.1)
    assert stage.quiet()
    stage.faults.heal()
    stage.cluster.wait_online(ONLINE_S)
    assert stage.quiet()


def test_isolated_server_gives_its_group_up_and_the_majority_takes_it(stage: Stage):
    count = stage.count()
    for lan in ("ic1", "ic2", "pub"):
        stage.faults.pull(lan, "server1")

    assert stage.client.outage_after(GROUP, count, "server2", WAIT_S) < 4
    stage.owned_by("server2")
    stage.faults.heal()
    stage.cluster.wait_online(ONLINE_S)
    stage.owned_by("server2")


def test_one_way_deafness_of_a_standby_moves_nothing(stage: Stage):
    """server3 hears nothing of server1 any more, but server2 does and says so."""
    for lan in ("ic1", "ic2", "pub"):
        stage.faults.deaf(lan, "server3", "server1")
    until(
        lambda: stage.cluster.status("server3")["servers"]["server3"]["heartbeats"]["lanhb1"]["status"] != "Normal",
        "server3 shows what it does not hear", WAIT_S, 0.1,
    )  # fmt: skip

    assert stage.quiet()
    stage.owned_by("server1")


def test_hanging_server_loses_its_group_and_stands_down_when_it_goes_on(stage: Stage):
    count = stage.count()
    stage.cluster.hang("server1")
    assert stage.client.outage_after(GROUP, count, "server2", WAIT_S) < 3

    stage.cluster.recover("server1")
    stage.owned_by("server2")
    stage.cluster.wait_online(ONLINE_S)
    stage.client.wait_answer(GROUP, "server2", WAIT_S)
    stage.owned_by("server2")


def test_dead_service_is_started_again_in_place(stage: Stage):
    stage.faults.kill("server1", "service.py")

    assert stage.client.outage_after(GROUP, 0, "server1", WAIT_S) < 5
    stage.owned_by("server1")
    assert stage.client.count("failover2") == 0


def test_lost_public_cable_moves_the_group_to_where_it_can_be_reached(stage: Stage):
    count = stage.count()
    stage.faults.pull("pub", "server1")

    stage.client.outage_after(GROUP, count, "server2", WAIT_S + 10)
    stage.owned_by("server2")
    assert stage.client.count("failover2") == 0


def test_server_with_another_cluster_key_joins_nothing_and_moves_nothing(stage: Stage):
    count = stage.count()
    stage.cluster.crash("server3")
    (stage.cluster.disk("server3") / "etc" / "cluster.key").write_text("another key of sufficient length\n")
    stage.cluster.recover("server3")
    until(lambda: "key" in stage.log("server1").lower(), "server1 says that a key is wrong", WAIT_S, 0.1)

    until(
        lambda: stage.cluster.status("server1")["servers"]["server3"]["status"] != "Online",
        "server1 does not take server3 for a member", WAIT_S, 0.1,
    )  # fmt: skip
    assert stage.count() == count
    assert stage.cluster.owners(stage.address) == ["server1"]


def test_broken_configuration_is_refused_with_its_place(stage: Stage):
    stage.cluster.crash("server3")
    (stage.cluster.disk("server3") / "etc" / "clp.conf").write_text("<root>\n  <cluster>\n</root>\n")
    stage.cluster.recover("server3")

    assert stage.cluster.agents["server3"].wait(WAIT_S) == 78
    assert "3:" in stage.log("server3", "clpd.out")
    assert stage.client.count(GROUP) == 0


def test_lone_server_without_majority_starts_nothing(stage: Stage):
    stage.cluster.crash("server2")
    stage.cluster.crash("server3")

    stage.owned_by()
    stage.client.wait_answer(GROUP, "", WAIT_S)
    stage.cluster.recover("server2")
    until(lambda: stage.cluster.owners(stage.address) != [], "a majority serves again", ONLINE_S, 0.1)


def test_terminated_agent_stops_its_groups_and_gives_them_away(stage: Stage):
    count = stage.count()
    stage.faults.kill("server1", "agent.daemon.supervisor", signal.SIGTERM)

    assert stage.client.outage_after(GROUP, count, "server2", WAIT_S) < 3
    stage.owned_by("server2")
    stage.cluster.agents["server1"].wait(WAIT_S)
    stage.gone("server1")
