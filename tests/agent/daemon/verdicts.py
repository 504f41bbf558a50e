"""A heartbeat client without a child: the tests say what the child would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.daemon.heartbeat_client import HeartbeatClient
from agent.engine import events


@pytest.fixture
def told() -> list[events.Event]:
    return []


@pytest.fixture
def client(tmp_path: Path, told: list[events.Event]) -> HeartbeatClient:
    return HeartbeatClient(
        str(tmp_path / "heartbeat.sock"), event=told.append, neighbour=lambda _: None, note=lambda *_: None
    )


def says(client: HeartbeatClient, name: str, **fields: Any) -> None:
    client._take({"type": "verdicts", "items": [[name, fields]]})
