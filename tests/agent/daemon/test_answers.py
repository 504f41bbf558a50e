"""How long the checks take reaches the engine: soon at first, seldom then, at once when it is alarming."""

from __future__ import annotations

from agent.clpconf.model import Monitor
from agent.daemon.answers import AnswerTimes
from agent.engine.events import Responded


class Bench:
    def __init__(self, monitors: int = 2, servers: int = 2) -> None:
        self.time = 1_700_000_000.0
        self.events: list[tuple[float, Responded]] = []
        all_ = [Monitor(name=f"genw{n}", type="genw", interval_s=1, timeout_s=2.0) for n in range(1, monitors + 1)]
        self.times = AnswerTimes(servers, all_, lambda e: self.events.append((self.time - 1_700_000_000, e)), self.now)

    def now(self) -> float:
        return self.time

    def second(self, seconds: float = 0.1, name: str = "genw1", ok: bool = True) -> None:
        self.time += 1.0
        self.times.take(name, seconds, ok=ok, timed_out=not ok and seconds >= 2.0)


def test_figures_are_told_soon_and_then_seldom() -> None:
    bench = Bench()
    for second in range(100):
        bench.second(0.1 + second / 200)

    assert [at for at, _ in bench.events] == [5, 35, 65, 95]
    assert list(bench.events[-1][1].responses) == ["genw1"]
    assert bench.events[-1][1].responses["genw1"].count == 95


def test_many_monitors_are_told_more_seldom() -> None:
    bench = Bench(monitors=200)
    for second in range(220):
        bench.second(0.1 + second / 200)

    assert [at for at, _ in bench.events] == [5, 105, 205]


def test_alarming_answers_are_told_at_once_but_not_each_time() -> None:
    bench = Bench()
    for _ in range(10):
        bench.second()
    bench.second(1.5)
    for _ in range(3):
        bench.second(2.0, ok=False)

    assert [at for at, _ in bench.events] == [5, 11]
    bench.second()
    bench.second(2.0, ok=False)
    assert bench.events[-1][0] == 16
    assert bench.events[-1][1].responses["genw1"].timeouts == 4


def test_what_stays_the_same_is_not_told_again() -> None:
    bench = Bench()
    for _ in range(8):
        bench.second(0.1)
    for _ in range(300):
        bench.second(2.0, name="unknown", ok=False)

    assert len(bench.events) == 1
