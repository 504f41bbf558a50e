"""The failure detector by tables and by a small world of its own: who is lost, who is deaf, who holds the lease."""

from __future__ import annotations

import pytest

from agent.engine.detector import (
    DeafPeer,
    Detector,
    LeaseHeld,
    PathChanged,
    PeerHeard,
    PeerLost,
    PeerSuspected,
    Stalled,
    Verdict,
)
from agent.wire.epoch import NO_EPOCH, Epoch
from tests.agent.engine.listening import ABC, INTERVAL, TIMEOUT, Cluster, running


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


def test_nobody_is_deaf_to_a_server_that_has_not_spoken_yet() -> None:
    """While its daemon starts, the heartbeat child only listens."""
    cluster = Cluster()
    cluster.cut = lambda sender, receiver, path: sender == "a"
    cluster.detectors["a"] = Detector("a", ABC, ["lan0", "lan1"], INTERVAL, TIMEOUT, False, 0.0, speaks=False)
    cluster.run(2)
    cluster.detectors["a"].begins(cluster.now)
    cluster.cut = lambda sender, receiver, path: False
    cluster.run(2)
    assert cluster.of("a", DeafPeer) == []


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
        ({"config": bytes.fromhex("00ff" * 4)}, PeerHeard("b", 1, NO_EPOCH, "stopped", "00ff" * 4)),
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
    assert (rows[1][1], rows[2][1]) == (pytest.approx(500, abs=10), pytest.approx(5500, abs=10))
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


def test_loss_names_what_the_others_had_promised_when_they_last_heard_the_lost_one() -> None:
    cluster = running()
    cluster.silent = {"c"}
    cluster.run(0.45)
    cluster.detectors["b"].say(Epoch(1, 0), "online", ["a", "b"], promised=Epoch(2, 0))
    cluster.run(0.2)

    [(_, lost)] = cluster.of("a", PeerLost)
    assert lost.promised == (("b", Epoch(2, 0)),)
    assert [v.promised for _, v in cluster.of("b", PeerLost)] == [()]  # a has said nothing of the kind


@pytest.mark.parametrize(("since", "named"), [(1.2, ()), (0.9, (("b", Epoch(2, 0)),))])
def test_who_began_to_listen_later_is_not_named(since: float, named: object) -> None:
    """What the peer heard and confirmed in an earlier life it does not know."""
    a, b, c = (Detector(s, ABC, ["lan0"], INTERVAL, TIMEOUT, True, start)
               for s, start in (("a", 0.0), ("b", since), ("c", 0.0)))  # fmt: skip
    b.say(Epoch(1, 0), "online", ["a", "b"], promised=Epoch(2, 0))
    lost = []
    for step in range(1, 17):
        at = step / 10
        if step <= 10:
            a.heard(c.beat(at), 0, at)
        elif step == 14:
            a.heard(b.beat(at), 0, at)
        lost += [v for v in a.judge(at) if isinstance(v, PeerLost) and v.server == "c"]

    assert lost == [PeerLost("c", pytest.approx(0.5), named)]
