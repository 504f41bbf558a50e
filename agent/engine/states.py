"""Transition tables of group and resource on one server, and the one function that moves them.

Rules of this file: a state changes only through `move`; a pair that is missing is a bug and raises; every move
leaves a note with what, from, to, because.

A resource goes Offline → Online Pending → Online and back by way of Offline Pending. An attempt that failed for good
rests in Online Failure or Offline Failure and keeps its group there until somebody orders a stop.
The awkward case: an activation that is cancelled by a stop. The stop wins: the action is aborted, and whatever
it left half done is deactivated like something that was online.
"""

from __future__ import annotations

from agent.wire.report import GroupState

OFFLINE: GroupState = "Offline"
STARTING: GroupState = "Online Pending"
ONLINE: GroupState = "Online"
STOPPING: GroupState = "Offline Pending"
START_FAILED: GroupState = "Online Failure"
STOP_FAILED: GroupState = "Offline Failure"

RESOURCE: dict[tuple[GroupState, str], GroupState] = {
    (OFFLINE, "activate"): STARTING,
    (STARTING, "done"): ONLINE,
    (STARTING, "retry"): STARTING,
    (STARTING, "failed"): START_FAILED,
    (STARTING, "deactivate"): STOPPING,  # aborted on the way up
    (ONLINE, "deactivate"): STOPPING,
    (START_FAILED, "deactivate"): STOPPING,  # what failed half way is taken down like the rest
    (START_FAILED, "ignore"): ONLINE,  # final action 0: go on as if it had started
    (STOPPING, "done"): OFFLINE,
    (STOPPING, "retry"): STOPPING,
    (STOPPING, "failed"): STOP_FAILED,
    (STOP_FAILED, "deactivate"): STOPPING,
    (STOP_FAILED, "ignore"): OFFLINE,  # final action 0: go on as if it had stopped
}

GROUP: dict[tuple[GroupState, str], GroupState] = {
    (OFFLINE, "start"): STARTING,
    (STARTING, "all_online"): ONLINE,
    (STARTING, "resource_failed"): START_FAILED,
    (STARTING, "stop"): STOPPING,
    (ONLINE, "stop"): STOPPING,
    (ONLINE, "restart"): STARTING,  # resources go down and up again in place
    (STARTING, "restart"): STARTING,
    (START_FAILED, "restart"): STARTING,
    (START_FAILED, "stop"): STOPPING,
    (START_FAILED, "continue"): STARTING,
    (STARTING, "stop_failed"): STOP_FAILED,  # a restart in place could not take a resource down
    (STOPPING, "all_offline"): OFFLINE,
    (STOPPING, "stop_failed"): STOP_FAILED,
    (STOP_FAILED, "stop"): STOPPING,
    (STOP_FAILED, "continue"): STOPPING,
}


def moved(table: dict[tuple[GroupState, str], GroupState], state: GroupState, cause: str) -> GroupState:
    """The state after `cause`; KeyError (a bug) when the table has no such pair."""
    return table[state, cause]
