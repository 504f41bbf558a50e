"""Detectors that hear each other in a small world of their own."""

from __future__ import annotations

from collections.abc import Callable

from agent.engine.detector import (
    Detector,
    Verdict,
)

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
