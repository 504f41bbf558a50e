"""The snapshot of a large cluster: what is alike is said once."""

from __future__ import annotations

import copy
import json
from typing import Any

from webmanager.packing import KINDS, is_large, packed

SERVERS = [f"server{n:02}" for n in range(1, 33)]
AWAY = {"status": "Offline", "detail": ""}


def large_message(groups: int) -> dict[str, Any]:
    def servers(number: int, order: list[str]) -> dict[str, Any]:
        said: dict[str, Any] = dict.fromkeys(order, AWAY)
        return said | {order[number % len(order)]: {"status": "Online", "detail": f"since {number}"}}

    status: dict[str, Any] = {"servers": {name: {"name": name} for name in SERVERS}}
    for kind in KINDS:
        objects = {}
        for n in range(groups):
            home = n % 32
            objects[f"{kind}{n}"] = {"name": f"{kind}{n}", "servers": servers(n, SERVERS[home:] + SERVERS[:home])}
        status[kind] = objects
    status["groups"]["nowhere"] = {"name": "nowhere", "servers": {}}
    status["groups"]["alone"] = {"name": "alone", "servers": {"server01": {"status": "Online", "detail": ""}}}
    return {"type": "snapshot", "rev": 7, "status": status}


def test_small_cluster_is_sent_as_it_is() -> None:
    small = large_message(2)

    assert not is_large(small["status"])
    assert packed(small) is small


def test_large_cluster_takes_a_fraction_and_its_status_stays_as_it_was() -> None:
    large = large_message(100)
    before = copy.deepcopy(large)

    sent = packed(large)

    assert is_large(large["status"])
    assert len(json.dumps(sent)) < len(json.dumps(large)) / 5
    assert large == before
    assert sent["status"]["servers"] == large["status"]["servers"]
    assert len(sent["alike"]["servers"]) == 32  # Each order of servers once.
