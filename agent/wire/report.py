"""What one server says of itself; the only source of truth about its groups, resources and monitors."""

from __future__ import annotations

from typing import Literal

import msgspec

from agent.wire.drill import DrillReport
from agent.wire.epoch import NO_EPOCH, Epoch
from agent.wire.mirror import MirrorState
from agent.wire.switch import Switch

# State words of the original (clpstat, REST); Pending = on the way, Failure = an attempt failed.
GroupState = Literal["Offline", "Online Pending", "Online", "Offline Pending", "Online Failure", "Offline Failure"]
ResourceState = GroupState
MonitorState = Literal["Offline", "Normal", "Caution", "Error", "Suspend", "Unused", "Unknown"]
# online: member of the cluster or on the way to it; leaving: gives its groups away, then stops;
# stopped: the cluster service is stopped here, nothing runs (the agent still answers).
Service = Literal["online", "leaving", "stopped"]
NoteKind = Literal["cluster", "server", "group", "resource", "monitor", "heartbeat", "request"]

#: States in which a group may hold its address or data on a server.
HOLDING = frozenset({"Online Pending", "Online", "Offline Pending", "Online Failure", "Offline Failure"})


class _Frozen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    pass


class GroupReport(_Frozen, frozen=True, kw_only=True):
    state: GroupState = "Offline"
    serial: int = 0  # newest order obeyed or refused in this epoch
    epoch: Epoch = NO_EPOCH  # epoch of the order that started it
    since: float = 0.0  # when this state began (steady seconds since 1970 of the reporting server)
    start_serial: int = 0  # the order that started it; the higher one survives when two servers run a group
    failed_serial: int = 0  # the START order that ended in failure, 0 when none did
    wants: Literal["", "failover"] = ""  # a monitor or activation asks the coordinator for another server
    wants_id: str = ""  # id of the note that asks, or of the final action that stopped it
    detail: str = ""  # why it failed, in words
    halts: bool = False  # a final action takes this server down because of it


class ResourceReport(_Frozen, frozen=True, kw_only=True):
    state: ResourceState = "Offline"
    since: float = 0.0
    detail: str = ""


class MonitorReport(_Frozen, frozen=True, kw_only=True):
    state: MonitorState = "Offline"
    since: float = 0.0
    detail: str = ""
    elapsed_ms: float = 0.0  # of the newest run
    restarts: int = 0
    failovers: int = 0


class GapReport(_Frozen, frozen=True, kw_only=True):
    """Silences between two beats, of the newest 12 to 24 hours. Times in steady seconds since 1970 of the reporter.

    What outlasted the heartbeat timeout is no gap but an interruption (a cut)."""

    p50_ms: float = 0.0
    p99_ms: float = 0.0
    p999_ms: float = 0.0
    worst_ms: float = 0.0
    worst_at: float = 0.0  # 0: there was none
    since: float = 0.0
    ever_ms: float = 0.0  # the worst since the agent started
    cuts: int = 0  # since the agent started, in which the peer lived on
    cut_ms: float = 0.0  # the longest of them
    lately_ms: float = 0.0  # the longest of the half minute, or more, before it was told; as exact as a chart needs


class ResponseReport(_Frozen, frozen=True, kw_only=True):
    """How long the good answers of one monitor took, of the newest 12 to 24 hours; what failed is counted apart."""

    p50_ms: float = 0.0
    p95_ms: float = 0.0
    p99_ms: float = 0.0
    p999_ms: float = 0.0
    worst_ms: float = 0.0
    worst_at: float = 0.0
    count: int = 0  # good answers; told anew when it has grown by a tenth
    timeouts: int = 0  # checks that were given up: nobody knows how long they would have taken
    failures: int = 0  # bad answers, also those that a retry forgave
    since: float = 0.0
    low_ms: float = 0.0  # of the answers since it was told before: the shortest, the middle, the longest
    mid_ms: float = 0.0
    high_ms: float = 0.0  # 0.0: there was no good answer


class PathReport(_Frozen, frozen=True, kw_only=True):
    """One heartbeat resource towards one peer, as this server hears it."""

    state: Literal["Normal", "Error", "Unused"] = "Unused"
    worst_gap_ms: float = 0.0  # longest silence since the path came up
    gaps: GapReport | None = None


