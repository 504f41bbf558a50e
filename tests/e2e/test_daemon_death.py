"""Processes of the agent die or hang alone: what runs goes on where that is safe, and moves where it is not."""

from __future__ import annotations

import signal
import time

import pytest

from tests.e2e.stage import GROUP, ONLINE_S, WAIT_S, Stage
from webmanager.demo.machine import until

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(180)]

DAEMON, CHILD, SUPERVISOR = "agent.daemon.main", "agent.daemon.heartbeat", "agent.daemon.supervisor"


def renewed(stage: Stage, word: str, old: list[int]) -> None:
    """A new process with this word runs, and the agent answers again."""
    until(lambda: bool(set(stage.bed["server1"].pids(word)) - set(old)), f"a new {word}", WAIT_S)
    until(lambda: stage.shown("server1") == "Online", "the agent of server1 answers", WAIT_S, 0.05)


def test_killed_heartbeat_child_costs_nobody_his_lease(stage: Stage):
    """Its successor goes on with the lease: nothing is stopped, not even for a moment."""
    for _ in range(4):
        old = stage.bed["server1"].pids(CHILD)
        stage.faults.kill("server1", CHILD)
        renewed(stage, CHILD, old)
        time.sleep(1.0)  # The timeout: within it a lost lease would have stopped the groups.

    assert stage.quiet()
    assert "lost its lease" not in stage.log("server1")
    stage.owned_by("server1")


def test_daemon_and_heartbeat_child_killed_together_come_back(stage: Stage):
    service = stage.bed["server1"].pids("service.py")
    for word in (DAEMON, CHILD):
        stage.faults.kill("server1", word)
    stage.says("server1", "is adopted as it is")
    stage.cluster.wait_online(ONLINE_S)

    assert stage.bed["server1"].pids("service.py") == service
    assert stage.quiet()


def test_hanging_daemon_is_replaced_and_nothing_moves(stage: Stage):
    service, old = stage.bed["server1"].pids("service.py"), stage.bed["server1"].pids(DAEMON)
    stage.faults.kill("server1", DAEMON, signal.SIGSTOP)
    renewed(stage, DAEMON, old)
    stage.cluster.wait_online(ONLINE_S)

    assert "it was silent for too long" in stage.log("server1", "clpd.log")
    assert stage.bed["server1"].pids("service.py") == service
    assert stage.quiet()


def test_hanging_heartbeat_child_takes_the_group_down_before_it_starts_elsewhere(stage: Stage):
    count = stage.count()
    stage.faults.kill("server1", CHILD, signal.SIGSTOP)

    assert stage.client.outage_after(GROUP, count, "server2", WAIT_S) < 5
    stage.owned_by("server2")
    assert stage.when("server1", "rc:21", GROUP) <= stage.when("server2", "rc:10", GROUP)
    stage.says("server1", "The heartbeat child hangs", "clpd.log")
    stage.cluster.wait_online(ONLINE_S)
    stage.owned_by("server2")


def test_daemon_that_cannot_come_back_has_its_groups_stopped_and_moved(stage: Stage):
    """Its memory is damaged, so nobody has told the emergency stopper what runs: it finds out."""
    old = stage.bed["server1"].pids(DAEMON)
    stage.faults.kill("server1", DAEMON)
    renewed(stage, DAEMON, old)
    time.sleep(2.0)  # Then it is well, and its next death is one that the supervisor tries to mend.
    count = stage.count()
    state = stage.cluster.disk("server1") / "state/state.json"
    stage.hit("server1", DAEMON, signal.SIGSTOP)  # Else it might write the file once more.
    state.write_text('{"rubbish')
    stage.hit("server1", DAEMON)

    stage.client.outage_after(GROUP, count, "server2", WAIT_S)
    stage.owned_by("server2")
    stage.gone("server1", "service.py")
    stage.says("server2", "has died for good; its groups were stopped there")
    stage.says("server1", "state.json is damaged")
    assert stage.client.count("failover2") == 0
    state.unlink()
    stage.cluster.wait_online(ONLINE_S)
    stage.owned_by("server2")


def test_killed_supervisor_takes_all_down_in_order_and_a_new_one_starts(stage: Stage):
    count = stage.count()
    stage.faults.kill("server1", SUPERVISOR)

    assert stage.client.outage_after(GROUP, count, "server2", WAIT_S) < 3
    stage.owned_by("server2")
    stage.gone("server1")
    done = stage.sh("server1", "clpcl -s")
    assert (done.code, done.out) == (0, "Command succeeded.\n")
    stage.cluster.wait_online(ONLINE_S)
    stage.owned_by("server2")
