"""Since when a server has belonged to every view: what a standby of a mirror may rely on."""

from __future__ import annotations

from random import Random

import pytest

from agent.engine.continuity import Continuity, before
from agent.engine.view import Proposal, View
from agent.sim.standard import DEFAULTS, standard
from agent.sim.world import World
from agent.wire.epoch import NO_EPOCH, Epoch
from agent.wire.peer import Ballot, Promise, Table, Views
from agent.wire.report import Report


def since(world: World, server: str) -> Epoch:
    return world.machines[server].engine.membership.continuity.since


@pytest.fixture
def world() -> World:
    """Three servers that have been together for a while."""
    found = World(standard(3, safe=True), 1, DEFAULTS)
    found.run_until(20)
    return found


def test_who_survives_the_loss_of_another_has_missed_nothing(world: World):
    old = {name: since(world, name) for name in ("server2", "server3")}

    world.crash("server1")
    world.run_until(60)

    assert world.machines["server2"].engine.membership.view.members == ("server2", "server3")
    assert {name: since(world, name) for name in old} == old


def test_who_was_lost_begins_anew_when_it_comes_back(world: World):
    old = since(world, "server1")

    world.crash("server1")
    world.run_until(60)
    world.power_on("server1")
    world.run_until(100)

    membership = world.machines["server1"].engine.membership
    assert membership.view.members == ("server1", "server2", "server3")
    assert since(world, "server1") == membership.view.epoch > old
    assert since(world, "server2") < membership.view.epoch


@pytest.mark.slow
def test_who_slept_through_a_view_begins_anew():
    world = World(standard(3, safe=False), 1, DEFAULTS)
    world.run_until(20)
    old = since(world, "server2")

    world.pause("server2")
    world.run_until(60)
    assert world.machines["server1"].engine.membership.view.members == ("server1", "server3")
    world.resume("server2")
    world.run_until(100)

    assert world.machines["server2"].engine.membership.in_view
    assert since(world, "server2") > old


@pytest.mark.parametrize("name", ["server1", "server2"])
def test_restart_of_a_daemon_breaks_nothing(world: World, name: str):
    old = {server: since(world, server) for server in world.machines}

    world.kill_daemon(name, back_s=0.0)
    world.run_until(40)

    assert world.machines[name].engine.membership.in_view
    assert {server: since(world, server) for server in world.machines} == old


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_nobody_believes_to_have_belonged_to_a_view_that_left_him_out(seed: int):
    """Servers that crash, sleep and lose their daemons; every view that was ever in force anywhere is remembered. With
    nothing that keeps two sides from acting no rule could hold this."""
    random, world = Random(seed), World(standard(3, safe=True), seed, DEFAULTS)
    names, ever, kept = list(world.machines), {}, 0
    for step in range(700):
        if step % 20 == 19:
            fault = random.choice((world.crash, world.pause, world.power_on, world.power_on, world.resume))
            fault(random.choice(names))
            if random.random() < 0.3:
                world.kill_daemon(random.choice(names), back_s=0.1)
        world.run_until((step + 1) / 10)
        views = {n: m.engine.membership for n, m in world.machines.items() if m.on and m.daemon and not m.paused}
        ever.update({view.view.epoch: view.view.members for view in views.values()})
        for name, membership in views.items():
            start, now = membership.continuity.since, membership.view.epoch
            missed = [epoch for epoch, members in ever.items() if start < epoch <= now and name not in members]
            assert not missed, (step, name, start, now, missed)
            kept += start < now
    assert kept > 100  # It is not only that everybody always begins anew.


# What may have been in force before a proposal ------------------------------------------------------------------------

V1, V2, V3 = Epoch(1, 0), Epoch(2, 1), Epoch(3, 0)


def proposal(*members: str, views: dict[str, Views]) -> Proposal:
    promises = {
        name: Promise(
            epoch=V3, report=Report(server=name, incarnation=1, seq=1), table=Table(epoch=V1, version=1),
            views=views.get(name, Views(latest=V1)),
        )
        for name in members
    }  # fmt: skip
    return Proposal(
        epoch=V3, members=members, voters=members, cause="", evidence="", until=0, resend_at=0, promises=promises
    )


CLUSTER = standard(3, safe=True)


def test_what_was_promised_to_somebody_who_is_not_here_may_have_been_in_force():
    # server2 had proposed V2 to server3, and is gone now: server1 may have been left out.
    views = {"server3": Views(latest=V1, pending=V2)}

    assert before(CLUSTER, proposal("server1", "server3", views=views), []) == V2


def test_what_was_promised_to_somebody_who_is_here_was_not_unless_he_says_so():
    views = {"server3": Views(latest=V1, pending=V2)}

    assert before(CLUSTER, proposal("server1", "server2", "server3", views=views), []) == V1
    assert before(CLUSTER, proposal("server2", "server3", views=views), []) == V1
    views["server2"] = Views(latest=V2)
    assert before(CLUSTER, proposal("server2", "server3", views=views), []) == V2


def test_word_of_an_arbiter_counts():
    views = {"server1": Views(latest=V1)}

    assert before(CLUSTER, proposal("server1", views=views), [Ballot(V2, ("server2",), in_force=True)]) == V2
    assert before(CLUSTER, proposal("server1", views=views), [Ballot(V2, ("server2",))]) == V1


def test_view_that_is_told_again_changes_nothing():
    seen = Continuity()
    seen.installed(View(V1, ("server1",), (), "server1", NO_EPOCH))
    seen.installed(View(V2, ("server1",), (), "server1", V1))
    again = Continuity()
    again.restore(seen.saved())

    again.installed(View(V2, ("server1",), (), "server1", V1))
    assert (again.since, again.latest) == (V1, V2)
    again.installed(View(V3, ("server1",), (), "server1", V1))
    assert again.since == V3
