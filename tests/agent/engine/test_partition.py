"""Network partitions with a witness, with ping, and what the losing side does with itself."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from agent.clpconf.model import Cluster, PartitionResolver
from agent.sim.arbiter import with_arbiters
from agent.sim.standard import DEFAULTS, standard
from agent.sim.world import World
from agent.wire.peer import Request

S1, S2 = BOTH = ("server1", "server2")


def play(cluster: Cluster) -> World:
    world = World(cluster, 1, DEFAULTS)
    world.run_until(20)
    assert world.online_on("failover1") == [S1]
    assert world.online_on("failover2") == [S2]
    return world


def witnessed(count: int = 2, **changes: object) -> World:
    return play(replace(with_arbiters(standard(count, safe=True), "httpnp1"), **changes))


def pinged(**changes: object) -> World:
    ping = PartitionResolver(name="pingnp1", type="pingnp", priority=0, device=10200)
    return play(replace(standard(2, safe=False), resolvers=(ping,), **changes))


def events(world: World, server: str, module: str, event: int) -> list[float]:
    return [n.time for n in world.notes.values() if (n.server, n.module, n.event) == (server, module, event)]


def test_cut_between_two_servers_leaves_the_first_with_everything() -> None:
    world = witnessed()
    world.network.split((S1,))
    world.run_until(30)

    assert world.online_on("failover1") == world.online_on("failover2") == [S1]
    assert events(world, S2, "cp", 22), "the witness says why server2 may not act"
    assert not world.violations


def test_first_server_keeps_what_it_runs_through_the_cut() -> None:
    world = witnessed()
    world.network.split((S1,))
    world.run_until(30)

    assert not events(world, S1, "rc", 20), "the witness confirms its lease all the time"


def test_survivor_of_a_crash_needs_no_wait_beyond_the_timeout() -> None:
    world = witnessed()
    world.crash(S1)
    world.run_until(21.5)

    assert world.online_on("failover1") == [S2]
    assert not world.violations


def test_server_cut_from_everything_is_replaced() -> None:
    world = witnessed()
    world.network.split((S1,))
    world.resolvers.cuts.add((S1, "httpnp1"))
    world.run_until(30)

    assert world.online_on("failover1") == [S2]
    assert not world.violations


def test_witness_lost_first_and_link_later_stop_nobody_healthy() -> None:
    world = witnessed()
    world.resolvers.down.add("httpnp1")
    world.run_until(25)
    assert world.online_on("failover1") == [S1]
    assert world.online_on("failover2") == [S2]
    assert not [at for server in BOTH for at in events(world, server, "rc", 20)]

    world.network.split((S1,))
    world.run_until(40)
    assert world.online_on("failover1") == world.online_on("failover2") == [S1]
    assert not world.violations


def test_last_server_survives_the_loss_of_the_witness() -> None:
    world = witnessed()
    world.crash(S2)
    world.run_until(25)
    world.resolvers.down.add("httpnp1")
    world.run_until(40)

    assert world.online_on("failover1") == world.online_on("failover2") == [S1]
    assert not events(world, S1, "rc", 20)


def test_server_that_was_left_out_does_not_start_alone_with_the_witness() -> None:
    """The other went on without it and may still do so, where nobody sees it."""
    world = witnessed()
    world.crash(S2)
    world.run_until(25)
    world.crash(S1)
    world.run_until(30)
    world.power_on(S2)
    world.run_until(60)
    assert world.online_on("failover1") == []
    assert "server1" in world.machines[S2].engine.report.detail

    world.power_on(S1)
    world.run_until(90)
    assert world.online_on("failover1") == [S1]
    assert not world.violations


@pytest.mark.parametrize("arbiters", [(), ("httpnp1",)])
def test_operator_may_swear_that_the_others_are_off(arbiters: tuple[str, ...]) -> None:
    cluster = standard(3, safe=True)
    world = play(with_arbiters(cluster, *arbiters) if arbiters else cluster)
    for server in (S1, S2):
        world.crash(server)
    world.run_until(40)
    assert world.online_on("failover1") == []

    world.ask("server3", Request(id="1", op="cluster_force", by="admin"))
    world.run_until(50)
    assert world.online_on("failover1") == world.online_on("failover2") == ["server3"]
    answer = world.machines["server3"].answers[-1]
    assert (answer.code, "server1, server2" in answer.text) == (0, True)

    for server in (S1, S2):
        world.power_on(server)
    world.run_until(80)
    assert world.machines[S1].engine.report.members == (S1, S2, "server3")
    assert world.online_on("failover1") == ["server3"]
    world.crash("server3")
    world.run_until(90)
    assert world.online_on("failover1") == [S1], "votes are as before when all are back"
    assert not world.violations


def test_nothing_is_forced_where_a_quorum_is_here() -> None:
    world = witnessed()
    world.ask(S1, Request(id="1", op="cluster_force", by="admin"))
    assert world.machines[S1].answers[-1].code == 2


def test_restarted_witness_lets_nobody_take_over_from_one_it_has_not_heard_yet() -> None:
    world = witnessed()
    world.resolvers.restart("httpnp1")
    world.network.split((S1,))
    world.run_until(40)

    assert len(world.online_on("failover1")) == 1
    assert not world.violations


def test_one_of_four_falls_and_the_witness_takes_no_part() -> None:
    world = witnessed(4)
    world.crash("server4")
    world.run_until(25)
    view = world.machines[S1].engine.membership.view
    assert view.voters == (S1, S2, "server3")

    world.crash("server3")
    world.run_until(30)
    assert world.machines[S1].engine.membership.view.voters == (S1, S2, "httpnp1")


def test_cut_off_server_stops_and_the_other_serves() -> None:
    world = pinged(npaction=0)
    world.network.split((S1,))
    world.resolvers.cuts.add((S1, "pingnp1"))
    world.run_until(40)

    assert world.online_on("failover1") == world.online_on("failover2") == [S2]
    assert events(world, S1, "cp", 23)
    world.heal()
    world.run_until(60)
    assert world.machines[S1].engine.report.members == BOTH


def test_without_ping_answers_nobody_acts_alone() -> None:
    world = pinged(npaction=0)
    world.resolvers.down.add("pingnp1")
    world.run_until(25)
    assert world.online_on("failover1") == [S1], "a lost target alone is no partition"

    world.crash(S2)
    world.run_until(40)
    assert world.online_on("failover2") == []


@pytest.mark.parametrize(("number", "on", "service"), [(0, True, "online"), (1, True, "stopped"), (2, False, "")])
def test_action_at_partition(number: int, on: bool, service: str) -> None:
    world = witnessed(npaction=number)
    world.network.split((S1,))
    world.run_until(40)

    assert world.machines[S2].on == on
    if on:
        assert world.machines[S2].engine.membership.service == service
    assert world.machines[S1].on, "the winning side does nothing to itself"


def test_rebooted_loser_comes_back_as_a_member() -> None:
    world = witnessed(npaction=3)
    world.network.split((S1,))
    world.run_until(23)
    world.network.heal()
    world.run_until(60)

    assert world.machines[S1].engine.report.members == BOTH
    assert world.machines[S2].incarnation > 1


# What it tells of itself --------------------------------------------------------------------------------------------


def test_survivor_reports_by_which_votes_it_acts_and_the_loser_that_it_may_not() -> None:
    world = witnessed()
    world.network.split((S1,))
    world.run_until(30)
    winner, loser = world.machines[S1].engine.report, world.machines[S2].engine.report

    assert winner.votes is not None
    assert (winner.votes.voters, winner.votes.present) == ((S1, S2, "httpnp1"), (S1, "httpnp1"))
    assert (winner.acts, loser.acts) == (True, False)
    assert loser.resolving["httpnp1"].detail, "why the witness does not grant"
    assert events(world, S1, "cp", 26), "the witness has granted the view"


def test_resolver_that_is_lost_is_reported_with_time_and_reason() -> None:
    world = witnessed()
    before = world.machines[S1].engine.report.resolving["httpnp1"]
    world.resolvers.down.add("httpnp1")
    world.run_until(25)
    after = world.machines[S1].engine.report.resolving["httpnp1"]

    assert (before.detail, before.since < 20) == ("", True)
    assert 20 < after.since < 23
    assert after.detail


def test_server_that_is_cut_off_from_its_ping_targets_reports_that_it_may_not_act() -> None:
    world = pinged()
    world.network.split((S1,))
    world.resolvers.cuts.add((S1, "pingnp1"))
    world.run_until(30)
    assert (world.machines[S1].engine.report.acts, world.machines[S2].engine.report.acts) == (False, True)

    world.network.heal()
    world.resolvers.cuts.clear()
    world.run_until(40)
    assert world.machines[S1].engine.report.acts


def test_ping_target_that_answers_before_the_others_are_heard_starts_nothing() -> None:
    """The end of a cut: whoever was cut off must not start what the other side runs."""
    world = pinged()
    world.network.split((S1,))
    world.resolvers.cuts.add((S1, "pingnp1"))
    world.run_until(30)
    assert world.online_on("failover1") == world.online_on("failover2") == [S2]

    world.resolvers.cuts.clear()
    world.run_until(30 + 0.8 * world.cluster.timeout_s)
    assert world.active_on("failover1") == world.active_on("failover2") == [S2]
    world.network.heal()
    world.run_until(40)

    assert world.online_on("failover1") == world.online_on("failover2") == [S2]
    assert not events(world, S1, "rc", 10)[1:], "it has started its group once, at the beginning"


def test_server_that_is_alone_acts_when_the_ping_target_has_answered_for_one_timeout() -> None:
    world = pinged()
    world.network.split((S1,))
    world.resolvers.cuts.add((S1, "pingnp1"))
    world.run_until(30)
    world.crash(S2)
    world.resolvers.cuts.clear()
    world.run_until(40)

    assert world.online_on("failover1") == world.online_on("failover2") == [S1]
