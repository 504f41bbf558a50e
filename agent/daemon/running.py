"""The configuration that this incarnation of the agent runs, kept beside the state.

clp.conf may be edited at any time; a restarted daemon and the emergency stopper go by what was running.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from agent.clpconf.model import Cluster
from agent.drivers.files import read_limited, write_atomic

RUNNING = "running.json"
_LIMIT_BYTES = 256 << 20


class Running(msgspec.Struct, frozen=True, kw_only=True):
    incarnation: int
    config: bytes  # clp.conf as it was read
    cluster: Cluster
    findings: tuple[str, ...] = ()  # that did not hinder


def read_running(path: Path) -> Running | None:
    """None when there is none, or none that this version can read."""
    try:
        data = read_limited(path, _LIMIT_BYTES)
        return None if data is None else msgspec.json.decode(data, type=Running)
    except (OSError, ValueError):
        return None


def write_running(path: Path, running: Running) -> None:
    write_atomic(path, msgspec.json.encode(running), durable=False)
