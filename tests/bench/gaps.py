"""gaps: how long three heartbeat children hear nothing of each other, and how late they run, under load."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from agent.engine.gaps import Figures
from tests.agent.daemon.heartbeat_lans import Speaker, three_children, until
from tests.bench.goals import Goal, Outcome

HOG = Path(__file__).with_name("hog.py")
SECONDS = 30.0
NEAR = 0.7  # of the timeout: from there on the agent warns
Say = Callable[[str], None]


class Pace(NamedTuple):
    interval_s: float
    timeout_s: float

    def __str__(self) -> str:
        return f"{self.interval_s * 1000:.0f}/{self.timeout_s * 1000:.0f} ms"


class Found(NamedTuple):
    """The worst of all servers."""

    silence: Figures
    late: Figures
    lease: Figures
    lost: int


PACES = (Pace(0.1, 0.5), Pace(0.02, 0.1))
HEAD = (
    "interval/timeout", "load", "beats", "p50 ms", "p99", "p99.9", "worst", "late p99", "late worst", "lease worst",
    "lost",
)  # fmt: skip
LOADS: dict[str, tuple[int, Sequence[str]]] = {
    "none": (0, ()),
    "64 busy processes": (64, ()),
    "8 SCHED_FIFO hogs": (8, ("1",)),
}


def run(say: Say, *, quick: bool) -> Outcome:
    seconds = 12.0 if quick else SECONDS
    out = Outcome(
        f"gaps: silences over all paths in {seconds:.0f} s, the worst of three servers, and how late their heartbeat "
        "processes ran",
        HEAD,
    )
    for pace in PACES:
        for name, (count, words) in LOADS.items():
            say(f"{pace}, {name} ...")
            found = _measure(pace, seconds, count, words)
            silence, late = found.silence, found.late
            figures = (silence.p50_ms, silence.p99_ms, silence.p999_ms, silence.worst_ms, late.p99_ms, late.worst_ms,
                       found.lease.worst_ms)  # fmt: skip
            out.rows.append(
                [str(pace), name, str(silence.beats), *(f"{value:.1f}" for value in figures), str(found.lost)]
            )
            say(" ".join(out.rows[-1]))
            out.goals += [
                Goal(f"{pace}, {name}: worst silence", silence.worst_ms, pace.timeout_s * 1000, "timeout", NEAR, "ms"),
                Goal(f"{pace}, {name}: peers lost", found.lost, 0, "goal"),
            ]
    return out


def _measure(pace: Pace, seconds: float, count: int, words: Sequence[str]) -> Found:
    settings = {"interval_s": pace.interval_s, "timeout_s": pace.timeout_s}
    with tempfile.TemporaryDirectory() as run, three_children(Path(run), **settings) as (_, _, daemons):
        before = len(_lost(daemons))
        with _hogs(count, seconds, words):
            until_s = time.monotonic() + seconds
            while time.monotonic() < until_s:
                for daemon in daemons:
                    daemon.say(op="alive")
                    daemon.read(0.1)
        return _worst(daemons, before)


@contextmanager
def _hogs(count: int, seconds: float, words: Sequence[str]) -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(count):
            hog = subprocess.Popen([sys.executable, "-I", "-S", str(HOG), str(seconds + 1), *words])
            stack.callback(hog.wait)
            stack.callback(hog.send_signal, signal.SIGKILL)
        yield


def _worst(daemons: Sequence[Speaker], lost_before: int) -> Found:
    """Of the newest figures of each child; those of the load's last seconds are waited for."""
    known = [len(daemon.of("gaps")) for daemon in daemons]

    def told(daemon: Speaker, first: int) -> bool:
        servers = {message["server"] for message in daemon.of("gaps")[first:]}
        return len(servers) == 2 and len(daemon.of("health")) > 0

    for daemon, first in zip(daemons, known, strict=True):
        until(lambda d=daemon, n=first: told(d, n), 25)
    silences = [Figures(*message["all"]) for daemon in daemons for message in daemon.of("gaps")[-2:]]
    healths = [daemon.of("health")[-1] for daemon in daemons]
    return Found(
        max(silences, key=lambda one: one.cut_ms or one.worst_ms),
        max((Figures(*health["late"]) for health in healths), key=lambda one: one.worst_ms),
        max((Figures(*health["lease"]) for health in healths), key=lambda one: one.worst_ms),
        len(_lost(daemons)) - lost_before,
    )


def _lost(daemons: Sequence[Speaker]) -> list[str]:
    return [fields["server"] for daemon in daemons for _, _, fields in daemon.verdicts("PeerLost")]
