"""A drill: a failure on purpose, bounded in time, as it is asked for and as the server on which it runs reports it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, get_args

import msgspec

from agent.wire.epoch import NO_EPOCH, Epoch

Kind = Literal["crash", "reset", "hang", "link", "monitor"]
Way = Literal["both", "deaf", "mute"]
KINDS: tuple[str, ...] = get_args(Kind)
WAYS: tuple[str, ...] = get_args(Way)

LEAST_S, MOST_S = 1.0, 600.0
BEGINS_S = 0.5  # between the word that it begins and the failure itself: so that the word arrives
# A hang up to this part of the heartbeat timeout is not to be noticed by anybody.
UNNOTICED = 0.5


class Drill(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What shall fail. The server stands in the request (`target`)."""

    kind: Kind
    bound_s: float  # it ends by itself after so long; of a reset: no bound, the machine boots as it does
    heartbeats: tuple[str, ...] = ()  # of a link: these paths, () for all of them
    way: Way = "both"  # deaf: the server hears nothing there; mute: it says nothing
    monitor: str = ""
    incarnation: int = 0  # of the server when it was asked: another start of it is not meant
    epoch: Epoch = NO_EPOCH  # of the view in which the coordinator has allowed it


class DrillReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The drill that runs on the reporting server (times as Note.time)."""

    id: str  # of the request
    kind: Kind
    began: float
    ends: float
    what: str  # in words
    by: str = ""


def what(drill: Drill, server: str) -> str:
    """What fails, in words."""
    if drill.kind == "link":
        names = f"heartbeat paths {', '.join(drill.heartbeats)}" if drill.heartbeats else "all heartbeat paths"
        how = {"both": "deaf and mute", "deaf": "deaf", "mute": "mute"}[drill.way]
        return f"{names} of {server} {how}"
    return {
        "crash": f"crash of {server}",
        "reset": f"reset of the machine {server}",
        "hang": f"hang of the agent on {server}",
        "monitor": f"monitor {drill.monitor} on {server} reports an error",
    }[drill.kind]


def wrong(drill: Drill, heartbeats: Collection[str], monitors: Collection[str]) -> str:
    """Why this cannot be a drill at all, with the remedy; "" when it can. The names are those of the configuration."""
    if not LEAST_S <= drill.bound_s <= MOST_S:  # Not a number is neither.
        return f"A drill lasts from {LEAST_S:g} to {MOST_S:g} s; {drill.bound_s:g} s is not possible."
    if drill.kind == "monitor" and drill.monitor not in monitors:
        return f'There is no monitor "{drill.monitor}"; there are: {", ".join(monitors) or "none"}.'
    if drill.kind == "link" and (unknown := [name for name in drill.heartbeats if name not in heartbeats]):
        return f'There is no heartbeat "{unknown[0]}"; there are: {", ".join(heartbeats) or "none"}.'
    if drill.kind != "link" and (drill.heartbeats or drill.way != "both"):
        return f"A {drill.kind} concerns no heartbeat paths; leave them out."
    if drill.kind != "monitor" and drill.monitor:
        return f"A {drill.kind} concerns no monitor; leave it out."
    return ""


def events(drill: Drill, server: str) -> tuple[str, ...]:
    """The same in the scenario language, with its end, for the simulator."""
    until = f"at {drill.bound_s:g}"
    if drill.kind in ("crash", "reset"):
        return (f"crash {server}", f"{until} power_on {server}")
    if drill.kind == "hang":
        return (f"pause {server}", f"{until} resume {server}")
    if drill.kind == "monitor":
        wish = f"{drill.monitor} to {server}"
        return (f"ask {server} monitor_fail {wish}", f"{until} ask {server} monitor_mend {wish}")
    if not drill.heartbeats:
        return (f"isolate {server}", f"{until} heal")
    return (*(f"cut {name} {server}" for name in drill.heartbeats), f"{until} heal")
