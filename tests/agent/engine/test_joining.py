"""Servers that come while a view is agreed on wait for the next one."""

from __future__ import annotations

import pytest

from agent.engine.view import Peer, Proposal, View, newcomers, patience_s
from agent.sim.standard import DEFAULTS, standard
from agent.sim.world import World
from agent.wire.epoch import Epoch

VIEW = View(Epoch(3, 0), ("a", "b", "c"), ("a", "b", "c"), "a")
PROPOSAL = Proposal(
    epoch=Epoch(4, 0), members=("a", "b"), voters=("a", "b"), cause="", evidence="", until=0.0, resend_at=0.0
)


@pytest.mark.parametrize(
    ("reachable", "serves"),
    [
        (("a", "b"), True),
        (("a", "b", "d"), True),
        (("a", "b", "c"), False),
        (("a", "b", "c", "d"), False),
        (("a",), False),
        (("a", "d"), False),
    ],
)
def test_proposal_serves_until_a_member_goes_or_somebody_comes_who_cannot_wait(
    reachable: tuple[str, ...], serves: bool
) -> None:
    assert PROPOSAL.serves(reachable, {"d", "e"}) is serves
    assert PROPOSAL.serves(reachable, ()) is (reachable == PROPOSAL.members)


def test_only_newcomers_of_a_large_cluster_wait() -> None:
    peers = {f"s{number}": Peer(alive=True) for number in range(10)}
    peers["s1"].epoch = Epoch(2, 1)  # It has a view of its own, with groups: it must not be left out.
    view = View(Epoch(3, 0), ("s0", "s2"), (), "s0")

    assert newcomers(peers, view) == peers.keys() - {"s0", "s1", "s2"}
    assert newcomers(dict(list(peers.items())[:4]), view) == set()


def test_many_get_more_time_to_agree_on_their_first_view() -> None:
    many = tuple(f"s{number}" for number in range(32))
    assert patience_s(0.5, many, View()) == 2.0
    assert patience_s(0.5, many[:3], View()) == patience_s(0.5, many, VIEW) == 0.5


@pytest.mark.slow
def test_latecomers_do_not_undo_the_view_that_is_agreed_on() -> None:
    """Each would else start it anew: ten proposals for ten that come while one is under way."""
    names = [f"server{number}" for number in range(1, 17)]
    world = World(standard(16, safe=False), 1, DEFAULTS, start=False)
    for name in names[:6]:
        world.power_on(name)
    world.run_until(5.0)
    for number, name in enumerate(names[6:]):
        world.after(0.05 + number * 0.002, lambda name=name: world.power_on(name))
    world.run_until(15.0)

    proposed = [note for note in world.notes.values() if (note.module, note.event) == ("cp", 1)]
    assert {machine.engine.membership.view.members for machine in world.machines.values()} == {tuple(names)}
    assert len(proposed) <= 6
    assert not world.violations
