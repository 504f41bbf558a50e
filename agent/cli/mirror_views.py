"""Where the commands learn how a mirror disk is: of the agent, and while that does not run of the mirror processes."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.cli import client, options
from agent.wire.mirror import MirrorState, color_of, facts, source_of, status_of

Json = Mapping[str, Any]
_LIMIT_S = 3.0
_MESSAGE_BYTES = 256 << 10
_MOST = 200  # messages of a process that are looked through for its state


def mirrors() -> tuple[dict[str, Json], bool]:
    """By name; and whether the agent says so (else only this server's side is known)."""
    try:
        return dict(client.status().status.get("mirrors", {})), True
    except client.NotRunningError:
        found = {path.stem.removeprefix("mirror-"): path for path in sorted(_run().glob("mirror-*.sock"))}
        if not found:
            raise
        return {name: _own(name, path) for name, path in found.items()}, False


def one(name: str) -> tuple[Json, bool]:
    found, whole = mirrors()
    if name not in found:
        known = options.names(list(found))
        raise client.CommandError(client.REFUSED, f"There is no mirror disk {name}. Known: {known}.")
    return found[name], whole


def _run() -> Path:
    return Path(os.environ.get("OPENCLP_RUN") or "/run/openclp")


def _own(name: str, path: Path) -> Json:
    """As status["mirrors"] has it, of what one process says."""
    me = client.own_name()
    state = _heard(path)
    sides: dict[str, Json | None] = {me: state}
    if state is not None and state["peer"]:
        sides[state["peer"]] = None
    return {
        "name": name, "comment": "", "group": "", "device": "", "status": status_of(sides), "source": source_of(sides),
        "colors": {server: color_of(sides, server) for server in sides},
        "facts": [list(fact) for fact in facts(name, sides)], "servers": sides,
    }  # fmt: skip


def _heard(path: Path) -> dict[str, Any] | None:
    """The first state that the process says; None: it says none in time."""
    import msgspec

    end = time.monotonic() + _LIMIT_S
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as channel:
        channel.settimeout(_LIMIT_S)
        try:
            channel.connect(str(path))
            for _ in range(_MOST):
                channel.settimeout(max(0.01, end - time.monotonic()))
                data = channel.recv(_MESSAGE_BYTES)
                if not data:
                    return None
                message = json.loads(data)
                if isinstance(message, dict) and message.get("type") == "state":
                    return msgspec.structs.asdict(msgspec.convert(message, MirrorState, strict=False))
        except (OSError, ValueError):
            pass  # A process that is gone, or about to be: its side is not known.
    return None
