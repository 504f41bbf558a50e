"""Two servers, no majority, no witness: a power switch makes it safe. The client is the judge."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import clean_bed
from tests.e2e.power import PASSWORD, PowerSwitch, devices
from tests.e2e.stage import GROUP, ONLINE_S, WAIT_S, Stage, staged
from webmanager.demo.bed import Bed
from webmanager.demo.cluster import demo_plan
from webmanager.demo.machine import until

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(180)]

LANS = ("ic1", "ic2", "pub")


@pytest.fixture
def bed() -> Iterator[Bed]:
    with clean_bed(2) as it:
        yield it


@pytest.fixture
def switch(bed: Bed, tmp_path: Path) -> Iterator[PowerSwitch]:
    made = PowerSwitch(bed, tmp_path)
    yield made
    made.close()


@pytest.fixture
def stage(bed: Bed, switch: PowerSwitch) -> Iterator[Stage]:
    with staged(bed, demo_plan(bed, majority=False, own=devices(bed.servers))) as stage:
        yield stage


def separate(stage: Stage) -> None:
    """Neither hears the other; the client hears both."""
    for lan in LANS:
        stage.faults.deaf(lan, "server1", "server2")
        stage.faults.deaf(lan, "server2", "server1")


def test_cut_off_from_each_other_exactly_one_serves(stage: Stage, switch: PowerSwitch) -> None:
    separate(stage)

    until(lambda: len([s for s in stage.bed.servers if stage.bed[s].on]) == 1, "one of them is off", WAIT_S, 0.02)
    for group in stage.plan.groups:
        stage.client.wait_answer(group.name, "server1", WAIT_S)
        assert stage.cluster.owners(group.address) == ["server1"]
    assert switch.shots() == ["server2"]
    # What the client saw of each group: never an answer of the other side after this one's.
    for outage in stage.client.seen("failover2").outages:
        assert (outage["from"], outage["to"]) == ("server2", "server1")
    stage.when("server1", "rc:401", "server2")
    assert [n["rule"] for n in stage.notes("server1") if n["module"] == "rc" and 400 <= n["event"] < 434] == [
        "fencing", "fencing",
    ]  # fmt: skip


def test_without_a_confirmation_nothing_starts_until_the_operator_says_so(stage: Stage, switch: PowerSwitch) -> None:
    switch.broken = {"server1", "server2"}
    stage.cluster.crash("server1")
    stage.says("server2", "No fence device could force server server1 off")
    assert stage.cluster.owners(stage.address) == []
    assert "clpfence confirm server1" in stage.server("server2", "server2")["detail"]

    refused = stage.sh("server2", "clpfence confirm server1 </dev/null")
    assert refused.code == 1
    assert "its groups will run twice" in refused.err
    said = stage.sh("server2", "clpfence confirm server1 -y")

    assert (said.code, said.out) == (0, "server1 counts as off until it is heard.\n")
    stage.client.wait_answer(GROUP, "server2", WAIT_S)


def test_a_crashed_server_is_replaced_and_comes_back(stage: Stage, switch: PowerSwitch) -> None:
    count = stage.count()
    stage.cluster.crash("server1")
    stage.client.outage_after(GROUP, count, "server2", WAIT_S)
    stage.cluster.recover("server1")
    stage.cluster.wait_online(ONLINE_S)

    assert switch.shots() == ["server1"]
    assert not any("was confirmed to be off" in n["text"] for n in stage.notes("server2"))
    history = stage.sh("server2", "clpfence history").out
    assert "Forcing server server1 off with switch (level 1)." in history
    assert "Server server1 is off: switch has confirmed it." in history
    for log in (stage.log("server2"), stage.log("server2", "events.jsonl"), history):
        assert PASSWORD not in log


def test_the_device_is_tested_and_remembers_when(stage: Stage, switch: PowerSwitch) -> None:
    before = json.loads(stage.sh("server1", "clpfence --json").out)
    tested = stage.sh("server1", "clpfence test server2")

    assert (before["fences"][0]["last_result"], before["fencing"]["armed"]) == ("", True)
    assert (tested.code, tested.out) == (0, "switch for server2: on.\n")
    shown = stage.sh("server1", "clpfence").out
    assert "switch  fence_bed  1      server1 server2" in shown
    assert "never" not in shown
    # It outlives the daemon.
    stage.faults.kill("server1", "agent.daemon.main")
    until(lambda: "ok" in stage.sh("server1", "clpfence").out, "the result is known again", WAIT_S, 0.2)
    split = stage.status("server1")["cluster"]["split_brain"]
    assert not split["possible"], split


def test_a_server_that_boots_alone_forces_the_other_off_first(stage: Stage, switch: PowerSwitch) -> None:
    for server in stage.bed.servers:
        stage.cluster.crash(server)
    stage.cluster.recover("server2")

    stage.owned_by("server2")
    assert switch.shots() == ["server1"]
    assert os.path.exists(stage.cluster.disk("server2") / "state/fences.json")


def test_disarmed_nothing_is_shot_or_taken_over(stage: Stage, switch: PowerSwitch) -> None:
    said = stage.sh("server1", "clpfence disarm")
    assert said.code == 0, said.err
    assert "Watchdog of server1: none" in said.out
    stage.cluster.crash("server1")
    stage.says("server2", "Not taking over failover1")
    assert "DISARMED" in stage.sh("server2", "clpfence").out
    assert switch.shots() == []

    assert stage.sh("server2", "clpfence arm").code == 0

    stage.client.wait_answer(GROUP, "server2", WAIT_S)
    assert switch.shots() == ["server1"]
