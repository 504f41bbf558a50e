"""What operators may ask for: each refusal by its word and sentence, each wish to its end, played on real engines."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from agent.sim.standard import DEFAULTS, standard
from agent.sim.world import World
from agent.wire.peer import Answer, Request


def world(servers: int = 3, **changes: Any) -> World:
    found = World(replace(standard(servers, safe=True), **changes), defaults=DEFAULTS)
    found.run_until(5)
    assert found.online_on("failover1") == ["server1"]
    return found


def ask(
    cluster: World, at: str, op: str, target: str = "", to: str = "", name: str = "r1", wait_s: float = 5
) -> Answer:
    """Asks and plays on; the last answer."""
    machine = cluster.machines[at]
    machine.answers.clear()
    cluster.ask(at, Request(id=name, op=op, target=target, server=to, by="operator"))  # type: ignore[arg-type]
    cluster.run_while(lambda: not machine.answers, cluster.now + wait_s)
    assert machine.answers, f"{op} {target} was not answered within {wait_s} s"
    return machine.answers[-1]


@pytest.mark.parametrize(
    ("op", "target", "to", "reason", "words"),
    [
        ("group_move", "nothing", "", "unknown_group", 'no group "nothing"; the groups are failover1, failover2'),
        ("group_move", "failover1", "server9", "unknown_server", 'no server "server9"'),
        ("group_start", "failover1", "server2", "active_elsewhere", "move it instead (clpgrp -m)"),
        ("group_stop", "failover1", "server2", "not_there", "active on server1, not on server2"),
        ("server_stop", "server9", "", "unknown_server", 'no server "server9"'),
        ("server_start", "server9", "", "unknown_server", 'no server "server9"'),
    ],
)
@pytest.mark.parametrize("at", ["server1", "server3"])
def test_refusal_names_its_reason_and_changes_nothing(
    at: str, op: str, target: str, to: str, reason: str, words: str
) -> None:
    cluster = world()
    before = cluster.machines["server1"].engine.table

    answer = ask(cluster, at, op, target, to)

    assert (answer.code, answer.reason) == (2, reason)
    assert words in answer.text
    assert cluster.machines["server1"].engine.table == before


def test_destination_outside_of_the_policy_is_refused() -> None:
    groups = tuple(replace(g, policy=("server1", "server2")) for g in standard(3, safe=True).groups)

    answer = ask(world(groups=groups), "server2", "group_move", "failover1", "server3")

    assert (answer.code, answer.reason) == (2, "not_in_policy")
    assert "(server1, server2)" in answer.text


def test_move_of_a_group_that_is_not_active_is_refused() -> None:
    cluster = world()
    assert ask(cluster, "server1", "group_stop", "failover1", name="stop").code == 0

    assert ask(cluster, "server1", "group_move", "failover1").reason == "not_active"


def test_lost_server_is_no_destination_and_not_in_the_cluster() -> None:
    cluster = world()
    cluster.crash("server3")
    cluster.run_until(10)

    assert ask(cluster, "server2", "group_move", "failover1", "server3").reason == "not_available"
    assert ask(cluster, "server2", "server_stop", "server3", name="r2").reason == "not_member"


def test_move_without_another_server_is_refused() -> None:
    groups = tuple(replace(g, policy=("server1",)) for g in standard(3, safe=True).groups)

    assert ask(world(groups=groups), "server2", "group_move", "failover1").reason == "no_server"


def test_suspended_cluster_refuses_until_it_is_resumed() -> None:
    cluster = world()
    assert ask(cluster, "server2", "cluster_suspend").code == 0

    assert ask(cluster, "server3", "group_move", "failover1", name="r2").reason == "suspended"
    assert ask(cluster, "server3", "server_stop", "server3", name="r3").reason == "suspended"
    assert ask(cluster, "server1", "cluster_resume", name="r4").code == 0
    assert ask(cluster, "server3", "group_move", "failover1", name="r5").code == 0


def test_server_without_service_or_view_says_so() -> None:
    cluster = world()
    assert ask(cluster, "server3", "server_stop", "server3").code == 0
    assert ask(cluster, "server3", "group_move", "failover1", name="r2").reason == "service_stopped"

    cluster.crash("server1")
    cluster.crash("server2")
    cluster.power_on("server1")
    cluster.run_until(cluster.now + 3)
    assert ask(cluster, "server1", "group_move", "failover1", name="r3").reason == "no_view"


@pytest.mark.parametrize("apart_s", [0.0, 2.0])
def test_last_server_of_three_refuses_to_start_what_it_may_not_run(apart_s: float) -> None:
    """Whether it has seen the others go at once or one after the other: then it still coordinates a view of two."""
    world = World(standard(3, safe=True), defaults=DEFAULTS)
    world.run_until(5)
    for other in ("server2", "server3"):
        world.crash(other)
        world.run_until(world.now + apart_s)
    world.run_until(world.now + 3)
    request = Request(id="r", op="group_start", target="failover1", origin="server1")
    world.ask("server1", request)
    world.run_until(world.now + 10)

    answer = world.machines["server1"].answers[-1]
    assert (answer.code, answer.reason) == (2, "no_view")
    assert "has no majority" in answer.text
    world.power_on("server2")
    world.run_until(world.now + 30)
    assert world.online_on("failover1") != []


def test_stopping_cluster_refuses_everything_else() -> None:
    cluster = world()
    cluster.machines["server1"].hands.slow_stop["exec1"] = 3.0
    cluster.ask("server2", Request(id="stop", op="cluster_stop"))
    cluster.run_until(cluster.now + 1)

    assert ask(cluster, "server1", "group_start", "failover2").reason == "closing"


def test_stop_start_and_move_come_true_before_they_are_answered() -> None:
    cluster = world()

    assert ask(cluster, "server2", "group_stop", "failover1", name="a").code == 0
    assert cluster.active_on("failover1") == []
    assert ask(cluster, "server2", "group_start", "failover1", "server3", name="b").code == 0
    assert cluster.online_on("failover1") == ["server3"]
    assert ask(cluster, "server2", "group_move", "failover1", name="c").code == 0
    assert cluster.online_on("failover1") == ["server1"]  # round the ring
    assert ask(cluster, "server2", "group_start", "failover1", name="d").text.endswith("already.")
    assert ask(cluster, "server2", "group_move", "failover1", "server1", name="e").text.endswith("already.")


def test_stopped_group_stays_down_when_its_server_dies_and_returns() -> None:
    cluster = world()
    ask(cluster, "server2", "group_stop", "failover1")

    cluster.crash("server1")
    cluster.run_until(10)
    cluster.power_on("server1")
    cluster.run_until(20)

    assert cluster.active_on("failover1") == []


def test_failed_move_says_why_and_where_it_is() -> None:
    cluster = world()
    cluster.machines["server2"].hands.fail_start["exec1"] = 2

    answer = ask(cluster, "server3", "group_move", "failover1", "server2")

    assert (answer.code, answer.reason) == (3, "failed")
    assert answer.text == "failover1 could not be started on server2; it is online on server1."


def test_group_that_cannot_be_stopped_fails_the_request() -> None:
    cluster = standard(3, safe=True)
    stay = tuple(replace(r, deactivation=replace(r.deactivation, action=1)) for r in cluster.resources)
    found = world(resources=stay)
    found.machines["server1"].hands.fail_stop["exec1"] = 1

    answer = ask(found, "server3", "group_stop", "failover1")

    assert (answer.code, answer.text) == (3, "failover1 could not be stopped: exec1: it was told to fail")


def test_later_wish_overtakes_an_earlier_one() -> None:
    cluster = world()
    cluster.machines["server1"].hands.slow_stop["exec1"] = 2.0
    cluster.ask("server2", Request(id="first", op="group_move", target="failover1", server="server2"))
    cluster.run_until(cluster.now + 1)

    assert ask(cluster, "server3", "group_move", "failover1", "server3", name="second").code == 0

    (first,) = [a for a in cluster.machines["server2"].answers if a.id == "first"]
    assert (first.code, first.text) == (3, "A later decision replaced this one: failover1 now goes to server3.")
    assert cluster.online_on("failover1") == ["server3"]


def test_repeated_request_is_answered_the_same_and_done_once() -> None:
    cluster = world()
    first = ask(cluster, "server3", "group_move", "failover1", "server2", name="same")
    back = ask(cluster, "server3", "group_move", "failover1", "server1", name="back")

    again = ask(cluster, "server3", "group_move", "failover1", "server2", name="same")

    assert (first, back.code) == (again, 0)
    assert cluster.online_on("failover1") == ["server1"]


@pytest.mark.parametrize("who", ["server1", "server2", "server3"])
def test_whole_cluster_stops_after_a_member_was_stopped_and_started(who: str) -> None:
    cluster = world()
    assert ask(cluster, "server1", "server_stop", who, name="out").code == 0
    cluster.run_until(cluster.now + 3)
    assert ask(cluster, "server2", "server_start", who, name="in").code == 0
    cluster.run_until(cluster.now + 3)

    answer = ask(cluster, "server2", "cluster_stop", name="all")
    cluster.run_until(cluster.now + 3)

    assert answer.code == 0
    assert {m.engine.report.service for m in cluster.machines.values()} == {"stopped"}
    assert not any(cluster.active_on(g.name) for g in cluster.cluster.groups)


@pytest.mark.parametrize(("op", "comes_back"), [("cluster_shutdown", False), ("cluster_reboot", True)])
def test_shutdown_and_reboot_of_the_whole_cluster(op: str, comes_back: bool) -> None:
    cluster = world()

    assert ask(cluster, "server3", op).code == 0
    cluster.run_until(cluster.now + 4)
    assert not any(machine.on for machine in cluster.machines.values())
    cluster.run_until(cluster.now + 20)

    assert all(machine.on for machine in cluster.machines.values()) == comes_back
    assert bool(cluster.online_on("failover1")) == comes_back


def test_shutdown_of_a_server_hands_its_groups_over_first() -> None:
    cluster = world()

    assert ask(cluster, "server2", "server_shutdown", "server1").code == 0
    cluster.run_until(cluster.now + 3)

    assert not cluster.machines["server1"].on
    assert cluster.online_on("failover1") == ["server2"]
    lost = [n for n in cluster.notes.values() if (n.module, n.event) == ("rc", 60)]
    assert lost == []
