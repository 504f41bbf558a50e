"""The frozen model of a cluster that the engine, the agent and the web share, read from clp.conf."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, TypeVar

import msgspec

from agent.clpconf.alert_settings import AlertSettings

# Values of one object: path below the object ("parameters/ip", "parameters/list@0/ip") -> text as written.
# Only what the file states; defaults come from the type's SPEC (see schema.TypeSpec.values).
RawValues = Mapping[str, str]

ARBITERS = ("httpnp", "disknp")  # types of network partition resources that vote

FinalAction = int
"""Final action numbers of the format: 0 none, 1 none and stop there, 2 stop group, 3 stop the cluster service,
4 stop the service and shut the OS down, 5 and reboot, 8 sysrq panic, 9 keepalive reset, 10 keepalive panic,
11-14 BMC actions, 15 I/O fencing, 16 stop resource (reference/clp-conf-format.md section 7)."""


WatchdogMethod = Literal["keepalive", "softdog", "ipmi"]


class _Frozen(msgspec.Struct, frozen=True, kw_only=True):
    """Immutable, slotted, comparable; msgspec gives JSON both ways for the loader process and the web."""


class Device(_Frozen, frozen=True, kw_only=True):
    """One numbered device of a server: 0+ lan, 300+ disk, 400+ mdc, 600+ bmc, 700+ witness, 10200+ ping ..."""

    id: int
    type: str
    info: str
    extend: str = ""


class Server(_Frozen, frozen=True, kw_only=True):
    name: str
    priority: int  # 0 is the master; the living server with the lowest number coordinates.
    comment: str = ""
    devices: tuple[Device, ...] = ()
    survive: bool = False

    def device(self, device_id: int) -> Device | None:
        return next((d for d in self.devices if d.id == device_id), None)


class Heartbeat(_Frozen, frozen=True, kw_only=True):
    """A heartbeat resource; `device` is the id that every server's device of this path carries."""

    name: str
    type: str
    priority: int
    device: int
    values: dict[str, str] = {}


class PartitionResolver(_Frozen, frozen=True, kw_only=True):
    name: str
    type: str
    priority: int
    device: int
    values: dict[str, str] = {}


class FenceDevice(_Frozen, frozen=True, kw_only=True):
    """One way to force servers off: an agent of the fence-agents package with its options."""

    name: str
    agent: str  # "fence_ipmilan"
    level: int = 1  # devices of one level must all succeed; the next level is tried when one of them fails
    delay_s: float = 0.0  # waited before, so that two servers do not shoot each other at once
    timeout_s: float = 60.0
    values: dict[str, str] = {}  # options of the agent
    overrides: dict[str, dict[str, str]] = {}  # server (a target of this device) -> options that differ for it

    def on(self, server: str) -> dict[str, str]:
        """Options to force this server off."""
        return {**self.values, **self.overrides.get(server, {})}


class Activation(_Frozen, frozen=True, kw_only=True):
    """How one step (activation or deactivation) of a resource is tried."""

    timeout_s: float
    retry: int  # further attempts after the first one failed
    failover: int = 0  # failovers to other servers after the retries (activation only)
    action: FinalAction = 1


class Resource(_Frozen, frozen=True, kw_only=True):
    name: str
    type: str
    comment: str = ""
    activation: Activation
    deactivation: Activation
    # None: follow the type's default dependency; (): none at all; else the names it depends on.
    depends: tuple[str, ...] | None = None
    values: dict[str, str] = {}
    overrides: dict[str, dict[str, str]] = {}  # server name -> values that differ there

    def on(self, server: str) -> dict[str, str]:
        """Values as they hold on one server."""
        return {**self.values, **self.overrides.get(server, {})}


class Group(_Frozen, frozen=True, kw_only=True):
    name: str
    gid: int = 0
    type: str = "failover"
    comment: str = ""
    resources: tuple[str, ...] = ()
    policy: tuple[str, ...] = ()  # server names, first is home; resolved (never empty in a valid file)
    autostart: bool = True
    auto_failover: bool = True
    auto_failback: bool = False
    exclusive: int = 0  # towards other exclusive groups: 0 does not care, 1 prefers another server, 2 never with one
    start_after: tuple[str, ...] = ()  # groups that must be online before this one starts
    start_same_server: tuple[str, ...] = ()  # of these only where they come to the same server
    start_wait_s: float = 1800.0  # then it is not started
    stop_after: tuple[str, ...] = ()  # groups that stop first, when both stop
    stop_wait_s: float = 1800.0  # then it stops all the same
    stop_order_cluster: bool = True  # the order holds at a stop of the cluster,
    stop_order_server: bool = False  # of a server,
    stop_order_other: bool = False  # and when groups stop or move for other reasons


class Preaction(_Frozen, frozen=True, kw_only=True):
    """A script that runs on the server of a monitor's error before a step of its recovery."""

    path: str = "preaction.sh"  # below scripts/monitor.s/MONITOR, or absolute
    timeout_s: float = 5.0  # then the step follows all the same
    restart: bool = False
    failover: bool = False
    final: bool = False


