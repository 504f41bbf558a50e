"""What the heartbeat child tells of its measurements: a few peers each second, so that it is never late by telling."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from agent.engine.gaps import Meter

_ROUND = 10  # seconds, in which each peer has its turn


class Teller:
    def __init__(self, meter: Meter, daemon_ages_ms: Callable[[], dict[str, int]]) -> None:
        self._meter = meter
        self._daemon_ages_ms = daemon_ages_ms
        self._second = -1

    def messages(self, now: float) -> Iterator[dict[str, Any]]:
        """Called once a second."""
        self._second = (self._second + 1) % _ROUND
        meter = self._meter
        if self._second == 0:
            meter.turn(now)
            yield {"type": "health", "late": meter.late.told(), "lease": meter.lease.told(),
                   "daemon": meter.daemon.told(), "daemon_ages_ms": self._daemon_ages_ms()}  # fmt: skip
        for server in list(meter.peers)[self._second :: _ROUND]:
            paths = {name: gaps.told() for name, gaps in meter.paths[server].items()}
            yield {"type": "gaps", "server": server, "all": meter.peers[server].told(), "paths": paths}
