"""What all objects of one kind have beside the parameters of their type: resources, monitors, heartbeats, groups ..."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from agent.clpconf.kinds import Kind, numbered, word
from agent.clpconf.schema import (
    BOOLEAN,
    LINK,
    SCRIPT,
    TEXT,
    Param,
    TypeSpec,
    choice,
    integer,
    seconds,
)

FORMAT = "clp-conf-format"  # Documents that `source` names: the description of the format, with its section,
GUIDE = "X 1.0 guide"  # the guide of the original,
OWN = "openclp"  # and ourselves.

PRIORITY = integer(0, 999)
COUNT = integer(0, 9999)
RETRY = integer(0, 99)
STEP_TIMEOUT = seconds(1, 999999)
INTERVAL = seconds(0.05, 999999)
WAIT = seconds(0, 999999)
SCRIPT_TIMEOUT = seconds(1, 9999)

ACTIONS: Mapping[int, str] = {
    0: "No operation, go on with the next resource",
    1: "No operation",
    2: "Stop the group",
    3: "Stop the cluster service",
    4: "Stop the cluster service and shut down",
    5: "Stop the cluster service and reboot",
    8: "Panic by sysrq",
    9: "Reset by keepalive",
    10: "Panic by keepalive",
    11: "Reset by BMC",
    12: "Power off by BMC",
    13: "Power cycle by BMC",
    14: "NMI by BMC",
    15: "I/O fencing",
    16: "Stop the resource",
}
_HARD = (8, 9, 10, 11, 12, 13, 14, 15)


def final_action(*allowed: int) -> Kind:
    """One of the format's final action numbers (model.FinalAction)."""
    return numbered(*((action, ACTIONS[action]) for action in allowed), name="final action")


_ACTIVATION = "Activation"
_DEACTIVATION = "Deactivation"
_DEPENDENCY = "Dependency"
_CHECKS = "Monitoring"
_RECOVERY = "Recovery"
_BEFORE = "Script before recovery"

COMMENT = Param("comment", "Comment", TEXT, default="", applies="noted")

_RESOURCE = (
    COMMENT,
    Param(
        "depend@*", "Depends on", LINK, section=_DEPENDENCY, refers="resource",
        help="Resources of the same group that start before and stop after this one. Without any entry the default of "
        "the type holds; one empty entry means that there is no dependency.",
        source=f"{FORMAT} 7",
    ),
    Param(
        "act/timeout", "Activation timeout", STEP_TIMEOUT, default=180, unit="s", section=_ACTIVATION, applies="noted",
        advanced=True, help="The original writes 180 s more than the longest wait of the type.",
        source=f"{FORMAT} 7",
    ),
    Param(
        "act/retry", "Activation retries", RETRY, default=0, section=_ACTIVATION, applies="noted",
        help="Further attempts on the same server after the first one failed.", source=f"{FORMAT} 7",
    ),
    Param(
        "act/fo", "Failovers", RETRY, default=1, section=_ACTIVATION, applies="noted",
        help="How often another server is tried when the retries have failed.", source=OWN,
    ),
    Param(
        "act/action", "Final action at activation failure", final_action(0, 1, 2, 3, 4, 5, *_HARD), default=1,
        section=_ACTIVATION, applies="noted", help="What follows when no server could activate it.",
        source=f"{FORMAT} 7",
    ),
    Param(
        "deact/timeout", "Deactivation timeout", STEP_TIMEOUT, default=180, unit="s", section=_DEACTIVATION,
        applies="noted", advanced=True, help="The original writes 180 s more than the longest wait of the type.",
        source=f"{FORMAT} 7",
    ),
    Param(
        "deact/retry", "Deactivation retries", RETRY, default=0, section=_DEACTIVATION, applies="noted",
        help="Further attempts after the first one failed.", source=f"{FORMAT} 7",
    ),
    Param(
        "deact/action", "Final action at deactivation failure", final_action(0, 1, 4, 5, *_HARD), default=4,
        section=_DEACTIVATION, applies="noted",
        help="Never \"No operation\" in production: the group could come to run on two servers.",
        source=f"{FORMAT} 7; {GUIDE} 5",
    ),
)  # fmt: skip

