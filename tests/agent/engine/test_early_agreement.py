"""A suspected server: its replacement is agreed before it is lost, and forgotten when it is heard."""

from __future__ import annotations

import pytest

from agent.engine.effects import Prepare, Save
from agent.engine.engine import Engine
from agent.sim.standard import DEFAULTS, standard
from agent.sim.world import World
from agent.wire.epoch import Epoch


def online(*, safe: bool = False) -> World:
    world = World(standard(3, safe=safe), 1, DEFAULTS)
    world.run_until(20)
    return world


def events(world: World, server: str, module: str, event: int) -> list[float]:
    return [n.time for n in world.notes.values() if (n.server, n.module, n.event) == (server, module, event)]


@pytest.mark.parametrize("safe", [True, False])
def test_view_is_agreed_before_the_timeout_and_in_force_with_it(safe: bool) -> None:
    world = online(safe=safe)
    epoch = world.machines["server2"].engine.report.epoch
    world.crash("server1")
    world.run_until(23)

    proposed = [at for at in events(world, "server2", "cp", 1) if at > 20]
    lost = [at for at in events(world, "server2", "nm", 2) if at > 20]
    installed = [at for at in events(world, "server2", "cp", 2) if at > 20]
    assert len(proposed) == len(lost) == len(installed) == 1
    assert proposed[0] < lost[0] - 0.1
    assert installed == lost
    assert world.machines["server2"].engine.report.epoch > epoch
    assert not world.violations


def test_server_that_is_heard_again_in_time_stays_in() -> None:
    world = online()
    world.network.split(("server3",))
    world.run_until(world.now + 0.9)  # suspected at 0.8 of the timeout, lost at 1.0
    world.network.heal()
    world.run_until(world.now + 3)

    assert len([at for at in events(world, "server1", "cp", 19) if at > 20]) == 1
    assert not [at for at in events(world, "server1", "nm", 2) if at > 20]
    report = world.machines["server1"].engine.report
    assert report.members == ("server1", "server2", "server3")
    assert world.online_on("failover1") == ["server1"]
    assert not world.violations


def test_successor_prepares_what_will_come() -> None:
    world = online()
    prepared: list[str] = []
    engine = world.machines["server2"].engine
    handle = engine.handle

    def watch(event, now):  # type: ignore[no-untyped-def]
        effects = handle(event, now)
        prepared.extend(e.resource for e in effects if isinstance(e, Prepare))
        return effects

    engine.handle = watch  # type: ignore[method-assign]
    world.crash("server1")
    world.run_until(23)

    assert prepared == ["fip1", "exec1"]


def test_promise_counts_up_to_the_ceiling_after_a_boot() -> None:
    cluster = standard(3, safe=True)
    saved = {"promised": [7, 1], "durable": {"ceiling": 9}}
    assert Engine(cluster, "server1", 2, saved).membership.promised == Epoch(9, 0)
    # The same life goes on: what was promised is known exactly.
    assert Engine(cluster, "server1", 2, {**saved, "local": {}}).membership.promised == Epoch(7, 1)


def test_ceiling_is_durable_before_it_is_passed_and_raised_in_quiet() -> None:
    world = online()
    durable: list[tuple[float, int]] = []
    machine = world.machines["server2"]
    handle = machine.engine.handle

    def watch(event, now):  # type: ignore[no-untyped-def]
        effects = handle(event, now)
        durable.extend((now, e.state["durable"]["ceiling"]) for e in effects if isinstance(e, Save) and e.durable)
        assert machine.engine.membership.promised.counter <= machine.engine.membership.ceiling
        return effects

    machine.engine.handle = watch  # type: ignore[method-assign]
    world.crash("server1")
    world.run_until(22)
    assert durable == []  # No wait for a disk while a service is away.

    world.run_until(30)
    assert [ceiling for _, ceiling in durable] == [machine.engine.membership.promised.counter + 4]
