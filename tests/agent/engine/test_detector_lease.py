"""Who holds the lease, by the failure detector: never longer than the others wait."""

from __future__ import annotations

import heapq
import random

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from agent.engine.detector import (
    FENCE,
    LEASE,
    DeafPeer,
    Detector,
    LeaseHeld,
    LeaseLost,
    PeerHeard,
    PeerLost,
    SelfFence,
    Stalled,
    Verdict,
)
from agent.wire.epoch import Epoch
from agent.wire.heartbeat import Packet
from tests.agent.engine.listening import ABC, INTERVAL, TIMEOUT, running


def test_lease_needs_a_majority_of_all_configured_servers() -> None:
    cluster = running(majority=True)
    cluster.silent = {"b", "c"}
    cluster.run(1)

    a = cluster.of("a", LeaseLost, SelfFence, LeaseHeld)
    # At 2.0 a sent the newest beat that b and c heard, but they confirmed only the one of 1.9 or before.
    assert [(at, type(v)) for at, v in a] == [(2.3, LeaseLost), (2.4, SelfFence)]


def test_beats_of_an_earlier_life_confirm_nothing() -> None:
    cluster = running(majority=True)
    reborn = Detector("a", ABC, ["lan0", "lan1"], INTERVAL, TIMEOUT, True, 2.0, incarnation=2)
    for step in range(20, 25):
        reborn.beat(step / 10)
    beat = cluster.detectors["b"].beat(2.45)
    beat = beat._replace(rows=((3, 0, 1, 3), *beat.rows[1:]))  # b has heard number 3 of the earlier one

    reborn.heard(beat, 0, 2.45)
    assert LeaseHeld() not in reborn.judge(2.45)
    reborn.heard(beat._replace(seq=beat.seq + 1, rows=((3, 0, 2, 3), *beat.rows[1:])), 0, 2.46)
    assert LeaseHeld() in reborn.judge(2.46)


def alone() -> Detector:
    """Has beaten for some seconds as the only voter; b hears it, and confirms nobody."""
    found = Detector("a", ABC[:2], ["lan0"], INTERVAL, TIMEOUT, True, 0.0, incarnation=1)
    found.say(Epoch(1, 0), "online", ("a",), (("a",),), at=0.0)
    for step in range(50):
        found.beat(step / 10)
        found.judge(step / 10)
    return found


@pytest.mark.parametrize(
    ("electorate", "ends"), [(("a", "b", "w"), 5.0 + LEASE * TIMEOUT), (("a", "w", "x"), 5.0 + LEASE * TIMEOUT)]
)
def test_electorate_that_grows_takes_the_lease_over_and_no_longer(electorate: tuple[str, ...], ends: float) -> None:
    detector = alone()

    detector.say(Epoch(2, 0), "online", ("a", "b"), (electorate,), at=5.0)

    assert not any(isinstance(v, LeaseLost) for v in detector.judge(5.05))
    assert not any(isinstance(v, LeaseLost) for v in detector.judge(ends - 0.01))
    assert any(isinstance(v, LeaseLost) for v in detector.judge(ends + 0.01))


def test_electorate_that_grows_brings_no_lost_lease_back() -> None:
    detector = alone()
    detector.say(Epoch(2, 0), "online", ("a", "b"), (("a", "b", "w"),), at=5.0)
    assert any(isinstance(v, LeaseLost) for v in detector.judge(6.0))

    detector.say(Epoch(3, 0), "online", ("a", "b"), (("b", "w", "x"),), at=6.0)

    assert not any(isinstance(v, LeaseHeld) for v in detector.judge(6.01))


def test_lease_comes_back_with_the_majority() -> None:
    cluster = running(majority=True)
    cluster.silent = {"b", "c"}
    cluster.run(1)
    cluster.silent = {"b"}
    cluster.run(1)

    assert [type(v) for _, v in cluster.of("a", LeaseLost, LeaseHeld)] == [LeaseLost, LeaseHeld]
    assert not cluster.detectors["a"].fence_due(cluster.now)


def test_lease_is_not_prolonged_by_a_stall() -> None:
    cluster = running(majority=True)

    verdicts = cluster.detectors["a"].judge(4.0)

    assert [type(v) for v in verdicts] == [Stalled, LeaseLost, SelfFence]


def test_lease_of_a_server_that_nobody_hears_ends_although_it_hears_all() -> None:
    cluster = running(majority=True)
    cluster.cut = lambda sender, receiver, path: sender == "a"
    cluster.run(1)

    assert [type(v) for _, v in cluster.of("a", LeaseLost, SelfFence)] == [LeaseLost, SelfFence]
    assert cluster.of("a", PeerLost) == []


def test_promise_of_a_view_without_a_server_ends_its_lease() -> None:
    cluster = running(majority=True)
    for server in "bc":
        cluster.detectors[server].say(Epoch(2, 1), "online", ("b", "c"))
    cluster.run(1)

    assert [type(v) for _, v in cluster.of("a", LeaseLost, LeaseHeld)] == [LeaseLost]
    assert cluster.of("a", PeerLost) == cluster.of("b", LeaseLost, PeerLost) == []
    cluster.detectors["b"].say(Epoch(3, 1), "online", ABC)
    cluster.run(1)
    assert [type(v) for _, v in cluster.of("a", LeaseLost, LeaseHeld)] == [LeaseLost, LeaseHeld]


