"""Messages between the agents of one cluster, as the engine sends and receives them."""

from __future__ import annotations

from typing import Literal

import msgspec

from agent.wire.epoch import Epoch
from agent.wire.report import Report


class _Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    pass


class GroupRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the coordinator wants of one group; survives it in every member's copy of the table."""

    goal: str = ""  # server that shall run it, "" for none
    held: bool = False  # stopped by the operator: nothing starts it but the operator
    serial: int = 0  # newest order given
    ordered: str = ""  # server that the newest START order named, "" once the operator or a final action has settled it
    tried: tuple[str, ...] = ()  # servers that failed in this episode
    failovers: int = 0  # in this episode
    gave_up: bool = False  # no server is left to try
    retry: bool = False  # the operator wants another attempt where it rests in Online Failure
    cause: str = ""  # id of the note behind the goal
    request: str = ""  # operator request that waits for this goal


class Table(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The coordinator's decisions. Newer = higher (epoch, version)."""

    epoch: Epoch
    version: int
    groups: dict[str, GroupRecord] = {}
    suspended: bool = False
    closing: bool = False  # the whole cluster stops: no group is started any more
    closing_halt: Literal["", "shutdown", "reboot"] = ""


class Propose(_Message, frozen=True, kw_only=True):
    epoch: Epoch
    members: tuple[str, ...]
    cause: str = ""


class Promise(_Message, frozen=True, kw_only=True):
    """Obeys no epoch below this one from now on; says what it holds and what it knows."""

    epoch: Epoch
    report: Report
    table: Table
    silent_s: dict[str, float] = {}  # suspected server -> how long we have not heard it


class Reject(_Message, frozen=True, kw_only=True):
    """The proposal was too old; `promised` is what this server has promised already."""

    epoch: Epoch
    promised: Epoch


class Install(_Message, frozen=True, kw_only=True):
    epoch: Epoch
    members: tuple[str, ...]
    table: Table
    cause: str = ""


class TableUpdate(_Message, frozen=True, kw_only=True):
    table: Table


class Order(_Message, frozen=True, kw_only=True):
    """Obeyed only in its own epoch, and only when its serial is above all that the group has seen in it."""

    epoch: Epoch
    serial: int
    group: str
    action: Literal["start", "stop", "give_up"]
    why: str  # start: CLP_EVENT (START FAILOVER); stop: CLP_FACTOR (GROUPSTOP GROUPMOVE GROUPFAILOVER)
    cause: str = ""


class Halt(_Message, frozen=True, kw_only=True):
    """The coordinator tells a member to stop its cluster service (all groups are offline), perhaps the machine."""

    epoch: Epoch
    how: Literal["service", "shutdown", "reboot"]
    cause: str = ""


class ReportPush(_Message, frozen=True, kw_only=True):
    report: Report


class ReportAck(_Message, frozen=True, kw_only=True):
    incarnation: int
    seq: int


class Request(_Message, frozen=True, kw_only=True):
    """An operator's wish on its way to the coordinator. `id` makes it idempotent."""

    id: str
    op: Literal[
        "group_start", "group_stop", "group_move",
        "cluster_stop", "cluster_shutdown", "cluster_reboot", "cluster_suspend", "cluster_resume",
        "server_start", "server_stop", "server_shutdown", "server_reboot",
    ]  # fmt: skip
    target: str = ""  # group or server name
    server: str = ""  # where to, "" for the policy's choice
    origin: str = ""  # server that took it from the operator
    by: str = ""  # who asked, for the log: "root@clpgrp", "admin@192.0.2.7"


class Answer(_Message, frozen=True, kw_only=True):
    """code 0: done; 1: accepted, not done yet (progress in text); 2: refused; 3: failed."""

    id: str
    code: int
    reason: str = ""  # stable word: "unknown_group", "not_in_policy", "no_quorum", ...
    text: str = ""  # a sentence


Message = Propose | Promise | Reject | Install | TableUpdate | Order | Halt | ReportPush | ReportAck | Request | Answer