_MONITOR = (
    COMMENT,
    Param(
        "target", "Target resource", TEXT, default="", section=_CHECKS, refers="resource",
        help="The resource that is watched. Needed where monitoring depends on it.", source=f"{FORMAT} 8",
    ),
    Param(
        "polling/timing", "Monitor timing", choice(("0", "Always"), ("1", "While the target is active")), default="0",
        section=_CHECKS, help="Always, or only where the target resource is active.", source=f"{FORMAT} 8",
    ),
    Param(
        "polling/interval", "Interval", INTERVAL, default=60, unit="s", section=_CHECKS,
        help="From the start of one check to the start of the next.", source=OWN,
    ),
    Param(
        "polling/timeout", "Timeout", INTERVAL, default=60, unit="s", section=_CHECKS,
        help="A check that takes longer counts as an error.", source=OWN,
    ),
    Param(
        "polling/reconfirmation", "Retries", COUNT, default=0, section=_CHECKS,
        help="An error counts only after so many further checks have failed as well.", source=f"{FORMAT} 8",
    ),
    Param(
        "firstmonwait", "Wait before the first check", WAIT, default=0, unit="s", section=_CHECKS,
        help="Time for the application to become ready.", source=f"{FORMAT} 8",
    ),
    Param(
        "polling/servers@*/name", "Servers", TEXT, section=_CHECKS, refers="server", advanced=True,
        help="Only these servers run the monitor; without an entry all of them do.", source=f"{FORMAT} 8",
    ),
    Param(
        "multi", "Runs several times", BOOLEAN, default=False, section=_CHECKS, advanced=True,
        help="Written by Windows versions only; it has no effect here.", source=f"{FORMAT} 8",
    ),
    Param(
        "relation/type", "Kind of the recovery target",
        choice(("rsc", "Resource"), ("grp", "Group"), ("cls", "This server")), default="", section=_RECOVERY,
        help="Without a recovery target errors are only shown.", source=f"{FORMAT} 8",
    ),
    Param(
        "relation/name", "Recovery target", TEXT, default="", section=_RECOVERY, refers="resource group",
        help="The resource or the group; LocalServer where the server itself is meant.", source=f"{FORMAT} 8",
    ),
    Param(
        "emergency/threshold/script", "Script runs before reactivation", COUNT, default=0, section=_RECOVERY,
        advanced=True, help="How often a recovery script runs before the target is reactivated.",
        source=f"{FORMAT} 8",
    ),
    Param(
        "emergency/threshold/restart", "Reactivations", COUNT, default=3, section=_RECOVERY,
        only_when=(("relation/type", ("rsc", "grp")),),
        help="How often the target is stopped and started on the same server.", source=f"{FORMAT} 8",
    ),
    Param(
        "emergency/threshold/fo", "Failovers", COUNT, default=1, section=_RECOVERY,
        only_when=(("relation/type", ("rsc", "grp")),),
        help="How often the group moves to another server after the reactivations.", source=f"{FORMAT} 8",
    ),
    Param(
        "emergency/threshold/fo2", "Failovers (Windows)", COUNT, default=1, section=_RECOVERY, advanced=True,
        help="As Windows versions write it; it counts where the usual one is missing.", source=f"{FORMAT} 8",
    ),
    Param(
        "emergency/action", "Final action", final_action(0, 1, 2, 3, 4, 5, *_HARD, 16), default=1, section=_RECOVERY,
        help="What follows when neither reactivation nor failover helped.", source=f"{FORMAT} 7, 8",
    ),
    Param(
        "emergency/timeout/notreconfirmation/use", "No retry after a timeout", BOOLEAN, default=False,
        section=_RECOVERY, advanced=True, help="A check that ran into its timeout counts at once.",
        source=f"{FORMAT} 8",
    ),
    Param(
        "emergency/timeout/notrecovery/use", "No recovery after a timeout", BOOLEAN, default=False, section=_RECOVERY,
        advanced=True, help="A check that ran into its timeout is only shown.", source=f"{FORMAT} 8",
    ),
    Param(
        "openclp/observe", "Observe only", BOOLEAN, default=False, section=_RECOVERY, applies="noted",
        help="Errors are shown and counted, and nothing is recovered.", source=OWN,
    ),
    Param(
        "emergency/preaction/userestart", "Before reactivation", BOOLEAN, default=False, section=_BEFORE,
        applies="noted", source=f"{FORMAT} 8",
    ),
    Param(
        "emergency/preaction/usefailover", "Before failover", BOOLEAN, default=False, section=_BEFORE,
        applies="noted", source=f"{FORMAT} 8",
    ),
    Param(
        "emergency/preaction/use", "Before the final action", BOOLEAN, default=False, section=_BEFORE,
        applies="noted", source=f"{FORMAT} 8",
    ),
    Param(
        "emergency/preaction/path", "Script", SCRIPT, default="preaction.sh", section=_BEFORE, applies="noted",
        help="Runs on the server of the error; the recovery follows whatever its result is.", source=f"{FORMAT} 8",
    ),
    Param(
        "emergency/preaction/timeout", "Timeout of the script", SCRIPT_TIMEOUT, default=5, unit="s", section=_BEFORE,
        applies="noted", help="Then the recovery follows all the same.", source=OWN,
    ),
    Param(
        "emergency/preaction/default", "Edited as text", BOOLEAN, default=False, section=_BEFORE, applies="noted",
        advanced=True, help="Bookkeeping of the original's editor; it has no effect.", source=f"{FORMAT} 8",
    ),
    Param(
        "emergency/prefailover/migration", "Migrate before failover", BOOLEAN, default=False, section=_RECOVERY,
        advanced=True, help="For virtual machines.", source=f"{FORMAT} 8",
    ),
    Param(
        "emergency/dumpcollect/use", "Collect a dump", BOOLEAN, default=False, section=_RECOVERY, applies="noted",
        advanced=True, help="Save the memory of what is watched before it is recovered.", source=f"{FORMAT} 8",
    ),
    Param(
        "emergency/infocollect/use", "Collect logs", BOOLEAN, default=False, section=_RECOVERY, applies="noted",
        advanced=True, help="Save the logs before the recovery.", source=f"{FORMAT} 8",
    ),
    Param(
        "emergency/infocollect/timeout", "Timeout of collecting logs", WAIT, default=600, unit="s", section=_RECOVERY,
        applies="noted", advanced=True, only_when=(("emergency/infocollect/use", ("1",)),), source=f"{FORMAT} 8",
    ),
)  # fmt: skip