class Monitor(_Frozen, frozen=True, kw_only=True):
    name: str
    type: str
    comment: str = ""
    target: str = ""  # resource watched, "" when none
    timing: Literal["always", "active"] = "always"
    interval_s: float = 60
    timeout_s: float = 60
    retries: int = 0  # reconfirmations before an abnormal result counts
    first_wait_s: float = 0
    servers: tuple[str, ...] = ()  # empty: all servers
    # Recovery target: ("rsc", resource) | ("grp", group) | ("cls", "LocalServer") | ("", "")
    recovery_type: Literal["rsc", "grp", "cls", ""] = ""
    recovery_name: str = ""
    restart_threshold: int = 3
    failover_threshold: int = 1
    action: FinalAction = 1
    preaction: Preaction | None = None
    observe: bool = False  # openclp/observe: errors are shown, nothing is recovered
    retry_timeout: bool = True  # a check that ran into its timeout is forgiven like another failure
    recover_timeout: bool = True  # and recovered
    values: dict[str, str] = {}
    overrides: dict[str, dict[str, str]] = {}

    def on(self, server: str) -> dict[str, str]:
        """Values as they hold on one server."""
        return {**self.values, **self.overrides.get(server, {})}

    def runs_on(self, server: str) -> bool:
        return not self.servers or server in self.servers


_N = TypeVar("_N", Server, Group, Resource, Monitor)


class Cluster(_Frozen, frozen=True, kw_only=True):
    """Everything that clp.conf says and the product acts on. `servers` are sorted by priority."""

    name: str
    comment: str = ""
    interval_s: float = 3.0  # cluster/heartbeat/interval, milliseconds in the file
    timeout_s: float = 90.0  # cluster/heartbeat/timeout, milliseconds in the file
    startup_wait_s: float = 300.0  # openclp/startupwait, seconds: how long the first view waits for absent servers
    grace_s: float = 5.0  # openclp/grace, seconds: how long a dead daemon may take to come back
    self_fencing: bool = False  # cluster/haltp = 1 or a userw monitor: a server that lost its lease is reset
    watchdog: WatchdogMethod = "keepalive"  # how, beside the heartbeat process itself
    watchdog_panics: bool = False  # by a panic instead of a reset
    servers: tuple[Server, ...] = ()
    heartbeats: tuple[Heartbeat, ...] = ()  # sorted by priority
    resolvers: tuple[PartitionResolver, ...] = ()  # sorted by priority
    fences: tuple[FenceDevice, ...] = ()  # sorted by level, then name
    groups: tuple[Group, ...] = ()
    resources: tuple[Resource, ...] = ()
    monitors: tuple[Monitor, ...] = ()
    language: str = "ASCII"  # all/charset
    # What a server does that lost the majority or its resolver (cluster/networkpartition/npaction): 0 only stops its
    # groups, 1 its cluster service as well, 2 shuts down, 3 reboots, 4 panics, 5-12 resets (format, section 5).
    npaction: int = 2
    # cluster/survive: a final action that would stop the last healthy server is left out.
    survive_activation: bool = False
    survive_deactivation: bool = False
    survive_monitor: bool = False
    # (rc|rm)/errordetect: errors are shown and nothing follows.
    ignore_activation_errors: bool = False
    ignore_deactivation_errors: bool = False
    ignore_monitor_errors: bool = False
    stalled_action: FinalAction = 4  # of a step that does not even end at its timeout; 0: it is an error like others
    # Our own, below /root/openclp.
    max_reboots: int = 3  # final actions that reboot within max_reboots_s; 0: no limit
    max_reboots_s: float = 3600.0
    quarantine_count: int = 3  # losses of a server within quarantine_window_s; 0: no quarantine
    quarantine_window_s: float = 600.0
    quarantine_s: float = 1800.0
    failback_s: float = 10.0  # what goes back has been at rest so long, and at least one heartbeat timeout
    calm_s: float = 60.0  # a monitor that has been normal so long counts its recoveries anew
    delay_warning: int = 80  # percent of its timeout from which on a monitor's answer is late; 100 never, 0 always
    alerts: AlertSettings = AlertSettings()

    @property
    def server_names(self) -> tuple[str, ...]:
        return tuple(s.name for s in self.servers)

    @property
    def majority(self) -> bool:
        """A majority resolver is configured: no side without more than half of the servers acts."""
        return any(r.type in ("majonp", *ARBITERS) for r in self.resolvers)

    @property
    def arbiters(self) -> tuple[str, ...]:
        """Names of the witnesses and shared disks that vote, in the order of their priority."""
        return tuple(r.name for r in self.resolvers if r.type in ARBITERS)

    @property
    def pings(self) -> tuple[str, ...]:
        return tuple(r.name for r in self.resolvers if r.type == "pingnp")

    def fences_against(self, server: str) -> tuple[FenceDevice, ...]:
        """Devices that can force this server off, in the order in which they are tried."""
        return tuple(d for d in self.fences if not d.overrides or server in d.overrides)

    def server(self, name: str) -> Server:
        return _named(self.servers, name)

    def group(self, name: str) -> Group:
        return _named(self.groups, name)

    def resource(self, name: str) -> Resource:
        return _named(self.resources, name)

    def monitor(self, name: str) -> Monitor:
        return _named(self.monitors, name)

    def group_of(self, resource: str) -> Group | None:
        return next((g for g in self.groups if resource in g.resources), None)


def _named(things: Iterable[_N], name: str) -> _N:
    for thing in things:
        if thing.name == name:
            return thing
    raise KeyError(name)
