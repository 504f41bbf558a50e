"""A suspected server: its replacement is agreed before it is lost, and forgotten when it is heard."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from agent.engine.effects import Prepare, Save, Send
from agent.engine.engine import Engine
from agent.engine.events import PeerLost, Received, Started
from agent.sim.arbiter import with_arbiters
from agent.sim.standard import DEFAULTS, standard
from agent.sim.world import World
from agent.wire.epoch import Epoch
from agent.wire.peer import Promise, Propose, Reject


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
    assert Engine(cluster, "server1", 2, saved).membership.promised == Epoch(9, 3)  # Above whoever proposed it.
    # The same life goes on: what was promised is known exactly.
    assert Engine(cluster, "server1", 2, {**saved, "local": {}}).membership.promised == Epoch(7, 1)


@pytest.mark.parametrize("local", [{}, {"local": {}}], ids=["after a boot", "after the daemon's death"])
def test_proposal_that_may_have_been_promised_in_an_earlier_life_is_not_promised_again(local: dict[str, Any]) -> None:
    """Its voters would be forgotten: they belong to the promise, which is on disk or is made anew."""
    cluster = with_arbiters(standard(2, safe=True), "httpnp1")
    engine = Engine(cluster, "server2", 2, {"promised": [9, 0], "durable": {"ceiling": 9}, **local})
    engine.handle(Started(), 1.0)
    propose = Propose(epoch=Epoch(9, 0), members=("server1", "server2"), voters=("server1",), cause="")

    effects = engine.handle(Received(sender="server1", message=propose), 1.1)

    assert [e.message for e in effects if isinstance(e, Send) and isinstance(e.message, Promise)] == []
    assert [e.message.promised for e in effects if isinstance(e, Send) and isinstance(e.message, Reject)] != []


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


@pytest.mark.parametrize("named", [True, False])
def test_heartbeats_prove_the_lost_server_stopped_before_the_promises_do(named: bool) -> None:
    """Promised 0.25 s before the loss; but for the heartbeats, what the promise was on its way would be waited for."""
    world = online(safe=True)
    world.network.delay_s = 0.02
    for machine in world.machines.values():
        feed = machine.feed
        if not named:
            machine.feed = lambda event, feed=feed: feed(  # type: ignore[method-assign, misc]
                msgspec.structs.replace(event, promised={}) if isinstance(event, PeerLost) else event
            )
    world.crash("server1")
    world.run_until(24)

    [lost] = [at for at in events(world, "server2", "nm", 2) if at > 20]
    starts = min(at for at in events(world, "server2", "rc", 10) if at > 20)
    assert (starts == lost) == named
    assert not world.violations