_HEARTBEAT = (
    COMMENT,
    Param(
        "priority", "Priority", integer(0, 99), default=0,
        help="The lowest number carries first; it runs over the heartbeats of all types.", source=f"{FORMAT} 4",
    ),
)  # fmt: skip

_PARTITION = (
    COMMENT,
    Param("priority", "Priority", integer(0, 99), default=0, help="The lowest number is asked first.",
          source=f"{FORMAT} 4"),
)  # fmt: skip

_FENCE = (
    COMMENT,
    Param(
        "agent", "Fence agent", word(64, r"fence_[A-Za-z0-9_]{1,60}", "fence agent",
                                     "Name a program of the package fence-agents, for example fence_ipmilan."),
        required=True, help="A program of the package fence-agents; it names its own options.", source=OWN,
    ),
    Param(
        "level", "Level", integer(1, 9), default=1,
        help="All devices of one level must succeed; the next level is tried when one of them fails.", source=OWN,
    ),
    Param(
        "delay", "Delay", seconds(0, 300), default=0, unit="s",
        help="Waited before, so that two servers do not shoot each other at once.", source=OWN,
    ),
    Param("timeout", "Timeout", seconds(1, 3600), default=60, unit="s",
          help="The agent has so long to prove that the server is off.", source=OWN),
    Param("server@*", "Targets", LINK, refers="server",
          help="Servers that this device can force off; without an entry all of them.", source=OWN),
)  # fmt: skip

COMMON: Mapping[str, tuple[Param, ...]] = {
    "resource": _RESOURCE,
    "monitor": _MONITOR,
    "heartbeat": _HEARTBEAT,
    "networkpartition": _PARTITION,
    "openclp/fence": _FENCE,
}


def by_path(params: tuple[Param, ...]) -> Mapping[str, Param]:
    return {param.path: param for param in params}


def with_common(spec: TypeSpec) -> tuple[Param, ...]:
    """All that an object of this type can have; what the type says of a common parameter wins."""
    own = by_path(spec.params)
    common = tuple(_for_type(param, spec) for param in COMMON.get(spec.section, ()) if param.path not in own)
    return common + spec.params


def common_default(path: str, spec: TypeSpec | None) -> object:
    """Of a resource's step: types differ in how long they may take."""
    return _STEPS[path](spec) if spec is not None and path in _STEPS else _BY_PATH[path].default


_BY_PATH = by_path(_RESOURCE)
_STEPS: Mapping[str, Callable[[TypeSpec], object]] = {
    "act/timeout": lambda spec: spec.activation_timeout_s,
    "act/retry": lambda spec: spec.activation_retry,
    "deact/timeout": lambda spec: spec.deactivation_timeout_s,
}


def _for_type(param: Param, spec: TypeSpec) -> Param:
    is_step = spec.section == "resource" and param.path in _STEPS
    return replace(param, default=_STEPS[param.path](spec)) if is_step else param
