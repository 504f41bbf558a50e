"""Drills on real engines: who is refused and why, what is obeyed only once, and how each of them ends by itself."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from agent.engine.drill_guard import is_lost
from agent.engine.effects import BeginDrill, EndDrill
from agent.sim.standard import DEFAULTS, standard
from agent.sim.world import World
from agent.wire.drill import Drill, events, what, wrong
from agent.wire.peer import Answer, MonitorWish, Request
from agent.wire.report import Report

CRASH = Drill(kind="crash", bound_s=8)


def world(servers: int = 3, *, safe: bool = True, **changes: Any) -> World:
    found = World(replace(standard(servers, safe=safe), **{"npaction": 0, **changes}), defaults=DEFAULTS)
    found.run_until(8)
    assert found.online_on("failover1") == ["server1"]
    return found


def ask(at: World, drill: Drill | None, server: str = "server1", **more: Any) -> Answer:
    """Of server2, so that the coordinator (server1) hears of it by message."""
    fields = {"op": "drill_start", "id": "d1", "via": "server2", "wait_s": 6.0, **more}
    machine = at.machines[fields.pop("via")]
    machine.answers.clear()
    wait_s = fields.pop("wait_s")
    at.ask(machine.name, Request(target=server, drill=drill, by="alice", **fields))
    at.run_while(lambda: not machine.answers, at.now + wait_s)
    assert machine.answers, "nobody answered"
    return machine.answers[-1]


def said(at: World, event: int) -> list[str]:
    return [note.text for note in at.notes.values() if (note.module, note.event) == ("apisv", event)]


# What is allowed ------------------------------------------------------------------------------------------------


def test_crash_moves_the_group_and_the_server_comes_back_by_itself() -> None:
    cluster = world()
    began = cluster.now

    assert ask(cluster, CRASH).code == 0
    cluster.run_until(began + 4)
    assert (cluster.online_on("failover1"), cluster.machines["server1"].on) == (["server2"], False)
    cluster.run_until(began + 20)

    assert cluster.machines["server1"].engine.report.service == "online"
    assert cluster.machines["server1"].engine.report.drill is None
    assert len(said(cluster, 61)) == 1
    assert not cluster.violations


def test_link_of_one_path_moves_nothing_and_ends_at_its_time() -> None:
    cluster = world()
    answer = ask(cluster, Drill(kind="link", bound_s=3, heartbeats=("lanhb1",)))
    cluster.run_until(cluster.now + 0.5)
    report = cluster.machines["server3"].engine.reports["server1"][0]
    assert (answer.code, report.drill and report.drill.what) == (0, "heartbeat paths lanhb1 of server1 deaf and mute")
    cluster.run_until(cluster.now + 5)

    assert cluster.online_on("failover1") == ["server1"]
    assert said(cluster, 62) == ["The drill on server1 is over: its time has passed (d1)."]


def test_link_of_all_paths_with_a_majority_moves_the_group() -> None:
    cluster = world()
    assert ask(cluster, Drill(kind="link", bound_s=6)).code == 0
    cluster.run_until(cluster.now + 5)
    assert cluster.online_on("failover1") == ["server2"]
    cluster.run_until(cluster.now + 10)
    assert cluster.online_on("failover1") == ["server2"]
    assert not cluster.violations


def test_hang_that_nobody_notices_is_allowed_on_a_server_with_groups() -> None:
    cluster = world()
    assert ask(cluster, Drill(kind="hang", bound_s=1, heartbeats=())).reason == "not_safe"  # The whole timeout.

    slow = world(timeout_s=4.0)
    assert ask(slow, Drill(kind="hang", bound_s=1)).code == 0
    slow.run_until(slow.now + 10)
    assert slow.online_on("failover1") == ["server1"]
    assert not slow.violations


@pytest.mark.parametrize(
    ("timeout_s", "watchdog", "longest_s"),
    [(2.0, "none", 1.0), (2.0, "armed", 2 / 3), (30.0, "none", 15.0), (30.0, "armed", 12.0)],
)
def test_watchdog_notices_a_hang_before_the_others_do(timeout_s: float, watchdog: Any, longest_s: float) -> None:
    cluster = replace(standard(3, safe=True), timeout_s=timeout_s)
    report = Report(server="server1", incarnation=1, seq=0, watchdog=watchdog)
    for bound_s, lost in ((longest_s - 0.01, False), (longest_s + 0.01, True)):
        assert is_lost(cluster, Drill(kind="hang", bound_s=bound_s), "server1", report) == lost


def test_pretended_failure_restarts_fails_over_and_ends_before_the_final_action() -> None:
    cluster = world()
    assert cluster.cluster.monitor("pidw1").restart_threshold
    assert ask(cluster, Drill(kind="monitor", bound_s=300, monitor="pidw1")).code == 0
    cluster.run_while(lambda: not said(cluster, 62), cluster.now + 200)
    cluster.run_until(cluster.now + 2)

    assert cluster.online_on("failover1") == ["server2"]
    assert said(cluster, 62) == [
        "The drill on server1 is over: its recoveries have run; the final action is not drilled (d1)."
    ]
    assert not cluster.machines["server1"].engine.table.monitors


# What is refused ------------------------------------------------------------------------------------------------


def crash(name: str) -> Any:
    return lambda at: at.crash(name)


def order(op: str, target: str = "") -> Any:
    return lambda at: at.ask("server2", Request(id=op, op=op, target=target))


@pytest.mark.parametrize(
    ("before", "drill", "words"),
    [
        (crash("server3"), CRASH, "server3 is not online: a drill needs all servers"),
        (order("cluster_suspend"), CRASH, "The cluster is suspended"),
        (order("fence_disarm"), CRASH, "disarmed"),
        (lambda at: None, Drill(kind="hang", bound_s=5), "failover1 would be active twice"),
        (lambda at: None, Drill(kind="monitor", bound_s=5, monitor="nosuch"), 'no monitor "nosuch"'),
        (lambda at: None, Drill(kind="link", bound_s=5, heartbeats=("lanhb9",)), 'no heartbeat "lanhb9"'),
        (lambda at: None, Drill(kind="crash", bound_s=float("nan")), "from 1 to 600 s"),
        (lambda at: None, None, "does not say what shall fail"),
    ],
)
def test_unsafe_drill_is_refused_with_its_reason_and_nothing_happens(before: Any, drill: Drill | None, words: str):
    cluster = world()
    before(cluster)
    cluster.run_until(cluster.now + 4)

    answer = ask(cluster, drill)

    assert answer.code == 2
    assert words in answer.text
    assert not said(cluster, 61)


def test_second_server_of_two_without_a_majority_may_crash_but_not_be_cut_off() -> None:
    cluster = world(2, safe=False)
    assert "active twice" in ask(cluster, Drill(kind="link", bound_s=5)).text
    assert ask(cluster, CRASH, id="d2").code == 0
    cluster.run_until(cluster.now + 5)
    assert cluster.online_on("failover1") == ["server2"]


def test_two_of_three_are_no_majority_without_the_third_of_two() -> None:
    cluster = world(2)
    assert "there is no majority" in ask(cluster, CRASH).text


def test_group_without_another_server_refuses_the_loss_of_its_own() -> None:
    groups = tuple(replace(group, policy=("server1",)) for group in standard(3, safe=True).groups)
    answer = ask(world(groups=groups), CRASH)
    assert "failover1 would stay offline: no other server" in answer.text


def test_manual_failover_refuses_the_loss() -> None:
    groups = tuple(replace(group, auto_failover=False) for group in standard(3, safe=True).groups)
    assert "failover attribute is manual" in ask(world(groups=groups), CRASH).text


def test_one_drill_at_a_time() -> None:
    cluster = world()
    assert ask(cluster, Drill(kind="link", bound_s=30, heartbeats=("lanhb1",)), "server3").code == 0
    answer = ask(cluster, CRASH, id="d2")
    assert "A drill runs on server3 already" in answer.text


def test_loss_that_would_bring_it_into_quarantine_is_refused() -> None:
    cluster = world(quarantine_count=1)
    assert "quarantine" in ask(cluster, CRASH).text


def test_check_says_what_start_would_and_begins_nothing() -> None:
    cluster = world()
    answer = ask(cluster, CRASH, op="drill_check")
    assert answer.text == (
        "It is safe now. The groups of server1 are taken down first, so that none of them is active twice."
    )
    cluster.crash("server3")
    cluster.run_until(cluster.now + 3)
    assert ask(cluster, CRASH, op="drill_check", id="d2").reason == "not_safe"
    assert not said(cluster, 61)


# Once, and from nobody else ---------------------------------------------------------------------------------------


def test_repeated_request_begins_only_one_drill() -> None:
    cluster = world()
    for _ in range(3):
        assert ask(cluster, Drill(kind="link", bound_s=2, heartbeats=("lanhb1",))).code == 0
    cluster.run_until(cluster.now + 4)
    assert ask(cluster, Drill(kind="link", bound_s=2, heartbeats=("lanhb1",)), via="server3").code == 0
    cluster.run_until(cluster.now + 4)
    assert len(said(cluster, 61)) == 1


def test_request_from_before_the_restart_of_the_server_does_nothing() -> None:
    cluster = world()
    begun = Request(id="d1", op="drill_start", target="server3", drill=replace(CRASH, incarnation=1))
    epoch = cluster.machines["server1"].engine.report.epoch
    assert begun.drill is not None
    for drill in (begun.drill, replace(begun.drill, epoch=epoch, incarnation=7)):
        cluster.deliver("server2", "server3", replace(begun, drill=drill))  # Not the coordinator.
        cluster.deliver("server1", "server3", replace(begun, drill=replace(drill, incarnation=7)))
    cluster.run_until(cluster.now + 3)

    assert cluster.machines["server3"].on
    assert not said(cluster, 61)


def test_lost_word_makes_whoever_asked_give_up_instead_of_a_late_failure() -> None:
    cluster = world()
    cluster.network.lose("Request", 1000)
    answer = ask(cluster, CRASH, wait_s=10)
    assert (answer.code, answer.reason) == (3, "no_answer")
    cluster.heal()
    cluster.run_until(cluster.now + 10)
    assert not said(cluster, 61)


# The end ----------------------------------------------------------------------------------------------------------


def test_ended_at_once_from_any_server() -> None:
    cluster = world()
    ask(cluster, Drill(kind="link", bound_s=300, heartbeats=("lanhb1",)))
    cluster.run_until(cluster.now + 0.5)  # Until server3 knows, too.

    assert ask(cluster, None, "", op="drill_end", id="e1", via="server3").code == 0
    cluster.run_until(cluster.now + 1)

    assert said(cluster, 62) == ["The drill on server1 is over: alice ended it (d1)."]
    assert cluster.machines["server2"].engine.reports["server1"][0].drill is None
    assert ask(cluster, None, "server1", op="drill_end", id="e2").reason == "no_drill"


def test_daemon_that_dies_leaves_no_pretended_failure() -> None:
    cluster = world()
    ask(cluster, Drill(kind="monitor", bound_s=300, monitor="pidw1"))
    cluster.kill_daemon("server1", 0.1)
    cluster.run_until(cluster.now + 60)

    assert cluster.online_on("failover1") == ["server1"]
    assert cluster.machines["server1"].engine.table.monitors.get("pidw1", MonitorWish()).failing == ()


# Words --------------------------------------------------------------------------------------------------------------


def test_every_drill_has_words_and_a_play() -> None:
    known = {
        Drill(kind="crash", bound_s=5): ("crash of server1", ("crash server1", "at 5 power_on server1")),
        Drill(kind="hang", bound_s=5): ("hang of the agent on server1", ("pause server1", "at 5 resume server1")),
        Drill(kind="link", bound_s=5): (
            "all heartbeat paths of server1 deaf and mute", ("isolate server1", "at 5 heal"),
        ),
        Drill(kind="link", bound_s=5, heartbeats=("lanhb1",), way="mute"): (
            "heartbeat paths lanhb1 of server1 mute", ("cut lanhb1 server1", "at 5 heal"),
        ),
    }  # fmt: skip
    for drill, expected in known.items():
        assert (what(drill, "server1"), events(drill, "server1")) == expected


def test_fields_of_another_kind_are_wrong() -> None:
    assert "no heartbeat paths" in wrong(replace(CRASH, heartbeats=("lanhb1",)), ["lanhb1"], [])
    assert "no monitor" in wrong(replace(CRASH, monitor="pidw1"), [], ["pidw1"])
    assert wrong(CRASH, [], []) == ""


def test_effects_name_the_drill() -> None:
    assert BeginDrill(id="d1", drill=CRASH).drill.kind == "crash"
    assert EndDrill(id="d1", server="server1").server == "server1"
