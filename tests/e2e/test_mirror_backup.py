"""Backup of the side that stands by, under load, and a restore of it, by the commands, on two servers of the bed."""

from __future__ import annotations

import dataclasses
import tarfile
from pathlib import Path

import pytest

from tests.e2e.conftest import clean_bed
from tests.e2e.mirror import HEAL_S, MIRROR, NAME, POINT, MirrorStage, mirror
from tests.e2e.stage import GROUP, WORK
from webmanager.demo.bed import Bed
from webmanager.demo.cluster import DemoCluster
from webmanager.demo.machine import BedError, until

__all__ = ["mirror"]
pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(240)]


def numbers(data: bytes) -> list[int]:
    assert data.endswith(b"\n")
    return [int(line) for line in data.split()]


def archive(mirror: MirrorStage, server: str, at: str) -> tarfile.TarFile:
    """Of what is mounted there, made by tar on that server."""
    mirror.bed[server].run(["tar", "-C", at, "-cf", f"{WORK}.tar", "."])
    return tarfile.open(Path(str(mirror.cluster.disk(server)), "work.tar"))


def test_backup_of_the_standby_is_consistent_and_only_what_differs_travels_back(mirror: MirrorStage):
    run = mirror.cluster.run
    mirror.writes("server1")
    with pytest.raises(BedError, match="active on server1"):
        run("server1", "clpbackup", "--pre", "--online")

    before = mirror.said("server1")
    told = run("server1", "clpbackup", "--pre", "--online", "-h", "server2")
    after = mirror.said("server1")[-1]
    at = told.split(" to be read at ")[1].split(". ")[0]
    mirror.goes_alone("server1")
    mirror.writes("server1", 50)
    assert "separated for a backup since" in run("server2", "clpbackup", "--status")
    with archive(mirror, "server2", at) as tar:
        ledger = numbers(tar.extractfile("./ledger").read())
    # All that was acknowledged before, nothing torn, nothing from later, in order.
    assert ledger == list(range(1, len(ledger) + 1))
    assert before[-1] <= ledger[-1] <= after + 1
    assert mirror.bed["server2"].run(["touch", f"{at}/x"], check=False).code != 0

    differs = mirror.side("server1")["dirty"]
    assert 0 < differs < mirror.side("server1")["size"] // 4
    assert "Only what differs is copied" in run("server2", "clpbackup", "--post", "--online")
    mirror.equal()
    mirror.says("server1", "have the same data")
    mirror.writes("server1")
    mirror.kept("server1")
    run("server1", "clpmdctrl", "--verify", NAME)
    until(lambda: "proven equal" in run("server2", "clpmdstat", "-m", NAME), "proven equal", HEAL_S, 0.2)
    mirror.cluster.run("server1", "clpgrp", "-m", GROUP, "-a", "server2")
    mirror.active("server2")
    mirror.writes("server2")
    mirror.kept("server2")


@pytest.mark.long
def test_who_writes_to_the_separated_disk_is_noticed_and_overwritten(mirror: MirrorStage):
    run = mirror.cluster.run
    mirror.writes("server1")
    run("server2", "clpbackup", "--pre", "--no-shutdown", NAME)
    mirror.goes_alone("server1")
    # The service of server2 is stopped, so its disk is free: somebody mounts it writable, which replays nothing and
    # yet writes.
    data = mirror.plan.mirror.data
    mirror.bed["server2"].sh(f"mkdir -p {WORK}; mount -o loop {data} {WORK}; echo mine >{WORK}/mine; umount {WORK}")
    mirror.writes("server1")

    said = run("server2", "clpbackup", "--post", "--no-reboot")
    assert "written to by somebody else" in said
    assert "joins when that runs" in said
    mirror.equal()
    mirror.says("server2", "everything is copied to it")
    run("server1", "clpgrp", "-m", GROUP, "-a", "server2")
    mirror.active("server2")
    mirror.writes("server2")
    mirror.kept("server2")
    assert not mirror.bed["server2"].path(f"{POINT}/mine").exists()


