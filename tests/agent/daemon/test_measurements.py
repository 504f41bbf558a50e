"""What the heartbeat child measures reaches the engine: seldom, or at once when it is alarming."""

from __future__ import annotations

import json
from typing import Any

from agent.daemon.heartbeat_figures import Teller
from agent.daemon.heartbeat_lan import steady
from agent.daemon.measurements import Measurements
from agent.engine.events import Measured
from agent.engine.gaps import Meter

TIMEOUT_S = 0.5


class Bench:
    """A child's meter and the daemon behind it, without the socket between them."""

    def __init__(self, *peers: str) -> None:
        self.offset = 1_700_000_000.0 - steady()
        self.time = steady()
        self.meter = Meter(self.time, TIMEOUT_S, {peer: ["lanhb1", "lanhb2"] for peer in peers})
        self.teller = Teller(self.meter, lambda: {"server2": 7})
        self.events: list[Measured] = []
        self.measurements = Measurements(1 + len(peers), TIMEOUT_S, self.events.append, lambda: self.time + self.offset)

    def second(self, gap_s: float = 0.1, peer: str = "server2") -> list[dict[str, Any]]:
        self.time += 1.0
        for step in range(10):
            for gaps in (self.meter.peers[peer], *self.meter.paths[peer].values(), self.meter.late):
                gaps.add(gap_s, self.time + step / 10)
        told = [json.loads(json.dumps(message)) for message in self.teller.messages(self.time)]
        for message in told:
            self.measurements.take(message)
        return told


def test_every_peer_has_its_turn_within_ten_seconds() -> None:
    bench = Bench(*(f"server{n}" for n in range(2, 33)))
    told = [bench.second() for _ in range(10)]

    assert sorted(m["server"] for second in told for m in second if m["type"] == "gaps") == sorted(bench.meter.peers)
    assert max(len(second) for second in told) <= 5
    assert [m["daemon_ages_ms"] for second in told for m in second if m["type"] == "health"] == [{"server2": 7}]


def test_engine_is_told_when_enough_was_measured_and_then_seldom() -> None:
    bench = Bench("server2")
    times = []
    for second in range(100):
        known = len(bench.events)
        bench.second(0.1 + second / 1000)
        times += [second] * (len(bench.events) - known)

    assert times == [10, 40, 70]
    last = bench.events[-1]
    assert last.peers["server2"].worst_ms == last.paths["server2"]["lanhb1"].worst_ms == 160.0
    assert last.health.late is not None
    assert last.health.lease is None
    assert abs(last.peers["server2"].since - 1_700_000_000) < 2
    assert abs(last.peers["server2"].worst_at - (1_700_000_000 + 61)) < 3


def test_alarming_silence_is_told_at_once_and_once() -> None:
    bench = Bench("server2")
    for _ in range(15):
        bench.second()
    assert len(bench.events) == 1
    bench.second(0.4)
    for _ in range(12):
        bench.second()

    assert [event.peers["server2"].worst_ms for event in bench.events] == [100.0, 400.0]


def test_nothing_new_is_not_told() -> None:
    bench = Bench("server2")
    for _ in range(200):
        bench.second()

    assert len(bench.events) == 1


def test_longest_gap_of_the_newest_while_is_told_when_it_differs() -> None:
    bench = Bench("server2")
    for second in range(115):
        bench.second(0.3 if second == 45 else 0.1 + (second % 2) / 500)

    told = [(event.peers["server2"].lately_ms, event.paths["server2"]["lanhb1"].lately_ms) for event in bench.events]
    assert told == [(102.0, 102.0), (300.0, 300.0), (102.0, 102.0)]
    assert bench.events[-1].health.late is not None
    assert bench.events[-1].health.late.lately_ms == 0.0
