"""Rules between groups and servers, played on real engines: failback, exclusion, order, quarantine, who waits."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from agent.clpconf.model import Cluster
from agent.engine.coordinator import Coordinator
from agent.sim.standard import DEFAULTS, standard
from agent.sim.world import World
from agent.wire.peer import Answer, Request

ALL = ("server1", "server2", "server3")


def cluster(*groups: dict[str, Any], safe: bool = True, **changes: Any) -> Cluster:
    """The standard cluster; one dictionary of changes for each of its groups."""
    made = standard(3, safe=safe)
    changed = tuple(replace(g, **(groups[n] if n < len(groups) else {})) for n, g in enumerate(made.groups))
    return replace(made, groups=changed, **changes)


def world(configuration: Cluster, until: float = 5.0) -> World:
    made = World(configuration, defaults=DEFAULTS)
    made.run_until(until)
    return made


def ask(found: World, at: str, op: str, target: str = "", to: str = "", wait_s: float = 10) -> Answer:
    """Asks and plays on; the answer that is not "accepted"."""
    name = f"{op} {target} {found.now}"
    found.ask(at, Request(id=name, op=op, target=target, server=to, by="operator"))  # type: ignore[arg-type]
    answers = found.machines[at].answers

    def pending() -> bool:
        return not any(a.id == name and a.code != 1 for a in answers)

    found.run_while(pending, found.now + wait_s)
    assert not pending(), f"{op} {target} was not answered within {wait_s} s"
    return next(a for a in answers if a.id == name and a.code != 1)


def notes(found: World, module: str, event: int) -> list[str]:
    return [n.text for n in found.notes.values() if (n.module, n.event) == (module, event)]


# Failback ---------------------------------------------------------------------------------------------------------


def test_group_goes_back_when_it_and_its_home_have_been_ready_for_a_while() -> None:
    found = world(cluster({"auto_failback": True}, failback_s=4.0))
    found.crash("server1")
    found.run_until(10)
    assert found.online_on("failover1") == ["server2"]
    found.power_on("server1")

    found.run_until(13)
    assert found.online_on("failover1") == ["server2"]
    found.run_until(17)

    assert found.online_on("failover1") == ["server1"]
    assert notes(found, "rc", 75) == ["Group failover1 is back on its home server server1."]


def test_nothing_goes_back_while_another_group_is_on_its_way() -> None:
    found = world(cluster({"auto_failback": True}, failback_s=2.0))
    found.crash("server1")
    found.run_until(10)
    found.machines["server2"].hands.slow_stop["exec2"] = 6.0
    found.power_on("server1")
    found.run_until(11)
    found.ask("server2", Request(id="move", op="group_move", target="failover2", server="server3"))

    found.run_until(16)
    assert found.online_on("failover1") == ["server2"]
    found.run_until(25)

    assert found.online_on("failover1") == ["server1"]


def test_what_the_operator_has_moved_stays_until_its_home_was_restarted() -> None:
    found = world(cluster({"auto_failback": True}, failback_s=1.0))
    assert ask(found, "server3", "group_move", "failover1", "server3").code == 0

    found.run_until(found.now + 10)
    assert found.online_on("failover1") == ["server3"]
    found.crash("server2")
    found.run_until(found.now + 3)
    found.crash("server1")
    found.power_on("server2")
    found.run_until(found.now + 3)
    found.power_on("server1")
    found.run_until(found.now + 10)

    assert found.online_on("failover1") == ["server1"]


def test_operator_who_starts_a_group_where_it_failed_forgives_the_failure() -> None:
    found = world(cluster({"auto_failback": True}, failback_s=1.0), until=0.0)
    found.machines["server1"].hands.fail_start["exec1"] = 2
    found.run_until(20)
    assert found.online_on("failover1") == ["server2"]

    assert ask(found, "server3", "group_stop", "failover1").code == 0
    assert ask(found, "server3", "group_start", "failover1").code == 0

    assert found.online_on("failover1") == ["server1"]


def test_suspended_cluster_moves_nothing_back() -> None:
    found = world(cluster({"auto_failback": True}, failback_s=2.0))
    found.crash("server1")
    found.run_until(10)
    assert ask(found, "server2", "cluster_suspend").code == 0
    found.power_on("server1")

    found.run_until(30)

    assert found.online_on("failover1") == ["server2"]


# Exclusion --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "shares"), [(1, 1, True), (1, 2, False), (2, 1, False), (2, 2, False), (0, 2, True)]
)
def test_last_server_is_shared_unless_one_excludes_absolutely(first: int, second: int, shares: bool) -> None:
    found = world(cluster({"exclusive": first}, {"exclusive": second}, safe=False))
    assert [found.online_on(g) for g in ("failover1", "failover2")] == [["server1"], ["server2"]]

    for server in ("server1", "server3"):
        found.crash(server)
        found.run_until(found.now + 5)

    assert (found.online_on("failover1") == ["server2"]) == shares
    assert found.online_on("failover2") == ["server2"]
    assert bool(notes(found, "rc", 69)) != shares


@pytest.mark.parametrize(("exclusive", "code"), [(1, 0), (2, 2)])
def test_operator_may_share_what_is_normal_and_not_what_is_absolute(exclusive: int, code: int) -> None:
    found = world(cluster({"exclusive": exclusive}, {"exclusive": 1}))

    answer = ask(found, "server3", "group_move", "failover1", "server2")

    assert answer.code == code
    if code:
        assert answer.reason == "excluded"
        assert answer.text == "failover1 and failover2 exclude each other; failover2 is on server2."


def test_move_without_a_destination_goes_round_excluding_groups() -> None:
    found = world(cluster({"exclusive": 1}, {"exclusive": 1}))

    assert ask(found, "server3", "group_move", "failover1").code == 0

    assert found.online_on("failover1") == ["server3"]


def test_waiting_group_takes_the_place_that_another_leaves() -> None:
    found = world(cluster({"exclusive": 2}, {"exclusive": 2}, safe=False))
    for server in ("server1", "server3"):
        found.crash(server)
        found.run_until(found.now + 5)
    assert found.online_on("failover1") == []

    assert ask(found, "server2", "group_stop", "failover2").code == 0
    found.run_until(found.now + 1)

    assert found.online_on("failover1") == ["server2"]


# Order between groups ---------------------------------------------------------------------------------------------


def test_same_server_order_waits_only_where_both_come_to_the_same_server() -> None:
    order = {"start_after": ("failover2",), "start_same_server": ("failover2",)}
    apart = world(cluster(order), until=0.0)
    together = world(cluster(order, {"policy": ALL}), until=0.0)
    for found in (apart, together):
        for machine in found.machines.values():
            machine.hands.slow_start["exec2"] = 3.0
        found.run_until(2.5)

    assert apart.online_on("failover1") == ["server1"]
    assert together.online_on("failover1") == []
    together.run_until(6)
    assert together.online_on("failover1") == ["server1"]


def test_loser_of_a_double_start_stops_at_once_in_spite_of_the_stop_order() -> None:
    order = {"stop_after": ("failover2",), "stop_order_other": True}
    found = world(cluster(order, safe=False))
    found.promises.may_overlap = lambda group: True
    found.machines["server1"].hands.slow_stop["exec2"] = 20.0
    found.network.split(("server1",))
    found.run_until(10)
    found.network.heal()

    found.run_until(14)

    assert len(found.active_on("failover1")) == 1


# Quarantine -------------------------------------------------------------------------------------------------------


def flapping(times: int, *groups: dict[str, Any], **changes: Any) -> World:
    found = world(cluster(*groups, **changes))
    for _ in range(times):
        found.crash("server3")
        found.run_until(found.now + 3)
        found.power_on("server3")
        found.run_until(found.now + 3)
    return found


@pytest.mark.parametrize(("times", "counts"), [(2, False), (3, True)])
def test_server_that_was_lost_too_often_is_in_quarantine(times: int, counts: bool) -> None:
    found = flapping(times)

    assert ("server3" in found.machines["server1"].engine.table.quarantine) == counts
    assert len(notes(found, "cp", 61)) == counts


def test_losses_of_long_ago_do_not_count() -> None:
    found = flapping(2, quarantine_window_s=8.0)
    found.run_until(found.now + 10)
    found.crash("server3")
    found.run_until(found.now + 3)

    assert found.machines["server1"].engine.table.quarantine == {}


def test_server_that_is_stopped_in_order_is_not_lost() -> None:
    found = world(cluster())
    for _ in range(4):
        assert ask(found, "server1", "server_stop", "server3").code == 0
        found.run_until(found.now + 3)
        assert ask(found, "server3", "server_start", "server3").code == 0
        found.run_until(found.now + 3)

    assert found.machines["server1"].engine.table.lost_at == {}


def test_group_avoids_quarantine_while_there_is_another_server_and_the_operator_need_not() -> None:
    ring = {"policy": ("server1", "server3", "server2")}
    found = flapping(3, ring, ring)

    assert ask(found, "server2", "group_move", "failover2", "server3").code == 0
    found.crash("server1")
    found.run_until(found.now + 5)

    assert found.online_on("failover1") == ["server2"]
    assert found.online_on("failover2") == ["server3"]
    assert any("server3 is in quarantine" in text for text in notes(found, "rc", 60))


def test_server_in_quarantine_is_better_than_none() -> None:
    found = flapping(3, {"policy": ("server1", "server3")})

    found.crash("server1")
    found.run_until(found.now + 5)

    assert found.online_on("failover1") == ["server3"]


def test_operator_ends_a_quarantine_and_one_more_loss_does_not_renew_it() -> None:
    found = flapping(3)

    answer = ask(found, "server2", "server_release", "server3")
    found.run_until(found.now + 1)

    assert (answer.code, answer.text) == (0, "The quarantine of server3 is over: it takes groups again.")
    assert all(found.machines[s].engine.table.quarantine == {} for s in ("server1", "server2", "server3"))
    assert notes(found, "cp", 62) == ["The quarantine of server server3 is over: it takes groups again."]
    found.crash("server3")
    found.run_until(found.now + 3)
    assert found.machines["server1"].engine.table.quarantine == {}


def test_release_of_who_is_in_no_quarantine_says_so() -> None:
    found = world(cluster())

    assert ask(found, "server2", "server_release", "server3").text == "server3 is not in quarantine."
    assert ask(found, "server2", "server_release", "server9").reason == "unknown_server"


def test_smaller_side_of_a_cut_blames_nobody() -> None:
    found = world(cluster(safe=False))
    found.promises.may_overlap = lambda group: True
    for _ in range(4):
        found.network.split(("server3",))
        found.run_until(found.now + 3)
        found.network.heal()
        found.run_until(found.now + 3)

    table = found.machines["server1"].engine.table
    assert set(table.lost_at) == {"server3"}
    assert set(table.quarantine) == {"server3"}


# Who waits, and who need not be looked at ---------------------------------------------------------------------------


def test_request_during_a_change_of_the_view_waits_and_is_carried_out() -> None:
    found = world(cluster())
    found.crash("server1")
    found.run_while(lambda: found.machines["server3"].engine.membership.in_view, found.now + 3)
    assert not found.machines["server3"].engine.membership.in_view

    answer = ask(found, "server3", "group_move", "failover2", "server3")

    assert answer.code == 0
    assert found.machines["server3"].answers[0].code == 1
    assert found.online_on("failover2") == ["server3"]


def test_later_request_takes_the_place_of_one_that_waits() -> None:
    found = world(cluster())
    for machine in found.machines.values():
        machine.hands.slow_start["exec1"] = 3.0
    found.crash("server1")
    found.run_until(found.now + 1.5)
    found.ask("server2", Request(id="first", op="group_move", target="failover1", server="server3"))
    found.run_until(found.now + 0.2)

    assert ask(found, "server3", "group_stop", "failover1").code == 0

    (first,) = [a for a in found.machines["server2"].answers if a.id == "first" and a.code != 1]
    assert (first.code, first.text) == (3, "A later request replaced this one: group stop failover1.")
    found.run_until(found.now + 5)
    assert found.active_on("failover1") == []


def test_resumption_takes_the_place_of_a_suspension_that_waits() -> None:
    found = world(cluster())
    for machine in found.machines.values():
        machine.hands.slow_start["exec1"] = 3.0
    found.crash("server1")
    found.run_until(found.now + 1.5)
    found.ask("server2", Request(id="first", op="cluster_suspend"))
    found.run_until(found.now + 0.2)

    assert ask(found, "server3", "cluster_resume").code == 0

    (first,) = [a for a in found.machines["server2"].answers if a.id == "first" and a.code != 1]
    assert (first.code, first.text) == (3, "A later request replaced this one: cluster resume.")
    found.run_until(found.now + 5)
    assert not any(machine.engine.table.suspended for machine in found.machines.values())


@pytest.mark.parametrize(
    ("target", "to", "reason"),
    [("nothing", "", "unknown_monitor"), ("pidw1", "server9", "unknown_server"), ("pidw2", "server1", "not_there")],
)
def test_request_about_a_monitor_that_is_not_there_is_refused(target: str, to: str, reason: str) -> None:
    made = cluster()
    found = world(replace(made, monitors=(made.monitors[0], replace(made.monitors[1], servers=("server2",)))))

    assert ask(found, "server3", "monitor_suspend", target, to).reason == reason


def test_suspended_monitor_outlives_the_coordinator() -> None:
    found = world(cluster())
    assert ask(found, "server3", "monitor_suspend", "pidw2").code == 0
    found.crash("server1")
    found.run_until(found.now + 3)

    assert found.machines["server2"].engine.report.monitors["pidw2"].state == "Suspend"
    assert ask(found, "server3", "monitor_resume", "pidw2").code == 0
    assert found.machines["server2"].engine.table.monitors == {}


def test_groups_at_rest_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    found = world(cluster())
    looked: list[str] = []
    drive_group = Coordinator._drive_group

    def watched(self: Coordinator, group: Any, causes: Any) -> None:
        looked.append(group.name)
        drive_group(self, group, causes)

    monkeypatch.setattr(Coordinator, "_drive_group", watched)
    found.run_until(20)
    assert looked == []

    assert ask(found, "server2", "group_move", "failover1").code == 0
    assert set(looked) == {"failover1"}


def test_reboots_are_remembered_across_a_power_cut() -> None:
    made = cluster({"policy": ("server3",)}, max_reboots=1)
    plans = tuple(
        replace(r, activation=replace(r.activation, retry=0, failover=0, action=9)) if r.name == "exec1" else r
        for r in made.resources
    )
    found = world(replace(made, resources=plans), until=0.0)
    found.machines["server3"].hands.fail_start["exec1"] = 99
    found.run_until(30)

    assert found.machines["server3"].incarnation == 2
    assert len(notes(found, "rc", 100)) == 1


def test_restarted_daemon_that_has_forgotten_an_order_is_told_again() -> None:
    found = world(cluster())
    assert ask(found, "server1", "group_move", "failover1", "server3").code == 0
    assert ask(found, "server1", "group_move", "failover1", "server1").code == 0
    found.machines["server3"].kill_daemon()
    found.run_until(found.now + 0.3)
    found.machines["server3"].start_daemon()
    found.run_until(found.now + 3)

    assert ask(found, "server1", "group_move", "failover1", "server3").code == 0
    assert found.online_on("failover1") == ["server3"]
