"""What a server keeps of its groups and their resources; written to disk for a later daemon of the same boot."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from agent.clpconf.model import Group
from agent.engine.states import OFFLINE
from agent.wire.epoch import NO_EPOCH, Epoch
from agent.wire.report import GroupState


class LocalResource(msgspec.Struct):
    """One resource here. `token` names the running action, 0 when none runs."""

    state: GroupState = OFFLINE
    since: float = 0.0
    wanted: bool = False
    token: int = 0
    action: Literal["", "up", "down"] = ""
    attempt: int = 0
    detail: str = ""
    stopped: bool = False  # by a final action, alone, while its group goes on


class LocalGroup(msgspec.Struct):
    state: GroupState = OFFLINE
    since: float = 0.0
    serial: int = 0
    start_epoch: Epoch = NO_EPOCH
    start_serial: int = 0
    failed_serial: int = 0
    wants: Literal["", "failover"] = ""
    wants_id: str = ""
    detail: str = ""
    event: str = "START"  # CLP_EVENT of the running activation
    factor: str = ""  # CLP_FACTOR of the running deactivation
    cause: str = ""  # note behind the newest order
    restarting: bool = False  # resources that went down for a restart come up again by themselves
    halts: bool = False  # a final action takes this server down because of it
    resources: dict[str, LocalResource] = {}


class Retry(NamedTuple):
    """The next attempt, after a pause."""

    at: float
    group: str
    direction: Literal["up", "down"]


def fresh(group: Group) -> LocalGroup:
    return LocalGroup(resources={name: LocalResource() for name in group.resources})