def test_missed_beats_make_all_beat_twice_as_often_for_a_while() -> None:
    cluster = running()
    cluster.cut = lambda sender, receiver, path: (sender, receiver, path) == ("b", "a", 1)
    cluster.run(0.1)
    cluster.cut = lambda sender, receiver, path: False
    cluster.run(0.2)

    assert [cluster.detectors[s].beat(2.3).lossy for s in ABC] == [True, False, False]
    assert [cluster.detectors[s].pace(2.3) for s in ABC] == [INTERVAL / 2] * 3
    cluster.run(3)
    assert [cluster.detectors[s].pace(5.3) for s in ABC] == [INTERVAL] * 3


@pytest.mark.slow
@pytest.mark.parametrize("loss", [0.3, 0.4])
def test_lease_survives_heavy_loss_on_both_lans(loss: float) -> None:
    chance = random.Random(7)
    detectors = {s: Detector(s, ABC, ["lan0", "lan1"], INTERVAL, TIMEOUT, True, 0.0) for s in ABC}
    due = {s: chance.random() * INTERVAL for s in ABC}
    waiting: dict[str, list[tuple[Packet, int, float]]] = {s: [] for s in ABC}
    found: list[tuple[float, str, Verdict]] = []
    now = 0.0
    while now < 300:
        now, server = min((min(due[s], detectors[s].next_deadline()), s) for s in ABC)
        for beat, path, at in waiting[server]:
            detectors[server].heard(beat, path, at)
        waiting[server].clear()
        found += [(now, server, v) for v in detectors[server].judge(now) if now > 3]
        if now < due[server]:
            continue
        beat = detectors[server].beat(now)
        due[server] += detectors[server].pace(now)
        for other in ABC:
            for path in range(2):
                if other != server and chance.random() >= loss:
                    waiting[other].append((beat, path, now))

    assert [f for f in found if isinstance(f[2], LeaseLost | PeerLost | DeafPeer)] == []


def test_single_server_always_holds_its_lease() -> None:
    detector = Detector("a", ("a",), ["lan0"], INTERVAL, TIMEOUT, True, 0.0)

    assert detector.judge(0.1) == [LeaseHeld()]
    assert detector.judge(0.2) == []


@pytest.mark.slow
@given(st.integers(0, 2**32), st.sampled_from([3, 4, 5]))
@settings(max_examples=150, deadline=None)
def test_lease_has_ended_before_a_majority_has_lost_its_holder(seed: int, size: int) -> None:
    """Any loss, any delay, pauses of any server, restarts of a child: there is no time at which a server may believe
    in its lease, or has not reached the time of its own reset, and a majority has lost it. Clocks do not drift here."""
    chance = random.Random(seed)
    servers = "abcde"[:size]

    def child(server: str, now: float) -> Detector:
        return Detector(
            server, servers, ["lan0"], INTERVAL, TIMEOUT, True, now, first_seq=int(now * 1000) + 1
        )  # fmt: skip

    detectors = {s: child(s, 0.0) for s in servers}
    lost: dict[str, set[str]] = {s: set() for s in servers}  # server -> who has lost it
    paused = dict.fromkeys(servers, 0.0)
    blocked: set[tuple[str, str]] = set()
    waiting: dict[str, list[tuple[float, int, Packet]]] = {s: [] for s in servers}
    witnessed = 0
    for step in range(1, 400):
        now = step * INTERVAL / 4
        if chance.random() < 0.02:
            blocked = {(x, y) for x in servers for y in servers if x != y and chance.random() < chance.random()}
        for server in servers:
            if now < paused[server]:
                continue
            draw = chance.random()
            if draw < 0.01:
                paused[server] = now + chance.random() * 3 * TIMEOUT
                continue
            if draw < 0.012:
                detectors[server] = child(server, now)
                waiting[server].clear()
                for who in lost.values():
                    who.discard(server)
            # What waits in the socket counts at its own time, also after a pause.
            while waiting[server] and waiting[server][0][0] <= now:
                at, _, beat = heapq.heappop(waiting[server])
                detectors[server].heard(beat, 0, at)
            for verdict in detectors[server].judge(now):
                if isinstance(verdict, PeerLost):
                    lost[verdict.server].add(server)
                elif isinstance(verdict, PeerHeard):
                    lost[verdict.server].discard(server)
            if step % 4 == 0:
                beat = detectors[server].beat(now)
                for other in servers:
                    if other != server and (server, other) not in blocked:
                        arrival = now + chance.expovariate(1 / chance.choice((0.001, 0.05, 0.3)))
                        heapq.heappush(waiting[other], (arrival, step * 8 + ord(other), beat))
        for server in servers:
            if len(lost[server]) > size // 2:
                witnessed += 1
                confirmed = detectors[server]._newest_confirmed(now)
                assert confirmed + FENCE * TIMEOUT < now, (server, now, lost[server])
                assert LEASE < FENCE < 1
    event("a majority lost somebody" if witnessed else "nobody was lost by a majority")
