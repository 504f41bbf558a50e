"""The failure detector by tables and by a small world of its own: who is lost, who is deaf, who holds the lease."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable

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
    PathChanged,
    PeerHeard,
    PeerLost,
    PeerSuspected,
    SelfFence,
    Stalled,
    Verdict,
)
from agent.wire.epoch import NO_EPOCH, Epoch
from agent.wire.heartbeat import Packet

INTERVAL, TIMEOUT = 0.1, 0.5
ABC = ("a", "b", "c")
Route = tuple[str, str, int]  # sender, receiver, path


class Cluster:
    """Detectors that hear each other without delay, where `cut` does not forbid it."""

    def __init__(self, servers: tuple[str, ...] = ABC, paths: int = 2, *, majority: bool = False) -> None:
        self.servers = servers
        self.paths = paths
        self.now = 0.0
        self.step = 0
        self.cut: Callable[[str, str, int], bool] = lambda sender, receiver, path: False
        self.silent: set[str] = set()  # crashed or paused
        self.log: list[tuple[float, str, Verdict]] = []
        names = [f"lan{n}" for n in range(paths)]
        self.detectors = {s: Detector(s, servers, names, INTERVAL, TIMEOUT, majority, 0.0) for s in servers}

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / INTERVAL)):
            self.step += 1
            self.now = self.step / 10  # An exact decimal: no error adds up.
            beats = [(s, self.detectors[s].beat(self.now)) for s in self.servers if s not in self.silent]
            for sender, beat in beats:
                for receiver in self.servers:
                    if receiver != sender and receiver not in self.silent:
                        for path in range(self.paths):
                            if not self.cut(sender, receiver, path):
                                self.detectors[receiver].heard(beat, path, self.now)
            for server in self.servers:
                if server not in self.silent:
                    for verdict in self.detectors[server].judge(self.now):
                        self.log.append((self.now, server, verdict))

    def of(self, server: str, *kinds: type) -> list[tuple[float, Verdict]]:
        return [(at, verdict) for at, who, verdict in self.log if who == server and isinstance(verdict, kinds)]


def running(**options: bool) -> Cluster:
    cluster = Cluster(**options)
    cluster.run(2)
    cluster.log.clear()
    return cluster


def test_start_tells_each_peer_and_path_once() -> None:
    cluster = Cluster()
    cluster.run(2)

    assert cluster.of("a", PeerHeard) == [(0.1, PeerHeard(s, 1, NO_EPOCH, "stopped")) for s in "bc"]
    assert [v for _, v in cluster.of("a", PathChanged)] == [
        PathChanged(server, path, True, 0.0) for server in "bc" for path in ("lan0", "lan1")
    ]
    assert len(cluster.of("a", object)) == 6


def test_peer_never_heard_is_lost_only_a_timeout_after_our_start() -> None:
    cluster = Cluster()
    cluster.silent = {"c"}
    cluster.run(2)

    assert cluster.of("a", PeerLost) == [(0.5, PeerLost("c", 0.5))]


def test_crash_is_detected_after_the_timeout_by_all() -> None:
    cluster = running()
    cluster.silent = {"c"}
    cluster.run(1)

    for server in "ab":
        assert cluster.of(server, PeerLost) == [(2.5, PeerLost("c", 0.5))]
        assert [v[:3] for _, v in cluster.of(server, PathChanged)] == [("c", "lan0", False), ("c", "lan1", False)]


def test_crash_of_two_at_once_is_detected_although_each_had_heard_the_other() -> None:
    cluster = running()
    cluster.silent = {"b", "c"}
    cluster.run(1)

    assert [(at, v.server) for at, v in cluster.of("a", PeerLost)] == [(2.5, "b"), (2.5, "c")]


def test_next_deadline_is_when_the_silence_is_full() -> None:
    detector = Detector("a", ("a", "b"), ["lan0"], 1.0, 5.0, False, 0.0)
    peer = Detector("b", ("a", "b"), ["lan0"], 1.0, 5.0, False, 0.0)
    detector.heard(peer.beat(0.3), 0, 0.31)
    detector.judge(0.31)
    at = 0.31
    while not (verdicts := [v for v in detector.judge(at) if isinstance(v, PeerLost)]):
        at = detector.next_deadline()

    assert at == pytest.approx(5.31)
    assert verdicts[0].silence_s == pytest.approx(5.0)


def test_loss_of_one_path_is_no_loss_of_the_peer() -> None:
    cluster = running()
    cluster.cut = lambda sender, receiver, path: path == 0
    cluster.run(1)
    cluster.cut = lambda sender, receiver, path: False
    cluster.run(1)

    assert cluster.of("a", PeerLost, PeerHeard, DeafPeer) == []
    assert [v[:3] for _, v in cluster.of("a", PathChanged)] == [
        ("b", "lan0", False), ("c", "lan0", False), ("b", "lan0", True), ("c", "lan0", True),
    ]  # fmt: skip


def test_worst_gap_of_a_path_is_kept_while_it_is_up() -> None:
    cluster = running()
    cluster.cut = lambda sender, receiver, path: (sender, path) == ("b", 1)
    cluster.run(0.3)
    cluster.cut = lambda sender, receiver, path: False
    cluster.run(1)

    assert cluster.of("a", PathChanged) == []
    paths = [v for v in cluster.detectors["a"].state(4.0) if isinstance(v, PathChanged) and v.server == "b"]
    assert {path.heartbeat: path.worst_gap_ms for path in paths} == {"lan0": 100.0, "lan1": 400.0}


def test_path_that_is_not_configured_is_never_complained_about() -> None:
    names = ["lan0", "lan1"]
    detector = Detector("a", ABC, names, INTERVAL, TIMEOUT, False, 0.0, absent=[("b", "lan1")])
    for step in range(1, 20):
        detector.judge(step / 10)

    lost = {v[:2] for v in detector.state(2.0) if isinstance(v, PathChanged)}
    assert lost == {("b", "lan0"), ("c", "lan0"), ("c", "lan1")}


def test_one_deaf_server_evicts_nobody_and_is_told_of() -> None:
    cluster = running()
    cluster.cut = lambda sender, receiver, path: receiver == "a"  # a hears nothing, but all hear a
    cluster.run(3)

    # a hears nobody, so nobody can bear witness: it loses both. The others keep each other and a.
    assert [v.server for _, v in cluster.of("a", PeerLost)] == ["b", "c"]
    for server in "bc":
        assert cluster.of(server, PeerLost) == []
        assert cluster.of(server, DeafPeer) == [(2.5, DeafPeer("a", 0.5))]


def test_peer_that_another_hears_is_not_lost() -> None:
    cluster = running()
    cluster.cut = lambda sender, receiver, path: (sender, receiver) == ("c", "a")  # one direction of one pair
    cluster.run(3)

    assert cluster.of("a", PeerLost) == []
    assert [v.server for _, v in cluster.of("c", DeafPeer)] == ["a"]
    cluster.silent = {"c"}
    cluster.run(1)

    # b heard c at 5.0 for the last time, and a learned so at 5.1 at the latest.
    assert cluster.of("a", PeerLost) == [(5.5, PeerLost("c", pytest.approx(3.5)))]


def test_deafness_is_told_again_after_it_ended() -> None:
    cluster = running()
    for _ in range(2):
        cluster.cut = lambda sender, receiver, path: (sender, receiver) == ("a", "b")
        cluster.run(1)
        cluster.cut = lambda sender, receiver, path: False
        cluster.run(1)

    assert [v.server for _, v in cluster.of("a", DeafPeer)] == ["b", "b"]


def test_peer_that_starts_late_is_not_called_deaf() -> None:
    cluster = Cluster()
    cluster.silent = {"c"}
    cluster.run(5)
    late = Detector("c", ABC, ["lan0", "lan1"], INTERVAL, TIMEOUT, False, 5.0)
    cluster.detectors["c"] = late
    cluster.silent = set()
    cluster.run(2)

    assert [v for _, _, v in cluster.log if isinstance(v, DeafPeer)] == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"epoch": Epoch(2, 0)}, PeerHeard("b", 1, Epoch(2, 0), "stopped")),
        ({"service": "released"}, PeerHeard("b", 1, NO_EPOCH, "released")),
        ({"incarnation": 2, "seq": 1}, PeerHeard("b", 2, NO_EPOCH, "stopped")),
        ({}, None),
        ({"daemon_age_ms": 60000}, None),
    ],
)
def test_peer_is_heard_again_when_it_says_something_new(change: dict[str, object], expected: Verdict | None) -> None:
    cluster = running()
    a, b = cluster.detectors["a"], cluster.detectors["b"]
    beat = b.beat(2.05)._replace(**change)

    urgent = a.heard(beat, 0, 2.05)

    assert urgent == (expected is not None)
    assert a.judge(2.05) == ([expected] if expected else [])


def test_return_after_a_loss_is_heard() -> None:
    cluster = running()
    cluster.silent = {"c"}
    cluster.run(1)
    cluster.silent = set()
    cluster.run(0.2)

    assert cluster.of("a", PeerHeard) == [(3.1, PeerHeard("c", 1, NO_EPOCH, "stopped"))]


def test_replayed_and_stolen_beats_prove_nothing() -> None:
    cluster = running()
    a, b = cluster.detectors["a"], cluster.detectors["b"]
    recorded = [b.beat(2.01), b.beat(2.02)]
    for beat in recorded:
        a.heard(beat, 0, 2.02)
    old = recorded[0]._replace(incarnation=0, seq=10**9)

    lost = []
    for at in (2.1, 2.2, 2.3, 2.4, 2.5, 2.6):
        for beat in (*recorded, old):
            assert not a.heard(beat, 0, at)
        if at == 2.4:  # The second path may bring a recorded beat once; it does not make the peer younger.
            a.heard(recorded[1], 1, at)
        lost += [(at, v.server) for v in a.judge(at) if isinstance(v, PeerLost)]
    assert not a.heard(a.beat(2.6), 0, 2.6)  # our own name

    assert lost == [(2.5, "c"), (2.6, "b")]
    assert a.refused == {"repeated": 12, "old incarnation": 6, "own name": 1}


def test_late_judge_lengthens_the_timeout_by_the_delay() -> None:
    cluster = running()
    a = cluster.detectors["a"]
    a.judge(2.4)  # 0.3 late: what we did not hear may be our fault

    assert a.judge(2.5) == []
    assert a.judge(2.6) == []
    assert [type(v) for v in a.judge(2.7)] == [PeerSuspected, PeerSuspected]
    assert [v.server for v in a.judge(2.8) if isinstance(v, PeerLost)] == ["b", "c"]


def test_delay_is_forgotten_after_one_timeout() -> None:
    cluster = running()
    a, b = cluster.detectors["a"], cluster.detectors["b"]
    a.judge(2.3)
    for step in range(24, 32):
        a.heard(b.beat(step / 10), 0, step / 10)
        a.judge(step / 10)
    lost_at = next(
        step / 10 for step in range(32, 45) if PeerLost in [type(v) for v in a.judge(step / 10) if v[0] == "b"]
    )

    assert lost_at == 3.6


def test_long_stall_forgets_everything_heard_before() -> None:
    cluster = running()
    cluster.silent = {"a"}
    cluster.run(3)
    cluster.silent = set()
    cluster.log.clear()
    cluster.cut = lambda sender, receiver, path: True
    cluster.run(1)

    assert cluster.of("a", Stalled) == [(5.1, Stalled(pytest.approx(3.1)))]
    assert [at for at, _ in cluster.of("a", PeerLost)] == [5.6, 5.6]


def test_packets_queued_during_a_stall_count_at_their_true_time() -> None:
    cluster = running()
    a, b, c = (cluster.detectors[s] for s in ABC)
    for step in range(21, 24):  # c beats until 2.3, b until 2.8; a runs again at 2.85
        a.heard(c.beat(step / 10), 0, step / 10)
    for step in range(21, 29):
        a.heard(b.beat(step / 10), 0, step / 10)
    assert [type(v) for v in a.judge(2.85)] == [Stalled]
    rows = a.beat(2.85).rows
    lost = [v.server for at in (2.95, 3.05, 3.15, 3.25, 3.3) for v in a.judge(at) if isinstance(v, PeerLost)]

    # The stall was longer than the timeout: all begin anew at 2.85. What we tell the others is the truth.
    assert (rows[1][1], rows[2][1]) == (pytest.approx(50, abs=1), pytest.approx(550, abs=1))
    assert lost == []
    assert [v.server for v in a.judge(3.36) if isinstance(v, PeerLost)] == ["b", "c"]


def test_stall_that_the_caller_knows_of_counts() -> None:
    cluster = running()
    a = cluster.detectors["a"]
    a.stalled(2.0)

    assert [type(v) for v in a.judge(2.05)] == [Stalled]


def test_state_tells_a_new_daemon_everything() -> None:
    cluster = running(majority=True)
    cluster.silent = {"c"}
    cluster.run(1)

    assert cluster.detectors["a"].state(3.0) == [
        PathChanged("b", "lan0", True, 100.0),
        PathChanged("b", "lan1", True, 100.0),
        PeerHeard("b", 1, NO_EPOCH, "stopped"),
        PathChanged("c", "lan0", False, 500.0),
        PathChanged("c", "lan1", False, 500.0),
        PeerLost("c", 1.0),
        LeaseHeld(),
    ]


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
