"""The scenario language: what it says, happens; what it cannot say, is refused with line and remedy."""

from __future__ import annotations

import pytest

from agent.clpconf.model import Cluster
from agent.sim.script import ScriptError, parse, play
from agent.sim.standard import DEFAULTS, standard
from agent.sim.world import World


@pytest.fixture(name="cluster")
def _cluster() -> Cluster:
    return standard(3, safe=True)


def run(cluster: Cluster, text: str) -> World:
    return play(cluster, text, defaults=DEFAULTS)


def test_script_without_steps_starts_every_server_and_every_group(cluster: Cluster) -> None:
    world = run(cluster, "# nothing happens\n\nend 10\n")

    assert world.now == 10
    assert {g.name: world.online_on(g.name) for g in cluster.groups} == {
        "failover1": ["server1"],
        "failover2": ["server2"],
    }


def test_absent_server_is_switched_on_by_its_step_only(cluster: Cluster) -> None:
    assert not run(cluster, "absent server3\nend 10").machines["server3"].on
    assert run(cluster, "absent server3\nat 5 power_on server3\nend 10").machines["server3"].on


def test_crash_pause_and_resume(cluster: Cluster) -> None:
    crashed = run(cluster, "at 5 crash server1\nend 10")
    paused = run(cluster, "at 5 pause server3\nend 6")
    resumed = run(cluster, "at 5 pause server3\nat 5.2 resume server3\nend 6")

    assert not crashed.machines["server1"].on
    assert crashed.online_on("failover1") == ["server2"]
    assert paused.machines["server3"].paused
    assert not resumed.machines["server3"].paused


def test_faults_of_the_network_cut_what_they_name(cluster: Cluster) -> None:
    lan = run(cluster, "at 5 cut lanhb2\nend 5").network
    cable = run(cluster, "at 5 cut lanhb1 server3\nend 5").network
    deaf = run(cluster, "at 5 deafen server3 to server1\nend 5").network
    split = run(cluster, "at 5 split server1 | server2 server3\nend 5").network
    healed = run(cluster, "at 4 loss 0.5\nat 5 split server1 | server2 server3\nat 5 heal\nend 5").network

    assert {path for _, _, path in lan.cuts} == {1}
    assert len(lan.cuts) == 6
    assert cable.cuts == {(a, b, 0) for a in cable.servers for b in cable.servers if a != b and "server3" in (a, b)}
    assert deaf.cuts == {("server1", "server3", 0), ("server1", "server3", 1)}
    assert ("server2", "server3", 0) not in split.cuts
    assert len(split.cuts) == 8
    assert (healed.cuts, healed.loss) == (set(), 0.0)


def test_lost_messages_are_counted_and_of_the_kind_named(cluster: Cluster) -> None:
    world = run(cluster, "at 5 lose Install 2\nat 5 crash server1\nend 10")

    assert [line.split()[2:] for line in world.lines if " lost " in line and "Install" in line] == [
        ["lost", "Install", "to", "server3"],
        ["lost", "Install", "to", "server3"],
    ]


def test_failing_slow_and_sick_resources(cluster: Cluster) -> None:
    failed = run(cluster, "at 0 fail_start exec1 2 on server1\nend 10")
    slow = run(cluster, "at 0 slow_start exec1 5 on server1\nend 5")
    sick = run(cluster, "at 5 sick exec1\nend 15")
    incurable = run(cluster, "at 5 sick exec1 always\nend 15")
    cured = run(cluster, "at 5 sick exec1 always\nat 5.5 cure exec1\nend 15")

    assert failed.online_on("failover1") == ["server2"]
    assert slow.machines["server1"].engine.report.resources["exec1"].state == "Online Pending"
    assert sick.machines["server1"].engine.report.monitors["pidw1"].state == "Normal"
    assert [n.event for n in sick.notes.values() if n.module == "rm"] == [9, 13, 26]
    assert [n for n in incurable.notes.values() if (n.module, n.event) == ("rm", 14)]
    assert not [n for n in cured.notes.values() if n.module == "rm"]


def test_request_is_asked_where_and_as_it_says(cluster: Cluster) -> None:
    world = run(cluster, "at 5 ask server3 group_move failover1 to server2 as move1\nend 10")

    (answer,) = world.machines["server3"].answers
    assert (answer.id, answer.code) == ("move1", 0)
    assert world.online_on("failover1") == ["server2"]


def test_story_that_makes_a_group_active_twice_must_say_so() -> None:
    cluster = standard(2, safe=False)
    split = "at 5 split server1 | server2\nend 8"

    surprising = run(cluster, split)
    told = run(cluster, f"overlap failover1\noverlap failover2\n{split}")

    assert len(surprising.violations) == 2
    assert told.violations == []
    assert any("OVERLAP" in line for line in told.lines)


def test_steps_of_the_same_time_happen_in_their_order(cluster: Cluster) -> None:
    world = run(cluster, "at 5 crash server1\nat 5 power_on server1\nend 5")

    assert [line.split()[1:] for line in world.lines if line.startswith("     5.000") and " power " in line] == [
        ["server1", "power", "off"],
        ["server1", "power", "on"],
    ]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("at 5 crash server1", 2, "no end"),
        ("", 1, "Add a last line: end 60"),
        ("at 5 crash server9\nend 9", 1, 'no server "server9". Use one of server1, server2, server3'),
        ("# one\nat 5 explode server1\nend 9", 2, 'no step "explode"'),
        ("at 5 crash\nend 9", 1, "Server is missing."),
        ("at x crash server1\nend 9", 1, '"x" is no time'),
        ("at -1 crash server1\nend 9", 1, "Write a number from 0"),
        ("at nan crash server1\nend 9", 1, '"nan" is no time'),
        ("at 5 crash server1 server2\nend 9", 1, '"server2" is too much'),
        ("at 5 crash server1\nat 4 crash server2\nend 9", 2, "Put the steps in the order of time"),
        ("at 5 crash server1\nend 4", 2, "before that of the step above"),
        ("end 4\nat 5 crash server1", 2, "after the end"),
        ("crash server1\nend 9", 1, 'no keyword "crash"'),
        ("at 5 cut lanhb7\nend 9", 1, "Use one of lanhb1, lanhb2"),
        ("at 5 deafen server1 server2\nend 9", 1, "Use one of to"),
        ("at 5 split server1 | server2\nend 9", 1, "not all servers, each once"),
        ("at 5 split server1 server2 server3 |\nend 9", 1, "not all servers, each once"),
        ("at 5 loss 1.5\nend 9", 1, "from 0 to 1"),
        ("at 5 lose Letter 2\nend 9", 1, "Install"),
        ("at 5 fail_start exec1 0\nend 9", 1, "from 1 to 1000"),
        ("at 5 fail_start exec1 1.5\nend 9", 1, "whole number"),
        ("at 5 fail_start exec9 1\nend 9", 1, 'no resource "exec9"'),
        ("at 5 ask server1 group_fly failover1\nend 9", 1, 'no operation "group_fly"'),
        ("at 5 ask server1 group_move failover9\nend 9", 1, 'no group "failover9"'),
        ("overlap failover9\nend 9", 1, 'no group "failover9"'),
    ],
)
def test_bad_line_is_refused_with_its_number_and_a_remedy(cluster: Cluster, text: str, line: int, words: str) -> None:
    with pytest.raises(ScriptError) as caught:
        parse(cluster, text)

    assert caught.value.line == line
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"line {line}: ")
    assert caught.value.remedy
