"""A mirror disk between two servers in the bed, under ext4 and a service that keeps a ledger."""

from __future__ import annotations

import time

import pytest

from tests.e2e.mirror import HEAL_S, MIRROR, NAME, POINT, MirrorStage, mirror
from tests.e2e.stage import GROUP, ONLINE_S, WAIT_S
from webmanager.demo.machine import until

DAEMON = "agent.daemon.main"

__all__ = ["mirror"]
pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(180)]


def test_every_acknowledged_record_survives_a_power_cut_and_the_old_server_becomes_green(mirror: MirrorStage):
    mirror.writes("server1")
    mirror.cluster.crash("server1")
    mirror.active("server2")
    mirror.writes("server2")
    mirror.kept("server2")
    mirror.says("server2", "goes on alone")
    mirror.monitored("mdw1", "server2", "Caution")
    mirror.monitored("mdnw1", "server2", "Error")

    mirror.cluster.recover("server1")
    mirror.equal()
    mirror.writes("server2")
    mirror.kept("server2")
    assert [mirror.side(server)["color"] for server in mirror.bed.servers] == ["GREEN", "GREEN"]
    mirror.says("server2", "have the same data")
    for monitor in ("mdw1", "mdnw1"):
        mirror.monitored(monitor, "server2", "Normal")

    mirror.cluster.run("server2", "clpgrp", "-m", GROUP, "-a", "server1")
    mirror.active("server1")
    mirror.writes("server1")
    mirror.kept("server1")


@pytest.mark.long
def test_service_goes_on_when_processes_die_and_the_connects_are_cut(mirror: MirrorStage):
    service = mirror.bed["server1"].pids("ledger.py")
    mirror.kill("server1", MIRROR)
    mirror.writes("server1")
    mirror.kill("server1", DAEMON)
    mirror.writes("server1")
    mirror.kill("server2", MIRROR)
    mirror.cluster.wait_online(ONLINE_S)
    mirror.equal()

    mirror.faults.cut("ic1")
    mirror.faults.cut("ic2")
    # The agents still hear each other over the third LAN: the other side writes down that it is outdated.
    mirror.goes_alone("server1")
    mirror.writes("server1")
    assert mirror.side("server2")["outdated"]
    mirror.faults.heal()
    mirror.equal()

    assert mirror.bed["server1"].pids("ledger.py") == service
    mirror.kept("server1")


def test_cut_off_server_lets_go_and_loses_nothing_that_it_had_acknowledged(mirror: MirrorStage):
    mirror.writes("server1")
    for lan in ("ic1", "ic2", "pub", "mgmt"):
        mirror.faults.pull(lan, "server1")
    mirror.active("server2")
    mirror.writes("server2")
    mirror.kept("server2")
    mirror.says("server1", "Resource md1 is inactive on server1")

    mirror.faults.heal()
    mirror.equal()
    mirror.writes("server2")
    mirror.kept("server2")


@pytest.mark.long
def test_paused_old_primary_reaches_nothing_of_its_successor(mirror: MirrorStage):
    """It wakes up in the middle of a write, with its file system mounted, when another one has served for a while."""
    mirror.writes("server1")
    mirror.cluster.hang("server1")
    mirror.active("server2")
    mirror.writes("server2")
    said = len(mirror.said("server1"))

    mirror.cluster.recover("server1")
    until(lambda: not mirror.side("server1").get("active", True), "server1 lets its side go", HEAL_S, 0.1)
    mirror.equal()
    mirror.writes("server2")
    # The one that was on both disks already when it was paused may be said only now.
    assert len(mirror.said("server1")) <= said + 1
    mirror.kept("server2")
    assert mirror.bed["server1"].pids("ledger.py") == []
    # Not by what the mirror believes: both disks are read.
    mirror.cluster.run("server2", "clpmdctrl", "--verify", NAME)
    until(lambda: "proven equal" in mirror.cluster.run("server2", "clpmdstat", "-m", NAME), "proven equal", HEAL_S, 0.2)


@pytest.mark.long
def test_service_that_stops_leaves_no_mirror_process(mirror: MirrorStage):
    mirror.cluster.run("server1", "clpcl", "-t")
    mirror.active("server2")
    until(lambda: not mirror.bed["server1"].pids(MIRROR), "no mirror process on server1", WAIT_S)
    mirror.writes("server2")

    mirror.cluster.run("server1", "clpcl", "-s")
    mirror.equal()
    mirror.kept("server2")


@pytest.mark.long
def test_daemon_that_cannot_come_back_has_its_mirror_taken_down(mirror: MirrorStage):
    """The emergency stopper finds out by itself what runs: mount, device and mirror process are let go."""
    mirror.writes("server1")
    mirror.kill("server1", DAEMON)
    mirror.cluster.wait_online(ONLINE_S)
    time.sleep(2.0)  # Then it is well, and its next death is one that the supervisor tries to mend.
    state = mirror.cluster.disk("server1") / "state/state.json"
    state.write_text('{"rubbish')
    mirror.faults.kill("server1", DAEMON)

    mirror.active("server2")
    mirror.writes("server2")
    mirror.kept("server2")
    assert mirror.bed["server1"].pids("ledger.py") == []
    assert not mirror.bed["server1"].path(f"{POINT}/ledger").exists()
    state.unlink()
    mirror.cluster.wait_online(ONLINE_S)
    mirror.equal()


@pytest.mark.long
def test_killed_supervisor_leaves_no_process_of_the_mirror(mirror: MirrorStage):
    mirror.faults.kill("server1", "agent.daemon.supervisor")

    mirror.active("server2")
    until(lambda: mirror.bed["server1"].processes() == {}, "server1 runs nothing any more", WAIT_S, 0.05)
    mirror.writes("server2")
    mirror.kept("server2")
