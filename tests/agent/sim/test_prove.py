"""Proofs: what can split is shown by a cut that was played, shortest first; what cannot, says what that rests on."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from agent.clpconf.model import Cluster, PartitionResolver
from agent.sim.cuts import Cut, cuts
from agent.sim.fence import with_fences
from agent.sim.fuzz import Fuzzer
from agent.sim.prove import Proof, prove
from agent.sim.standard import DEFAULTS, standard
from agent.sim.whatif import whatif


def shortest(proof: Proof, words: str) -> tuple[str, ...]:
    return next(split.cut.faults for split in proof.splits if words in split.cut.faults[0])


def test_two_servers_without_resolver_can_split_and_the_cuts_are_named() -> None:
    proof = prove(standard(2, safe=False), DEFAULTS)

    assert proof.can_split
    assert proof.splits[0].cut.faults == ("server1 stands still for 3 s and goes on",)
    assert shortest(proof, "fails as a whole") == ("lanhb1 fails as a whole", "lanhb2 fails as a whole")
    assert shortest(proof, "does not hear") == (
        "lanhb1: server1 does not hear server2", "lanhb2: server1 does not hear server2",
    )  # fmt: skip
    lengths = [len(split.cut.faults) for split in proof.splits]
    assert lengths == sorted(lengths)


def test_cut_that_is_found_does_split_and_half_of_it_does_not() -> None:
    cluster = standard(2, safe=False)
    proof = prove(cluster, DEFAULTS)
    lans = next(split.cut for split in proof.splits if "fails as a whole" in split.cut.faults[0])

    assert whatif(cluster, lans.events, DEFAULTS).doubles
    assert not whatif(cluster, lans.events[:1], DEFAULTS).doubles


def test_no_cut_contains_another() -> None:
    proof = prove(standard(2, safe=False), DEFAULTS)

    for split in proof.splits:
        assert [other for other in proof.splits if other.cut.within(split.cut)] == [split]


@pytest.mark.slow
def test_majority_without_watchdog_splits_only_by_a_server_that_stands_still() -> None:
    proof = prove(replace(standard(3, safe=True), self_fencing=False), DEFAULTS, most=2)

    assert proof.can_split
    assert all("stands still" in split.cut.faults[0] for split in proof.splits)


@pytest.mark.slow
def test_majority_with_watchdog_does_not_split_and_says_what_that_rests_on() -> None:
    proof = prove(standard(3, safe=True), DEFAULTS, most=2)

    assert not proof.can_split
    assert proof.played > 20
    assert any("watchdog" in sentence for sentence in proof.assumptions)
    assert any("clocks" in sentence for sentence in proof.assumptions)


def resolved(kind: str, device: int, *, self_fencing: bool = True) -> Cluster:
    resolver = PartitionResolver(name=f"{kind}1", type=kind, priority=0, device=device)
    return replace(standard(2, safe=False), self_fencing=self_fencing, resolvers=(resolver,))


@pytest.mark.slow
def test_two_servers_with_witness_lease_and_watchdog_do_not_split() -> None:
    proof = prove(resolved("httpnp", 10700), DEFAULTS)

    assert not proof.can_split
    assert proof.played > 50
    assert any("witness" in sentence for sentence in proof.assumptions)


def test_ping_does_not_see_a_cut_beside_it() -> None:
    proof = prove(resolved("pingnp", 10200, self_fencing=False), DEFAULTS, most=1)

    assert ("lanhb1 fails as a whole", "lanhb2 fails as a whole") in [split.cut.faults for split in proof.splits]


@pytest.mark.slow
def test_two_servers_that_are_forced_off_do_not_split() -> None:
    proof = prove(with_fences(standard(2, safe=False)), DEFAULTS)

    assert not proof.can_split
    assert any("switched it off" in sentence for sentence in proof.assumptions)


@pytest.mark.slow
def test_many_servers_are_proven_by_a_few_that_vote_alike() -> None:
    assert len(prove(standard(9, safe=True), DEFAULTS, most=1).servers) == 5
    assert len(prove(standard(8, safe=True), DEFAULTS, most=1).servers) == 4


def test_shorter_cuts_come_first_and_none_twice() -> None:
    found = cuts(standard(3, safe=False), 3)

    assert [len(cut.faults) for cut in found] == sorted(len(cut.faults) for cut in found)
    assert len(set(found)) == len(found)
    assert max(len(cut.faults) for cut in found) == 3


def test_later_fault_is_the_same_thing() -> None:
    now, later = Cut(faults=("x fails",), events=()), Cut(faults=("y fails", "later: x fails"), events=())

    assert now.within(later)
    assert not later.within(now)


@pytest.mark.slow
def test_fuzzer_finds_a_split_where_the_proof_says_there_is_one() -> None:
    assert prove(standard(2, safe=False), DEFAULTS, most=1).can_split
    found = 0
    for seed in range(1, 40):
        fuzzer = Fuzzer(standard(2, safe=False), seed, DEFAULTS)
        fuzzer.play(30.0)
        promises = fuzzer.world.promises
        found += bool(promises.past_overlaps or promises.overlaps)
    assert found
