"""The model of a machine: what a crash takes from the disk, what a dead daemon leaves, how clocks go."""

from __future__ import annotations

import pytest

from agent.engine import events as ev
from agent.engine.engine import Engine
from agent.sim.machine import BOOT_S
from agent.sim.standard import DEFAULTS, standard
from agent.sim.world import World
from agent.wire.peer import ReportAck


def started(safe: bool = True) -> World:
    world = World(standard(3, safe=safe), 1, DEFAULTS)
    world.run_until(20)
    return world


def test_crash_leaves_what_was_saved_durably_and_no_more() -> None:
    world = started()
    machine = world.machines["server1"]
    written, durable = machine.disk, machine.durable_disk
    assert written != durable

    world.crash("server1")

    assert machine.disk == durable


def test_boot_of_a_server_knows_no_local_state_but_every_promise() -> None:
    world = started()
    machine = world.machines["server1"]
    promised = machine.engine.membership.promised

    world.crash("server1")
    world.power_on("server1")

    assert "local" not in machine.saved
    assert machine.engine.membership.promised >= promised


def test_dead_daemon_leaves_resources_heartbeats_and_disk_to_its_successor() -> None:
    world = started()
    machine, engine, disk = world.machines["server1"], world.machines["server1"].engine, world.machines["server1"].disk

    world.kill_daemon("server1", back_s=2.0)
    world.run_until(21.5)
    assert (machine.daemon, machine.hands.active) == (False, {"fip1", "exec1"})
    assert machine.disk == disk
    world.run_until(23.0)

    assert machine.daemon
    assert machine.engine is not engine
    assert world.online_on("failover1") == ["server1"]
    lost = [line for line in world.lines if "is down" in line]
    assert lost == []


def test_action_of_a_dead_daemon_is_begun_again_by_its_successor() -> None:
    world = World(standard(3, safe=True), 1, DEFAULTS)
    world.machines["server1"].hands.slow_start["exec1"] = 5.0
    world.run_until(2.0)
    assert [name for name, *_ in world.machines["server1"].hands.running.values()] == ["exec1"]

    world.kill_daemon("server1", back_s=0.2)
    assert world.machines["server1"].hands.running == {}
    world.run_until(15.0)

    assert world.online_on("failover1") == ["server1"]


def test_message_to_a_dead_daemon_is_lost_with_its_stream() -> None:
    world = started()
    heard: list[float] = []
    world.deliver("server1", "server2", ReportAck(incarnation=1, seq=1))
    world.kill_daemon("server2", back_s=0.0001)
    world.run_until(20.0002)
    machine = world.machines["server2"]
    feed = machine.feed
    machine.feed = lambda event: heard.append(world.now) if isinstance(event, ev.Received) else feed(event)  # type: ignore[method-assign]

    world.run_until(20.01)

    assert world.flying == 0
    assert [at for at in heard if at < 20.0011] == []


def test_action_that_is_slower_than_its_timeout_fails() -> None:
    world = World(standard(3, safe=True), 1, DEFAULTS)
    world.machines["server1"].hands.slow_start["exec1"] = 31.0

    world.run_until(70.0)

    assert any("could not be activated on server1: it was not done within its timeout" in line for line in world.lines)
    assert world.online_on("failover1") == ["server2"]


def test_clock_that_drifts_does_not_jump_and_wakes_by_itself() -> None:
    world = started()
    machine = world.machines["server1"]
    before, woken = machine.clock(), []

    machine.drift(1.01)
    assert machine.clock() == pytest.approx(before)
    machine.later(1.01, lambda: woken.append((world.now, machine.clock())))
    world.run_until(22.0)

    assert woken[0][0] == pytest.approx(21.0, abs=1e-6)
    assert woken[0][1] >= before + 1.01


def test_origin_of_the_clock_changes_at_the_next_boot_only() -> None:
    world = started()
    machine = world.machines["server1"]

    machine.next_origin = 5000.0
    assert machine.clock() == 20.0
    world.crash("server1")
    world.power_on("server1")

    assert machine.clock() == pytest.approx(5000.0)


@pytest.mark.parametrize("rate", [0.995, 1.005])
def test_lease_keeps_its_promise_while_clocks_drift(rate: float) -> None:
    world = started()
    world.machines["server1"].drift(rate)

    world.network.split(("server1",))
    world.run_until(20 + BOOT_S)

    assert world.online_on("failover1") == ["server2"]
    assert world.violations == []


def test_engine_that_was_restarted_is_fed_what_its_records_say() -> None:
    world = World(standard(3, safe=True), 1, DEFAULTS, record=True)
    world.run_until(20)
    machine = world.machines["server1"]

    world.kill_daemon("server1", back_s=0.1)
    world.run_until(25)
    engine = Engine(world.cluster, "server1", machine.incarnation, machine.saved, DEFAULTS)
    for event, now in machine.records:
        engine.handle(event, now)

    assert engine.report == machine.engine.report
