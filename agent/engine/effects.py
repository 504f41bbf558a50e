"""What the engine wants done, in this order; the daemon and the simulator carry it out."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from agent.wire.drill import Drill
from agent.wire.epoch import NO_EPOCH, Epoch
from agent.wire.peer import Answer, Message
from agent.wire.report import Note, Report
from agent.wire.switch import Switch


class _Effect(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    pass


class Send(_Effect, frozen=True, kw_only=True):
    """Best effort; the engine repeats what matters."""

    to: str
    message: Message


class Save(_Effect, frozen=True, kw_only=True):
    """Write `state` atomically before any later effect; `durable`: fsync too (a promise was made)."""

    state: dict[str, Any]
    durable: bool


class Activate(_Effect, frozen=True, kw_only=True):
    token: int
    group: str
    resource: str
    timeout_s: float
    event: str  # CLP_EVENT: START | FAILOVER | RECOVER
    attempt: int = 1
    announce: bool = True


class Deactivate(_Effect, frozen=True, kw_only=True):
    token: int
    group: str
    resource: str
    timeout_s: float
    factor: str  # CLP_FACTOR: GROUPSTOP | GROUPMOVE | GROUPFAILOVER | RESOURCERESTART | CLUSTERSTOP ...
    attempt: int = 1


class Abort(_Effect, frozen=True, kw_only=True):
    """Give the running action or shot up: kill its whole process group. Its end is still told (ok=False)."""

    token: int


class RunScript(_Effect, frozen=True, kw_only=True):
    """The script of a monitor before a step of its recovery. ScriptDone with the same token follows, always."""

    token: int
    monitor: str
    step: Literal["restart", "failover", "final"]
    group: str  # that is recovered, "" for the server
    path: str
    timeout_s: float


class StartMonitor(_Effect, frozen=True, kw_only=True):
    monitor: str


class StopMonitor(_Effect, frozen=True, kw_only=True):
    monitor: str


class Announce(_Effect, frozen=True, kw_only=True):
    """Tell the LAN again where the addresses of this group are (another server stood down)."""

    group: str


class Prepare(_Effect, frozen=True, kw_only=True):
    """This resource may be activated here in a moment: do now what does no harm (ask who has its address)."""

    resource: str


class AskArbiter(_Effect, frozen=True, kw_only=True):
    """Ask a witness or shared disk to promise this view. ArbiterAnswer follows, or nothing when it is not reached."""

    name: str
    epoch: Epoch
    members: tuple[str, ...]
    voters: tuple[str, ...]
    in_force: Epoch = NO_EPOCH  # the newest view that any member knows to have been in force


class Fence(_Effect, frozen=True, kw_only=True):
    """Force a server off by one device (model.FenceDevice), or ask it how the server is (status). FenceDone with the
    same token follows, always."""

    token: int
    server: str
    device: str
    action: Literal["off", "reboot", "status"] = "off"


class Watchdog(_Effect, frozen=True, kw_only=True):
    """Keep the watchdog device of this server running, or release it. WatchdogState follows a change."""

    armed: bool


class Beat(_Effect, frozen=True, kw_only=True):
    """What the heartbeats say from now on."""

    epoch: Epoch  # of the installed view
    service: Literal["online", "leaving", "stopped", "isolated", "waiting"]
    members: tuple[str, ...] = ()  # of the promised view: only their leases are confirmed by our packets
    # More than half of each of these must confirm our lease (agent/engine/quorum.py); (): of all servers.
    electorates: tuple[tuple[str, ...], ...] = ()
    promised: Epoch = NO_EPOCH  # the view of `members`
    config: str = ""  # config_id of what this server runs


class HaltServer(_Effect, frozen=True, kw_only=True):
    """Stop this server. `how`: shutdown, reboot, or one of the hard actions by its final action number."""

    how: Literal["shutdown", "reboot", "panic", "reset"]
    reason: str


class SwitchConfiguration(_Effect, frozen=True, kw_only=True):
    """Remember the switch durably, exchange clp.conf and scripts (state "trying": to what is stored under its key;
    "returned": back to what ran before), then begin anew with them: the last effect of this daemon. What runs goes
    on and is adopted. SwitchFailed follows when it cannot be done; then nothing has changed."""

    switch: Switch


class KeepConfiguration(_Effect, frozen=True, kw_only=True):
    """Remember durably that the switch is confirmed, before any later effect."""

    switch: Switch


class BeginDrill(_Effect, frozen=True, kw_only=True):
    """Let this server fail as asked; whoever carries it out ends it after `drill.bound_s`, whatever happens."""

    id: str
    drill: Drill


class EndDrill(_Effect, frozen=True, kw_only=True):
    """End the drill at once, here or on another server that may hear nobody and answer nobody."""

    id: str
    server: str


class Log(_Effect, frozen=True, kw_only=True):
    note: Note


class Publish(_Effect, frozen=True, kw_only=True):
    """This server's own report changed (for clpstat, the manager, the peers' view)."""

    report: Report


class Reply(_Effect, frozen=True, kw_only=True):
    """Answer to a command or the manager at this agent."""

    answer: Answer


Effect = (
    Send | Save | Activate | Deactivate | Abort | RunScript | StartMonitor | StopMonitor | Announce | Prepare
    | AskArbiter | Fence | Watchdog | Beat | HaltServer | SwitchConfiguration | KeepConfiguration
    | BeginDrill | EndDrill | Log | Publish | Reply
)  # fmt: skip
