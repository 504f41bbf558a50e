"""A preview says what would happen, from the state that is shown, and touches nothing."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from agent.sim.preview import preview
from agent.sim.standard import standard

CLUSTER = standard(3, safe=True)


def status(current: dict[str, str], off: tuple[str, ...] = (), suspended: bool = False) -> dict[str, Any]:
    return {
        "cluster": {"suspended": suspended},
        "servers": {s: {"status": "Offline" if s in off else "Online"} for s in CLUSTER.server_names},
        "groups": {g.name: {"current": current.get(g.name, "")} for g in CLUSTER.groups},
    }


HOME = status({"failover1": "server1", "failover2": "server2"})


def texts(found: dict[str, Any]) -> list[str]:
    return [step["text"] for step in found["steps"]]


def test_move_shows_its_steps_and_its_downtime() -> None:
    found = preview(CLUSTER, HOME, "group_move", "failover1", "server3")

    assert (found["refusal"], found["done"]) == (None, True)
    assert texts(found) == [
        "Group failover1 is being moved from server1 to server3.",
        "Group failover1 is stopping on server1.",
        "Group failover1 is offline on server1.",
        "Group failover1 is starting on server3.",
        "Group failover1 is online on server3.",
    ]
    assert set(found["downtime_s"]) == {"failover1"}
    assert 0.1 < found["downtime_s"]["failover1"] < 1.0


def test_preview_begins_where_the_group_is_now() -> None:
    shown = status({"failover1": "server3", "failover2": "server2"})

    found = preview(CLUSTER, shown, "group_move", "failover1", "")

    assert "Group failover1 is stopping on server3." in texts(found)
    assert "Group failover1 is online on server1." in texts(found)


def test_stop_has_no_end_of_its_downtime() -> None:
    assert preview(CLUSTER, HOME, "group_stop", "failover1", "")["downtime_s"] == {"failover1": None}


def test_leaving_server_hands_its_group_over() -> None:
    found = preview(CLUSTER, HOME, "server_stop", "server1", "")

    assert "Group failover1 is online on server2." in texts(found)
    assert list(found["downtime_s"]) == ["failover1"]


def test_stop_of_the_cluster_takes_all_down() -> None:
    assert preview(CLUSTER, HOME, "cluster_stop", "", "")["downtime_s"] == {"failover1": None, "failover2": None}


@pytest.mark.parametrize(
    ("shown", "op", "target", "server", "reason"),
    [
        (HOME, "group_fly", "failover1", "", "unknown_operation"),
        (HOME, "group_move", "nothing", "", "unknown_group"),
        (status({"failover1": "server1"}), "group_move", "failover2", "", "not_active"),
        (status({"failover1": "server1"}, off=("server3",)), "group_move", "failover1", "server3", "not_available"),
        (status({}, off=("server1", "server2", "server3")), "group_start", "failover1", "", "no_server"),
        (status({"failover1": "server1"}, suspended=True), "group_move", "failover1", "", "suspended"),
    ],
)
def test_refusal_is_that_of_the_engine(shown: dict[str, Any], op: str, target: str, server: str, reason: str) -> None:
    found = preview(CLUSTER, shown, op, target, server)

    assert found["refusal"]["reason"] == reason
    assert (found["steps"], found["downtime_s"], found["done"]) == ([], {}, False)


def test_slow_heartbeats_of_the_configuration_do_not_slow_the_preview() -> None:
    slow = replace(CLUSTER, interval_s=3.0, timeout_s=90.0)

    found = preview(slow, HOME, "group_move", "failover1", "server3")

    assert found["downtime_s"]["failover1"] < 1.0
