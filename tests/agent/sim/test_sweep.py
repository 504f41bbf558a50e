"""A sweep plays every failure there is, and says what is not covered and why."""

from __future__ import annotations

from multiprocessing import get_context

import pytest
from msgspec.structs import replace

from agent.clpconf.model import Cluster, PartitionResolver
from agent.sim.fence import with_fences
from agent.sim.standard import DEFAULTS, standard
from agent.sim.sweep import Row, Sweep, pairs, singles, sweep

SAFE = standard(3, safe=True)


@pytest.fixture(name="found", scope="module")
def _found() -> Sweep:
    return sweep(SAFE, DEFAULTS)


def row(found: Sweep, text: str) -> Row:
    return next(row for row in found.rows if row.failure.text == text)


def test_every_single_failure_is_played_once() -> None:
    texts = [failure.text for failure in singles(SAFE)]

    assert len(set(texts)) == len(texts)
    assert [t for t in texts if "server2" in t] == [
        "server2 fails", "server2 loses its cable to lanhb1", "server2 loses its cable to lanhb2",
        "server2 loses every heartbeat", "fip2 does not start on server2", "fip2 stops working on server2",
        "exec2 does not start on server2", "exec2 stops working on server2",
    ]  # fmt: skip


def test_every_pair_of_servers_fails_once() -> None:
    assert [failure.name for failure in pairs(SAFE)] == ["server1 server2", "server1 server3", "server2 server3"]
    assert len(list(pairs(standard(32, safe=True)))) == 496


def test_covered_failures_say_where_the_group_goes_and_how_soon(found: Sweep) -> None:
    (crash,) = row(found, "server1 fails").fates
    (start,) = row(found, "exec1 does not start on server1").fates
    (sick,) = row(found, "exec2 stops working on server2").fates

    assert (crash.group, crash.outcome, crash.after) == ("failover1", "moves", ("server2",))
    assert (start.group, start.outcome, start.after) == ("failover1", "starts", ("server2",))
    assert (sick.group, sick.outcome, sick.after) == ("failover2", "moves", ("server3",))
    assert all(fate.outage_s is not None and fate.outage_s < 2 for fate in (crash, start, sick))
    assert row(found, "server3 fails").fates == ()
    assert row(found, "lanhb1 fails as a whole").fates == ()


def test_what_nobody_watches_is_not_covered(found: Sweep) -> None:
    assert [(r.failure.text, r.gaps[0].why) for r in found.gaps] == [
        (f"fip{n} stops working on server{n}", f"no monitor watches fip{n}: nobody would notice") for n in (1, 2)
    ]


def test_two_servers_without_resolver_are_not_covered_when_they_are_parted() -> None:
    found = sweep(standard(2, safe=False), DEFAULTS)

    parted = row(found, "server1 loses every heartbeat")
    assert {gap.group: gap.why for gap in parted.gaps} == {
        "failover1": "it runs on server1 and server2 at once", "failover2": "it runs on server1 and server2 at once",
    }  # fmt: skip


def test_loss_of_the_witness_is_a_failure_that_is_covered() -> None:
    witness = PartitionResolver(name="httpnp1", type="httpnp", priority=0, device=10700)
    found = sweep(replace(standard(2, safe=False), self_fencing=True, resolvers=(witness,)), DEFAULTS)

    assert row(found, "nobody reaches httpnp1 any more").covered
    (moved,) = row(found, "server1 loses every heartbeat").fates
    assert (moved.group, moved.outcome) in [("failover1", "moves"), ("failover2", "moves")]


def test_shot_at_a_lost_server_is_waited_for() -> None:
    (moved,) = row(sweep(with_fences(standard(2, safe=False)), DEFAULTS), "server1 fails").fates

    assert (moved.group, moved.after) == ("failover1", ("server2",))


def test_minority_that_is_left_stops_and_says_so() -> None:
    found = sweep(SAFE, DEFAULTS, double=True)

    (gap,) = row(found, "server1 and server3 fail together").gaps[:1]
    assert len(found.gaps) == 3
    assert "lease" in gap.why or "majority" in gap.why


def test_resource_whose_failover_is_off_is_not_covered() -> None:
    groups = tuple(replace(group, auto_failover=False) for group in SAFE.groups)

    (gap,) = row(sweep(replace(SAFE, groups=groups), DEFAULTS), "server1 fails").gaps

    assert gap.group == "failover1"
    assert "server1 is lost" in gap.why


@pytest.mark.slow
def test_processes_find_what_one_process_finds() -> None:
    cluster: Cluster = standard(7, safe=True)

    alone, together = sweep(cluster, DEFAULTS), sweep(cluster, DEFAULTS, jobs=2, context=get_context("fork"))

    assert len(alone.rows) >= 32
    assert [(r.failure, r.covered) for r in together.rows] == [(r.failure, r.covered) for r in alone.rows]
    assert [[(f.group, f.outcome, f.after) for f in r.fates] for r in together.rows] == [
        [(f.group, f.outcome, f.after) for f in r.fates] for r in alone.rows
    ]
