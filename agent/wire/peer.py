"""Messages between the agents of one cluster, as the engine sends and receives them."""

from __future__ import annotations

from typing import Literal

import msgspec

from agent.wire.drill import Drill
from agent.wire.epoch import NO_EPOCH, Epoch
from agent.wire.inventory import Inventory, LiveCheck
from agent.wire.mirror import MirrorState
from agent.wire.report import GapReport, HealthReport, PathReport, Report, ResponseReport
from agent.wire.switch import Applying


class _Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    pass


class Quarantine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A server that was lost too often takes no groups by itself."""

    until: float  # steady seconds of the coordinator
    times: int  # how often it was lost
    window_s: float
    cause: str = ""  # id of the note


class MonitorWish(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What operators want of one monitor, by server."""

    suspended: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()  # pretends an error there
    cause: str = ""


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
    move: Literal["", "move", "failover", "failback"] = ""  # under way from `origin`, until it is online
    origin: str = ""
    stays: bool = False  # the operator has put it where it is: no failback
    failed_on: tuple[str, ...] = ()  # where it failed, oldest first: tried last, no failback (engine/failback.py)
    request: str = ""  # operator request that waits for this goal


class Table(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The coordinator's decisions. Newer = higher (epoch, version)."""

    epoch: Epoch
    version: int
    groups: dict[str, GroupRecord] = {}
    suspended: bool = False
    closing: bool = False  # the whole cluster stops: no group is started any more
    closing_halt: Literal["", "shutdown", "reboot"] = ""
    disarmed: bool = False  # fencing and watchdogs are switched off by the operator
    incarnations: dict[str, int] = {}  # of the servers that are or were members and have not stopped in order
    lost_at: dict[str, tuple[float, ...]] = {}  # server -> when it was lost, as far as it counts still
    quarantine: dict[str, Quarantine] = {}
    monitors: dict[str, MonitorWish] = {}
    applying: Applying | None = None  # a change of the configuration that is under way


class Ballot(msgspec.Struct, frozen=True):
    """One electorate that a server knows of. `in_force`: its view was installed; else it was only promised."""

    epoch: Epoch
    voters: tuple[str, ...]
    in_force: bool = False


class Views(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a server knows of the views before (agent/engine/continuity.py)."""

    latest: Epoch = NO_EPOCH  # the newest that it has installed since its service began
    pending: Epoch = NO_EPOCH  # a newer one that it has promised, and not seen installed


class Propose(_Message, frozen=True, kw_only=True):
    epoch: Epoch
    members: tuple[str, ...]
    voters: tuple[str, ...]  # of whom the view after this one needs more than half
    cause: str = ""
    config: str = ""  # config_id of what the proposer runs


class Promise(_Message, frozen=True, kw_only=True):
    """Obeys no epoch below this one from now on; says what it holds and what it knows."""

    epoch: Epoch
    report: Report
    table: Table
    silent_s: dict[str, float] = {}  # suspected server -> how long we have not heard it
    ballots: tuple[Ballot, ...] = ()
    owed_s: dict[str, float] = {}  # server -> for how long its lease may still hold, by an earlier view
    views: Views = Views()


class Reject(_Message, frozen=True, kw_only=True):
    """The proposal was too old; `promised` is what this server has promised already."""

    epoch: Epoch
    promised: Epoch


class Install(_Message, frozen=True, kw_only=True):
    epoch: Epoch
    members: tuple[str, ...]
    voters: tuple[str, ...]
    table: Table
    cause: str = ""
    before: Epoch = NO_EPOCH  # the newest view that may have been in force before this one


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
    report: Report  # without what is heard


class HearingPush(_Message, frozen=True, kw_only=True):
    """What the sender hears, as far as it has changed after number `since`: whoever knows that much is up to date."""

    incarnation: int
    number: int
    since: int = 0
    paths: dict[str, dict[str, PathReport]] = {}
    hears: dict[str, GapReport] = {}
    health: HealthReport = HealthReport()
    responses: dict[str, ResponseReport] = {}
    mirrors: dict[str, MirrorState | None] = {}  # None: its mirror process does not answer any more


class ReportAck(_Message, frozen=True, kw_only=True):
    """The newest that we have of a server: of its report, and of what it hears."""

    incarnation: int
    seq: int
    heard: int = 0


class Request(_Message, frozen=True, kw_only=True):
    """An operator's wish on its way to the coordinator. `id` makes it idempotent."""

    id: str
    op: Literal[
        "group_start", "group_stop", "group_move",
        "cluster_stop", "cluster_shutdown", "cluster_reboot", "cluster_suspend", "cluster_resume", "cluster_force",
        "server_start", "server_stop", "server_shutdown", "server_reboot", "server_release",
        "fence_test", "fence_off", "fence_confirm", "fence_arm", "fence_disarm",
        "monitor_suspend", "monitor_resume", "monitor_fail", "monitor_mend",
        "inventory",
        "config_apply", "config_confirm", "config_return",
        "drill_check", "drill_start", "drill_end",
        "request_cancel",
        "mirror_activate", "mirror_deactivate", "mirror_break", "mirror_join", "mirror_force", "mirror_discard",
        "mirror_verify", "mirror_verify_stop", "mirror_pace",
        "mirror_backup_begin", "mirror_backup_end", "mirror_restore_begin", "mirror_restore_end",
    ]  # fmt: skip
    target: str = ""  # group, server, monitor or md resource; of request_cancel: the id of the request
    # Where to, "" for the policy's choice; of a monitor: where, "" for everywhere; of a mirror: whose side, "" that of
    # the agent that is asked; of mirror_force: whose data stay.
    server: str = ""
    origin: str = ""  # server that took it from the operator
    by: str = ""  # who asked, for the log: "root@clpgrp", "admin@192.0.2.7"
    checks: dict[str, LiveCheck] = {}  # of inventory: server -> what to look at beside the usual
    why: str = ""  # for the log. The target of config_apply is the config_id of what every server has stored
    # server -> the incarnation that is meant: what has begun anew since is not asked the same again.
    lives: dict[str, int] = {}
    confirm_s: float = 0.0  # unless it is confirmed within so long, every server returns to what it ran; 0: it stays
    health: bool = False  # when that time is over: stay if the cluster is well
    drill: Drill | None = None  # of drill_check and drill_start: what shall fail on `target`
    bytes_s: int = 0  # of mirror_pace: so much of a recovery at most; 0: no limit
    mount: bool = True  # of mirror_activate: with its file system; of mirror_backup_begin: to be read
    # Of mirror_activate: although its data may be old; of mirror_verify: what differs is copied; of mirror_backup_end:
    # although somebody reads; of mirror_restore_end: although the other side has written meanwhile.
    force: bool = False
    same: bool = False  # of mirror_restore_end: both servers' disks were restored from the same image


class Answer(_Message, frozen=True, kw_only=True):
    """code 0: done; 1: accepted, not done yet (progress in text); 2: refused; 3: failed."""

    id: str
    code: int
    reason: str = ""  # stable word: "unknown_group", "not_in_policy", "no_quorum", ...
    text: str = ""  # a sentence
    inventories: dict[str, Inventory] = {}  # to inventory: server -> what it has, of those that answered


Message = (
    Propose | Promise | Reject | Install | TableUpdate | Order | Halt
    | ReportPush | HearingPush | ReportAck | Request | Answer
)  # fmt: skip
