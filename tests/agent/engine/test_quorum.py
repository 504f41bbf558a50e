"""Electorates: who may act, and that two sets which may act always share a voter."""

from __future__ import annotations

from itertools import chain, combinations

import pytest
from msgspec.structs import replace

from agent.clpconf.model import Cluster
from agent.engine.quorum import Ballots, binding, has_quorum, next_electorate
from agent.sim.arbiter import with_arbiters
from agent.sim.standard import standard
from agent.wire.epoch import NO_EPOCH, Epoch
from agent.wire.peer import Ballot

S1, S2, S3, S4 = names = ("server1", "server2", "server3", "server4")


def cluster(count: int, *arbiters: str) -> Cluster:
    return with_arbiters(standard(count, safe=True), *arbiters) if arbiters else standard(count, safe=True)


@pytest.mark.parametrize("count", range(1, 8))
def test_two_sides_never_both_have_more_than_half(count: int) -> None:
    voters = tuple(f"v{n}" for n in range(count))
    sides = chain.from_iterable(combinations(voters, size) for size in range(count + 1))
    for side in sides:
        assert not (has_quorum(voters, side) and has_quorum(voters, set(voters) - set(side)))


def test_without_arbiter_all_configured_servers_vote_for_ever() -> None:
    assert next_electorate(cluster(3), (S1,), "") == (S1, S2, S3)


def test_odd_members_vote_alone() -> None:
    assert next_electorate(cluster(4, "w"), (S1, S2, S4), "w") == (S1, S2, S4)


def test_even_members_are_made_odd_by_the_arbiter() -> None:
    assert next_electorate(cluster(2, "w"), (S1, S2), "w") == (S1, S2, "w")


def test_even_members_without_the_arbiter_leave_out_the_last() -> None:
    assert next_electorate(cluster(2, "w"), (S1, S2), "") == (S1,)
    assert next_electorate(cluster(4, "w"), names, "") == (S1, S2, S3)


def test_what_was_promised_after_the_newest_in_force_binds_as_well() -> None:
    ballots = [
        Ballot(Epoch(1, 0), (S1, S2, "w"), in_force=True),
        Ballot(Epoch(2, 0), (S1,)),  # superseded
        Ballot(Epoch(3, 0), (S1, S2, S3), in_force=True),
        Ballot(Epoch(4, 1), (S2,)),
    ]
    assert binding(ballots) == ((S1, S2, S3), (S2,))


def test_own_promise_is_forgotten_when_a_newer_view_is_in_force() -> None:
    known = Ballots(cluster(2, "w"))
    assert known.electorates == ((S1, S2, "w"),)
    known.promise(Epoch(1, 0), (S1,))
    assert known.electorates == ((S1, S2, "w"), (S1,))
    known.install(Epoch(2, 0), (S1, S2, "w"))
    assert known.known == (Ballot(Epoch(2, 0), (S1, S2, "w"), in_force=True),)


def test_the_first_electorate_is_everybody() -> None:
    assert Ballots(cluster(3, "w")).known == (Ballot(NO_EPOCH, (S1, S2, S3), in_force=True),)
    assert Ballots(replace(cluster(4, "w1", "w2"))).electorates == (("server1", "server2", "server3", "server4", "w1"),)