@pytest.mark.long
def test_what_was_restored_on_one_server_is_the_truth_on_both(mirror: MirrorStage):
    run = mirror.cluster.run
    mirror.writes("server1")
    with pytest.raises(BedError, match="is active on server1"):
        run("server2", "clprestore", "--pre", "--online")
    run("server1", "clpgrp", "-t", GROUP)
    until(lambda: not mirror.side("server1").get("active"), "md1 is active nowhere", HEAL_S, 0.1)
    mirror.equal()

    assert "lets go of" in run("server2", "clprestore", "--pre", "--online")
    data = mirror.plan.mirror.data
    mirror.bed["server2"].sh(f"mkdir -p {WORK}; mount -o loop {data} {WORK}; echo old >{WORK}/restored; umount {WORK}")
    # Over a restart of its mirror process and of the agent, that disk is left alone.
    mirror.kill("server2", "agent.daemon.main")
    until(lambda: "is being restored" in run("server1", "clpmdstat", "-m", NAME), "restoring", HEAL_S, 0.2)
    with pytest.raises(BedError, match="Nothing was done"):
        run("server2", "clprestore", "--post", "--online")
    assert "Everything is copied to server1" in run("server2", "clprestore", "--post", "--online", "-y")
    mirror.equal()
    run("server1", "clpgrp", "-s", GROUP, "-h", "server1")
    mirror.active("server1")
    until(lambda: mirror.bed["server1"].path(f"{POINT}/restored").exists(), "what was restored", HEAL_S)
    mirror.writes("server1")
    run("server1", "clpmdctrl", "--verify", NAME)
    until(lambda: "proven equal" in run("server2", "clpmdstat", "-m", NAME), "proven equal", HEAL_S, 0.2)


@pytest.mark.long
def test_activation_by_hand_is_known_to_the_next_daemon(mirror: MirrorStage):
    run = mirror.cluster.run
    run("server1", "clpgrp", "-t", GROUP)
    until(lambda: not mirror.side("server1").get("active"), "md1 is active nowhere", HEAL_S, 0.1)
    mirror.equal()
    run("server1", "clpmdctrl", "-a", NAME)
    mirror.kill("server1", "agent.daemon.main")
    mirror.active("server1")

    mirror.cluster.crash("server2")
    # Only an activation of which the cluster knows gets the permit to go on alone.
    mirror.goes_alone("server1")
    mirror.bed["server1"].sh(f"echo here >{POINT}/x; sync {POINT}/x", timeout_s=60)
    run("server1", "clpmdctrl", "-d", NAME)
    assert not mirror.side("server1").get("active")


class TwoOfThree(MirrorStage):
    """The mirror has its disks on server1 and server2; server3 belongs to the cluster."""

    def __init__(self, bed: Bed) -> None:
        super().__init__(bed)
        group = dataclasses.replace(self.plan.groups[0], policy=("server1", "server2"))
        self.plan = dataclasses.replace(self.plan, groups=(group,))
        self.cluster = DemoCluster(bed, self.plan)

    def equal(self) -> None:
        pair = ("server1", "server2")
        until(lambda: all(self.side(server).get("relation") == "equal" for server in pair), "md1 is equal", HEAL_S, 0.1)


@pytest.mark.long
def test_mirror_of_two_servers_in_a_cluster_of_three():
    with clean_bed(3) as bed, TwoOfThree(bed) as mirror:
        mirror.writes("server1")
        assert mirror.bed["server3"].pids(MIRROR) == []
        mirror.cluster.crash("server1")
        mirror.active("server2")
        mirror.writes("server2")
        mirror.kept("server2")
        # The third server takes part in the decision and shows both disks.
        told = mirror.cluster.run("server3", "clpmdstat", "-m", NAME)
        assert "server2 goes on alone" in told
        mirror.cluster.recover("server1")
        mirror.equal()
        mirror.cluster.crash("server3")
        mirror.writes("server2")
        mirror.kept("server2")
