"""The configuration of a cluster that runs is changed: kept, or taken back by every server, and its groups go on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.e2e.conftest import clean_bed
from tests.e2e.stage import WAIT_S, WORK, Stage, staged
from tests.e2e.test_daemon_death import CHILD, DAEMON
from webmanager.demo.cluster import demo_plan
from webmanager.demo.machine import until

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(300)]

SERVERS = ("server1", "server2")


@pytest.fixture
def two() -> Iterator[Stage]:
    with clean_bed(servers=2) as bed, staged(bed) as stage:
        yield stage


def sh(stage: Stage, server: str, command: str) -> str:
    done = stage.sh(server, command, timeout_s=120.0)
    assert done.code == 0, done
    return done.out


def conf(stage: Stage, server: str) -> str:
    return (stage.cluster.disk(server) / "etc/clp.conf").read_text()


def pull(stage: Stage, server: str = "server1") -> str:
    sh(stage, server, f"mkdir -p {WORK} && clpcfctrl --pull -x {WORK}")
    return conf(stage, server)


def edit(stage: Stage, before: str, after: str, server: str = "server1") -> None:
    """In the copy of the administrator, who has it on disk below that of the server."""
    text = conf(stage, server)
    assert before in text
    sh(stage, server, f"sed -i 's|{before}|{after}|' {WORK}/clp.conf")


def processes(stage: Stage, word: str) -> dict[str, list[int]]:
    return {name: stage.bed[name].pids(word) for name in SERVERS}


def test_nothing_is_lost_by_a_daemon_that_is_killed_in_the_middle(two: Stage):
    pull(two)
    sh(two, "server1", f"cd {WORK} && clpcfset add monparam pidw pidw1 polling/interval 2")
    record = two.cluster.disk("server2") / "state/switch.json"
    sh(two, "server1", f"(clpcfctrl --push --confirm 0 -x {WORK} >{WORK}/said 2>&1; echo $? >{WORK}/code) & exit 0")

    until(record.exists, "server2 begins to change over", WAIT_S, 0.002)
    two.hit("server2", DAEMON)
    until(lambda: sh(two, "server1", f"cat {WORK}/code 2>/dev/null || :") != "", "it is over", 90.0)

    assert sh(two, "server1", f"cat {WORK}/code") == "0\n", sh(two, "server1", f"cat {WORK}/said")
    for server in SERVERS:
        assert "<interval>2</interval>" in conf(two, server)
    two.cluster.wait_online(WAIT_S)
    two.owned_by("server1")
    assert two.quiet()


def test_what_nobody_keeps_is_taken_back_by_all_and_what_is_kept_stays(two: Stage):
    before = pull(two)
    services, children = processes(two, "service.py"), processes(two, CHILD)
    sh(two, "server1", f"cd {WORK} && clpcfset add clsparam cluster/comment hello")

    sh(two, "server1", f"clpcfctrl --push --confirm 1 --why test -x {WORK}")
    two.says("server1", "All servers of")  # It may have been taken back by now.
    for server in SERVERS:
        two.says(server, "has begun anew with configuration")
        two.says(server, "has returned to configuration")

    assert [conf(two, server) for server in SERVERS] == [before, before]
    assert "it was not confirmed within 1 s" in two.log("server1")
    two.cluster.wait_online(WAIT_S)
    assert processes(two, "service.py") == services
    assert two.quiet()
    sh(two, "server1", f"clpcfctrl --push --confirm 60 -x {WORK} && clpcfctrl --keep")
    said = sh(two, "server1", f"cd {WORK} && clpcfset add clsparam cluster/comment again && clpcfctrl --push -x {WORK}")
    assert "it stays" in said
    assert "<comment>again</comment>" in conf(two, "server2")
    assert (processes(two, "service.py"), processes(two, CHILD)) == (services, children)
    assert two.quiet()


@pytest.fixture
def two_without_majority() -> Iterator[Stage]:
    with clean_bed(servers=2) as bed, staged(bed, replace(demo_plan(bed), majority=False)) as stage:
        yield stage


def test_heartbeats_that_reach_nobody_bring_every_server_back_by_itself(two_without_majority: Stage):
    """A typing error in the addresses: the servers do not meet with the new configuration."""
    two = two_without_majority
    before = pull(two)
    services = processes(two, "service.py")
    for number, info in enumerate(sorted(set(re.findall(r"<info>([0-9.]+)</info>", before)))):
        edit(two, f"<info>{info}</info>", f"<info>203.0.113.{number + 1}</info>")

    done = two.sh("server1", f"clpcfctrl --push --confirm 5 -x {WORK}", timeout_s=120.0)

    assert done.code == 1, done
    assert "was not heard with the new configuration" in done.err
    for server in SERVERS:
        assert conf(two, server) == before
        two.says(server, "has returned to configuration")
    two.cluster.wait_online(WAIT_S)
    assert processes(two, "service.py") == services
    assert two.quiet()


def test_a_server_that_loses_its_power_on_trial_comes_back_with_the_old_one(two: Stage):
    before = pull(two)
    sh(two, "server1", f"cd {WORK} && clpcfset add clsparam cluster/comment hello")
    sh(two, "server1", f"clpcfctrl --push --confirm 60 -x {WORK}")
    assert "<comment>hello</comment>" in conf(two, "server2")

    two.restart("server2")

    two.says("server2", "does not start with configuration")
    assert conf(two, "server2") == before


def test_a_server_with_another_configuration_waits_until_it_gets_the_right_one(two: Stage):
    before = pull(two)
    path = two.cluster.disk("server2") / "etc/clp.conf"
    two.cluster.crash("server2")
    path.write_text(before.replace("<timeout>1000</timeout>", "<timeout>1001</timeout>"))
    two.cluster.recover("server2")
    two.says("server2", "has another clp.conf than server1 and waits")

    said = sh(two, "server1", f"clpcfctrl --push -h server2 -x {WORK}")

    assert "Command succeeded." in said
    assert conf(two, "server2") == before
    two.cluster.wait_online(WAIT_S)