class HealthReport(_Frozen, frozen=True, kw_only=True):
    """Whether this server is short of time, and so suspects itself before others."""

    suspects: bool = False  # it has said so within the last minute
    late: GapReport | None = None  # how much later than planned its heartbeat process ran
    lease: GapReport | None = None  # how old the lease was when it was renewed (majority configurations)
    daemon: GapReport | None = None  # how much later than due its daemon spoke to that process


class ResolverReport(_Frozen, frozen=True, kw_only=True):
    """A network partition resource as this server reaches it."""

    since: float = 0.0  # as Note.time: when it began or ceased to be reached
    detail: str = ""  # why it is not reached, or what it refused


class VoteReport(_Frozen, frozen=True, kw_only=True):
    """By which votes the view in force was decided; only its coordinator knows, and only where votes are needed."""

    voters: tuple[str, ...] = ()  # more than half of them had to agree
    present: tuple[str, ...] = ()


class FenceReport(_Frozen, frozen=True, kw_only=True):
    """How a fence device did when this server used it last (times as in Note.time, 0.0: never)."""

    at: float = 0.0
    result: Literal["", "ok", "failed"] = ""
    detail: str = ""
    proven: float = 0.0  # when it worked last


class Report(_Frozen, frozen=True, kw_only=True):
    """One server about itself. Newer = higher (incarnation, seq).

    What it measures (`paths`, `hears`, `health`, `responses`) travels by itself, as changes (HearingPush): it grows
    with the number of servers and monitors, changes more often than the rest, and nobody decides by it."""

    server: str
    incarnation: int
    seq: int
    service: Service = "online"
    promised: Epoch = NO_EPOCH  # highest epoch that this server has promised to obey
    epoch: Epoch = NO_EPOCH  # epoch of the installed view
    members: tuple[str, ...] = ()
    coordinator: str = ""
    suspended: bool = False
    table: int = 0  # version of the coordinator's table that this server has
    groups: dict[str, GroupReport] = {}
    resources: dict[str, ResourceReport] = {}
    monitors: dict[str, MonitorReport] = {}
    # peer -> heartbeat name -> path; a peer that is wholly lost has every path in Error.
    paths: dict[str, dict[str, PathReport]] = {}
    # peer -> gaps over all of its paths together: what decides.
    hears: dict[str, GapReport] = {}
    health: HealthReport = HealthReport()
    responses: dict[str, ResponseReport] = {}  # monitor -> how long its checks take here
    heard: int = 0  # number of the newest change of these four
    resolvers: dict[str, bool] = {}  # network partition resource -> is it reached from here
    resolving: dict[str, ResolverReport] = {}
    votes: VoteReport | None = None
    acts: bool = True  # it may run groups: it has its lease, and is not cut off from its ping targets
    lost: tuple[str, ...] = ()  # peers silent for the whole timeout, by this server's own ears
    detail: str = ""  # one sentence about this server that an administrator should read
    leave_note: str = ""  # id of the note that says why `service` is leaving
    fences: dict[str, FenceReport] = {}  # fence device -> its newest use or test from here
    watchdog: Literal["none", "armed", "released"] = "none"  # the device that resets this server when it hangs
    watchdog_detail: str = ""
    armed: bool = True  # fencing and watchdog may act
    config: str = ""  # config_id of the clp.conf that it runs
    stored: str = ""  # of the one that it has stored and could switch to
    switch: Switch | None = None  # the newest change of configuration that it remembers
    frozen: bool = False  # it decides nothing and starts nothing until that change is through
    drill: DrillReport | None = None  # a failure on purpose that runs here
    mirrors: dict[str, MirrorState] = {}  # md resource -> its side here, while its mirror process answers


class Note(_Frozen, frozen=True, kw_only=True):
    """One line of the event log: what happened, because of what, by which rule."""

    id: str  # "server1:INCARNATION:N", unique in the cluster
    time: float  # steady seconds since 1970 of the server that wrote it
    server: str
    module: str  # of reference/alerts.md: pm nm rc rm apisv ...
    event: int
    severity: Literal["info", "warning", "error"]
    kind: NoteKind
    name: str  # the object that this is about
    text: str  # English sentence; `params` let the catalog render it in another language
    params: tuple[str, ...] = ()
    rule: str = ""  # the rule that decided, e.g. "failover-policy", "" for plain evidence
    causes: tuple[str, ...] = ()  # ids of notes
    before: str = ""  # state before and after, where the note is a transition
    after: str = ""
