"""The transition tables: every pair that the code uses exists, nothing else does, and every state can be left."""

from __future__ import annotations

import pytest

from agent.engine.states import (
    GROUP,
    OFFLINE,
    ONLINE,
    RESOURCE,
    START_FAILED,
    STARTING,
    STOP_FAILED,
    STOPPING,
    moved,
)

STATES = {OFFLINE, STARTING, ONLINE, STOPPING, START_FAILED, STOP_FAILED}

# (state, cause) as agent/engine/groups.py brings them about, function by function.
USED_BY_RESOURCES = {
    (OFFLINE, "activate"),  # _advance_resource
    *((state, "deactivate") for state in (STARTING, ONLINE, START_FAILED, STOP_FAILED)),
    (STARTING, "done"), (STARTING, "failed"),  # _activated
    (STOPPING, "done"), (STOPPING, "failed"),  # _deactivated
    (START_FAILED, "ignore"), (STOP_FAILED, "ignore"),  # final action 0
}  # fmt: skip
USED_BY_GROUPS = {
    (OFFLINE, "start"),
    (START_FAILED, "restart"), (ONLINE, "restart"),  # restart, _retry_start, _readvance
    *((state, "stop") for state in (STARTING, ONLINE, START_FAILED, STOP_FAILED)),
    (STARTING, "resource_failed"), (STARTING, "stop_failed"), (STOPPING, "stop_failed"),
    (START_FAILED, "continue"), (STOP_FAILED, "continue"),
    (STARTING, "all_online"), (STOPPING, "all_offline"),
}  # fmt: skip
SPARE = {(STARTING, "restart")}  # groups; a restart that is ordered again


def test_resource_table_has_every_pair_in_use() -> None:
    assert set(RESOURCE) >= USED_BY_RESOURCES
    assert {pair for pair in RESOURCE if pair[1] != "retry"} == USED_BY_RESOURCES


def test_group_table_has_every_pair_in_use() -> None:
    assert set(GROUP) - SPARE == USED_BY_GROUPS


@pytest.mark.parametrize("table", [RESOURCE, GROUP])
def test_every_state_can_be_entered_and_left(table: dict) -> None:
    assert {state for state, _ in table} == STATES
    assert set(table.values()) == STATES


@pytest.mark.parametrize("table", [RESOURCE, GROUP])
def test_every_state_leads_to_offline_by_a_stop(table: dict) -> None:
    reached = {OFFLINE}
    while more := {s for (s, _), to in table.items() if to in reached} - reached:
        reached |= more

    assert reached == STATES


def test_missing_pair_is_a_bug_and_raises() -> None:
    with pytest.raises(KeyError):
        moved(GROUP, OFFLINE, "all_online")
