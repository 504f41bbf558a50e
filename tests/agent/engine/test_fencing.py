"""Fencing by real engines: who shoots whom, when, with what, and what follows; nothing is ever active twice."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from msgspec.structs import replace

from agent.clpconf.model import Cluster, FenceDevice
from agent.sim.fence import ALWAYS, with_fences
from agent.sim.standard import DEFAULTS, standard
from agent.sim.world import World
from agent.wire.peer import Answer, Request


def fenced(servers: int = 2, **changes: Any) -> Cluster:
    return replace(with_fences(standard(servers, safe=False)), **changes)


def playing(cluster: Cluster | None = None) -> World:
    """Every group is online at home."""
    world = World(cluster or fenced(), defaults=DEFAULTS)
    world.run_until(8)
    assert world.online_on("failover1") == ["server1"]
    assert world.online_on("failover2") == ["server2"]
    return world


def steps(world: World, start: float = 0.0) -> list[str]:
    """What was said of fencing, in order, by numbers and servers."""
    return [
        f"{what} {server}"
        for at, server, what, _ in world.rows
        if at >= start and (what in ("rc:400", "rc:401", "rc:402", "rc:403", "rc:405", "rc:406", "rc:433", "fenced"))
    ]


def ask(world: World, at: str, op: str, target: str = "", name: str = "r1", wait_s: float = 10.0) -> Answer:
    machine = world.machines[at]
    machine.answers.clear()
    world.ask(at, Request(id=name, op=op, target=target, by="operator"))  # type: ignore[arg-type]
    world.run_while(lambda: not machine.answers or machine.answers[-1].code == 1, world.now + wait_s)
    assert machine.answers, f"{op} {target} was not answered within {wait_s} s"
    return machine.answers[-1]


def test_a_lost_server_is_forced_off_before_its_group_starts_elsewhere() -> None:
    world = playing()
    start = world.now

    world.crash("server1")
    world.run_until(start + 10)

    assert steps(world, start) == ["rc:403 server2", "rc:400 server2", "fenced server1", "rc:401 server2"]
    assert world.online_on("failover1") == ["server2"]
    confirmed = next(at for at, _, what, _ in world.rows if what == "rc:401")
    started = next(at for at, server, what, _ in world.rows if at > start and what == "rc:10" and server == "server2")
    assert started >= confirmed
    assert world.violations == []


def test_every_step_says_by_which_rule_and_because_of_what() -> None:
    world = playing()
    world.crash("server1")
    world.run_until(world.now + 10)

    said = {n.event: n for n in world.notes.values() if n.module == "rc" and 400 <= n.event < 434}
    assert sorted(said) == [400, 401, 403]
    assert {n.rule for n in said.values()} == {"fencing"}
    assert said[400].causes == (said[403].id,)
    assert said[401].causes == (said[400].id,)
    loss = world.notes[said[403].causes[0]]
    assert loss.module in ("nm", "cp")
    failover = next(n for n in world.notes.values() if (n.module, n.event) == ("rc", 60))
    assert said[401].id in failover.causes


def test_of_two_servers_that_do_not_hear_each_other_one_survives() -> None:
    world = playing()

    world.network.split(("server1",))
    world.run_until(world.now + 20)

    on = [name for name, machine in world.machines.items() if machine.on]
    assert on == ["server1"]  # first in the order: the other waits a second for it
    assert world.online_on("failover1") == world.online_on("failover2") == ["server1"]
    assert world.violations == []


def test_the_delay_of_a_device_decides_who_survives() -> None:
    cluster = fenced()
    slow_against_2 = tuple(replace(d, delay_s=3.0) if d.name == "bmc-server2" else d for d in cluster.fences)
    world = playing(replace(cluster, fences=slow_against_2))

    world.network.split(("server1",))
    world.run_until(world.now + 20)

    assert [name for name, machine in world.machines.items() if machine.on] == ["server2"]


def test_the_next_level_is_tried_and_needs_all_of_its_devices() -> None:
    world = playing()
    world.fences.failing = {"bmc-server1": ALWAYS}
    start = world.now

    world.crash("server1")
    world.run_until(start + 10)

    used = [(device, ok) for at, _, device, _, ok in world.fences.shots if at > start]
    assert used == [("bmc-server1", False), ("pdu1", True), ("pdu2", True)]
    assert world.online_on("failover1") == ["server2"]


def test_one_power_supply_off_is_not_enough() -> None:
    world = playing()
    world.fences.failing = {"bmc-server1": ALWAYS, "pdu2": ALWAYS}

    world.crash("server1")
    world.run_until(world.now + 10)

    assert world.online_on("failover1") == []


def test_when_all_fail_the_group_stays_down_and_the_operator_is_told_what_to_do() -> None:
    world = playing()
    world.fences.failing = {d.name: ALWAYS for d in world.cluster.fences}
    start = world.now
    world.crash("server1")

    world.run_until(start + 100)

    assert world.online_on("failover1") == []
    tries = [at - start for at, _, device, _, _ in world.fences.shots if device == "bmc-server1" and at > start]
    waits = [b - a for a, b in pairwise(tries)]
    assert [round(w / 5) for w in waits[:3]] == [1, 2, 4]
    note = next(n for n in world.notes.values() if n.event == 433)
    assert "clpfence confirm server1" in note.text
    assert "clpfence confirm server1" in world.machines["server2"].engine.report.detail

    answer = ask(world, "server2", "fence_confirm", "server1")
    world.run_until(world.now + 3)

    assert answer.code == 0
    assert world.online_on("failover1") == ["server2"]
    assert world.machines["server2"].engine.report.detail == ""


def test_waiting_grows_to_a_minute_at_most() -> None:
    world = playing()
    world.fences.failing = {d.name: ALWAYS for d in world.cluster.fences}
    start = world.now
    world.crash("server1")

    world.run_until(start + 600)

    tries = [at for at, _, device, _, _ in world.fences.shots if device == "bmc-server1" and at > start]
    waits = [b - a for a, b in pairwise(tries)]
    assert 60 <= max(waits) < 64


@pytest.mark.parametrize(
    ("target", "reason"), [("server2", "not_off"), ("server1", "not_off"), ("server9", "unknown_server")]
)
def test_a_living_server_cannot_be_confirmed_off(target: str, reason: str) -> None:
    world = playing()

    answer = ask(world, "server1", "fence_confirm", target)

    assert (answer.code, answer.reason) == (2, reason)


def test_a_confirmation_ends_when_the_server_is_heard() -> None:
    world = playing()
    world.crash("server1")
    world.run_until(world.now + 10)
    assert world.machines["server2"].engine.fencing.confirmed("server1")

    world.power_on("server1")
    world.run_until(world.now + 5)
    assert not world.machines["server2"].engine.fencing.confirmed("server1")
    assert ask(world, "server1", "group_move", "failover1").code == 0
    start = world.now
    world.crash("server1")
    world.run_until(start + 10)

    assert "rc:406 server2" in steps(world)
    assert steps(world, start).count("fenced server1") == 1


def test_a_server_that_is_heard_again_is_not_shot_any_more() -> None:
    world = playing()
    world.fences.slow = {"bmc-server1": 6.0}
    world.crash("server1")
    world.run_while(lambda: "rc:400 server2" not in steps(world), world.now + 5)

    world.power_on("server1")
    world.run_until(world.now + 20)

    assert world.machines["server1"].on
    assert any("it is not forced off any more" in n.text for n in world.notes.values())
    assert world.violations == []


def test_a_device_that_lies_is_found_out() -> None:
    cluster = fenced()
    world = playing(replace(cluster, fences=tuple(d for d in cluster.fences if d.name == "bmc-server2")))
    world.promises.may_overlap = lambda group: True
    world.fences.lying = {"bmc-server2"}

    world.network.split(("server1",))
    world.run_until(world.now + 5)
    world.network.heal()
    world.run_until(world.now + 10)

    assert any(n.event == 407 and "Test its fence devices" in n.text for n in world.notes.values())


def test_a_server_that_is_absent_at_boot_is_forced_off_before_anything_starts() -> None:
    world = World(fenced(), defaults=DEFAULTS, start=False)
    world.power_on("server2")
    world.run_until(4.9)
    assert steps(world) == []  # It may still be booting.

    world.run_until(12)

    assert steps(world) == ["rc:403 server2", "rc:400 server2", "fenced server1", "rc:401 server2"]
    assert world.online_on("failover1") == world.online_on("failover2") == ["server2"]


def test_a_server_that_has_stopped_its_service_is_not_shot() -> None:
    world = playing()

    ask(world, "server1", "server_stop", "server1")
    world.run_until(world.now + 5)
    world.crash("server1")
    world.run_until(world.now + 0.5)  # Not lost yet.

    assert world.online_on("failover1") == ["server2"]
    assert steps(world) == []


def test_a_group_that_an_operator_has_to_fail_over_costs_no_shot() -> None:
    cluster = fenced()
    world = playing(replace(cluster, groups=tuple(replace(g, auto_failover=False) for g in cluster.groups)))

    world.crash("server1")
    world.run_until(world.now + 10)
    assert steps(world) == []

    answer = ask(world, "server2", "group_start", "failover1", wait_s=20)

    assert answer.code == 0, answer.text
    assert "fenced server1" in steps(world)
    assert world.online_on("failover1") == ["server2"]


def test_nothing_is_shot_or_taken_over_while_the_cluster_is_suspended_or_disarmed() -> None:
    world = playing()
    assert ask(world, "server2", "fence_disarm").code == 0

    world.crash("server1")
    world.run_until(world.now + 20)
    assert (steps(world), world.online_on("failover1")) == ([], [])

    assert ask(world, "server2", "fence_arm", name="r2").code == 0
    world.run_until(world.now + 5)
    assert world.online_on("failover1") == ["server2"]


def test_reboot_is_used_where_the_device_says_so_and_is_alone_in_its_level() -> None:
    device = FenceDevice(name="bmc", agent="fence_ipmilan", values={"action": "reboot"})
    world = playing(fenced(fences=(device,)))

    world.crash("server1")
    world.run_until(world.now + 20)

    assert any(text.startswith("reboot by server2") for _, _, what, text in world.rows if what == "fenced")
    assert world.machines["server1"].on


def test_with_a_majority_but_no_watchdog_force_is_the_proof() -> None:
    cluster = replace(with_fences(standard(3, safe=True)), self_fencing=False)
    world = playing(cluster)

    world.pause("server1")
    world.run_until(world.now + 10)

    assert "fenced server1" in steps(world)
    assert len(world.online_on("failover1")) == 1
    assert world.violations == []


def test_of_three_all_that_are_outside_must_be_off_and_the_first_is_looked_at_again() -> None:
    world = playing(fenced(3))
    start = world.now

    world.network.split(("server3",))
    world.pause("server1")
    world.pause("server2")
    world.run_until(start + 15)

    shot = [at for at, _, _, at_server, ok in world.fences.shots if at_server == "server1"]
    assert len(shot) == 2
    assert all(len(world.online_on(g.name)) == 1 for g in world.cluster.groups)
    assert world.online_on("failover1") == ["server3"]
    assert world.violations == []


def test_a_device_is_tested_from_the_server_that_is_asked() -> None:
    world = playing()
    world.fences.failing = {"pdu1": 1}

    answer = ask(world, "server2", "fence_test", "server1")

    assert (answer.code, answer.reason) == (3, "failed")
    assert "bmc-server1 for server1: on" in answer.text
    assert "pdu1 for server1: FAILED, it was told to fail" in answer.text
    found = world.machines["server2"].engine.report.fences
    assert {name: r.result for name, r in found.items()} == {"bmc-server1": "ok", "pdu1": "failed", "pdu2": "ok"}
    assert found["pdu1"].proven == 0.0 < found["pdu2"].proven
    assert ask(world, "server2", "fence_test", "bmc-server1", name="r2").code == 0
    assert world.machines["server1"].on


def test_a_device_that_nobody_has_cannot_be_tested() -> None:
    answer = ask(playing(), "server2", "fence_test", "bmc9")

    assert (answer.code, answer.reason) == (2, "no_device")
    assert "there are server1, server2, bmc-server1, bmc-server2, pdu1, pdu2" in answer.text


def test_a_shot_by_hand_counts_as_proof() -> None:
    world = playing()

    answer = ask(world, "server2", "fence_off", "server1")
    world.run_until(world.now + 10)

    assert answer.code == 0
    assert world.online_on("failover1") == ["server2"]
    assert ask(world, "server2", "fence_off", "server2", name="r2").reason == "no_device"
