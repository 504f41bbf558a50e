"""What can happen to the engine. Frozen; the daemon and the simulator feed the same ones."""

from __future__ import annotations

from typing import Literal

import msgspec

from agent.wire.epoch import NO_EPOCH, Epoch
from agent.wire.mirror import MirrorState
from agent.wire.peer import Ballot, Message, Request
from agent.wire.report import FenceReport, GapReport, HealthReport, ResponseReport
from agent.wire.switch import Stored, Switch


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    pass


class Started(_Event, frozen=True, kw_only=True):
    """First event. `running` names what an earlier daemon of the same boot left behind and the probe found:
    resource name -> is it active. Empty on a fresh boot."""

    running: dict[str, bool] = {}
    switch: Switch | None = None  # the newest change of configuration that this server remembers
    stored: Stored | None = None  # what it could switch to


class PeerHeard(_Event, frozen=True, kw_only=True):
    """A peer lives (first packet, return after silence, new incarnation) or its service state changed."""

    server: str
    incarnation: int
    epoch: Epoch  # of its installed view
    service: Literal["online", "leaving", "stopped", "released", "isolated", "waiting"]
    config: str = ""  # config_id of what it runs, "" when it does not tell
    # isolated: it hears no majority, has lost its lease and stopped all groups; it asks to be left out.
    # waiting: it runs nothing, since it has another configuration than the servers that it hears.
    # released: its daemon is dead for good and its groups have been stopped by its supervisor.


class PeerLost(_Event, frozen=True, kw_only=True):
    """Nobody whom we hear has heard this peer for the timeout; `silence_s` by our own ears, on the path heard last.

    `promised`: peer -> the view that it had promised when it beat that it, too, has not heard the server since."""

    server: str
    silence_s: float
    promised: dict[str, Epoch] = {}


class PeerSuspected(_Event, frozen=True, kw_only=True):
    """A peer may soon be lost: time to prepare what its loss will need. PeerHeard or PeerLost follows."""

    server: str
    silence_s: float


class PathChanged(_Event, frozen=True, kw_only=True):
    server: str
    heartbeat: str
    ok: bool
    worst_gap_ms: float = 0.0


class DeafPeer(_Event, frozen=True, kw_only=True):
    """A living peer tells that it has not heard us for the timeout: it may take us for dead."""

    server: str
    silence_s: float


class LeaseLost(_Event, frozen=True, kw_only=True):
    """No majority has confirmed to hear us within the lease (majority configurations only)."""

    silence_s: float


class LeaseHeld(_Event, frozen=True, kw_only=True):
    pass


class Stalled(_Event, frozen=True, kw_only=True):
    """This process did not run for `gap_s`: what it knew is old."""

    gap_s: float


class Starved(_Event, frozen=True, kw_only=True):
    """This server was short of time: it suspects others later, by `extra_s`, and itself first."""

    late_s: float
    extra_s: float


class Measured(_Event, frozen=True, kw_only=True):
    """The distributions of silences as they are now; a path or peer that is not named was not measured long enough."""

    paths: dict[str, dict[str, GapReport]] = {}  # peer -> heartbeat -> figures
    peers: dict[str, GapReport] = {}  # over all paths of a peer
    health: HealthReport = HealthReport()


class Responded(_Event, frozen=True, kw_only=True):
    """How long the checks of monitors take, how the mirror disks are: those of which there is something new to tell."""

    responses: dict[str, ResponseReport] = {}
    mirrors: dict[str, MirrorState | None] = {}  # md resource -> its side here; None: nothing is known of it


class Received(_Event, frozen=True, kw_only=True):
    sender: str
    message: Message


class ActionDone(_Event, frozen=True, kw_only=True):
    """An Activate or Deactivate effect ended."""

    token: int
    ok: bool
    detail: str = ""  # one sentence when it failed
    stalled: bool = False  # it did not even end at its timeout: nobody knows what it left


class ScriptDone(_Event, frozen=True, kw_only=True):
    """A RunScript effect ended."""

    token: int
    ok: bool
    detail: str = ""


class MonitorResult(_Event, frozen=True, kw_only=True):
    monitor: str
    ok: bool
    detail: str = ""
    elapsed_ms: float = 0.0
    warning: bool = False  # late but normal
    timed_out: bool = False  # not ok: the check did not end in time


class Asked(_Event, frozen=True, kw_only=True):
    """A command or the manager asks this agent."""

    request: Request


class ResolverState(_Event, frozen=True, kw_only=True):
    """What this server sees of one network partition resource: a ping target answers, an arbiter (witness, shared
    disk) can be reached."""

    name: str
    ok: bool
    detail: str = ""  # one sentence when not ok


class ArbiterAnswer(_Event, frozen=True, kw_only=True):
    """An arbiter's answer to AskArbiter: a promise (granted) or its reasons."""

    name: str
    epoch: Epoch  # of the question
    granted: bool
    promised: Epoch = NO_EPOCH  # the newest that it has promised, after this question
    ballots: tuple[Ballot, ...] = ()  # what it had promised before and may be in force
    heard_s: dict[
        str, float
    ] = {}  # server -> age of its newest beat at the arbiter; absent: never, or longer ago than a timeout
    detail: str = ""


class FenceDone(_Event, frozen=True, kw_only=True):
    """A Fence effect ended. ok: the device has confirmed that the server is off (or was reset)."""

    token: int
    ok: bool
    detail: str = ""


class FencesKnown(_Event, frozen=True, kw_only=True):
    """What earlier daemons of this server found out about its fence devices."""

    results: dict[str, FenceReport]


class WatchdogState(_Event, frozen=True, kw_only=True):
    """The watchdog device of this server runs, or does not."""

    state: Literal["none", "armed", "released"]
    detail: str = ""


class ConfigurationStored(_Event, frozen=True, kw_only=True):
    """A configuration was checked and stored on this server, or what was stored is gone (None)."""

    stored: Stored | None = None


class SwitchFailed(_Event, frozen=True, kw_only=True):
    """A SwitchConfiguration could not be carried out; this server runs on with what it has."""

    id: str
    detail: str


class Tick(_Event, frozen=True, kw_only=True):
    """next_deadline() has come."""


Event = (
    Started | PeerHeard | PeerLost | PeerSuspected | PathChanged | DeafPeer | LeaseLost | LeaseHeld | Stalled
    | Starved | Measured | Responded | ResolverState | ArbiterAnswer | FenceDone | FencesKnown | WatchdogState
    | Received | ActionDone | ScriptDone | MonitorResult | Asked | ConfigurationStored | SwitchFailed | Tick
)  # fmt: skip
