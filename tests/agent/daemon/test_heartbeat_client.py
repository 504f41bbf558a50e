"""What the daemon makes of the heartbeat child's words, and when."""

from __future__ import annotations

from typing import Any

from agent.daemon.heartbeat_client import HeartbeatClient
from agent.engine import events
from agent.wire.epoch import Epoch
from tests.agent.daemon.verdicts import client as client
from tests.agent.daemon.verdicts import says
from tests.agent.daemon.verdicts import told as told
from tests.agent.waiting import until_true


def path(heartbeat: str, *, ok: bool) -> dict[str, Any]:
    return {"server": "server2", "heartbeat": heartbeat, "ok": ok, "worst_gap_ms": 0.0}


async def test_loss_of_a_server_goes_before_that_of_its_paths(client: HeartbeatClient, told: list[events.Event]):
    says(client, "PathChanged", **path("lanhb1", ok=False))
    says(client, "PathChanged", **path("lanhb2", ok=False))
    says(client, "PeerLost", server="server2", silence_s=0.5, promised=[["server3", [4, 1]]])
    lost = events.PeerLost(server="server2", silence_s=0.5, promised={"server3": Epoch(4, 1)})
    assert told == [lost]

    await until_true(lambda: len(told) == 3)
    assert told[1:] == [events.PathChanged(**path(name, ok=False)) for name in ("lanhb1", "lanhb2")]


async def test_good_news_of_a_path_waits_for_nothing_and_comes_last(client: HeartbeatClient, told: list[events.Event]):
    says(client, "PathChanged", **path("lanhb1", ok=False))
    says(client, "PathChanged", **path("lanhb1", ok=True))

    assert told == [events.PathChanged(**path("lanhb1", ok=ok)) for ok in (False, True)]


def test_a_peer_with_another_configuration_is_news(client: HeartbeatClient, told: list[events.Event]):
    for config in ("", "a" * 16, "b" * 16):
        says(client, "PeerHeard", server="server2", incarnation=1, epoch=[1, 0], service="online", config=config)

    assert [event.config for event in told if isinstance(event, events.PeerHeard)] == ["", "a" * 16, "b" * 16]
