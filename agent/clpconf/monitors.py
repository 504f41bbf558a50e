"""Monitor resources of clp.conf, with their rules."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Literal, cast

from agent.clpconf.entry import Entry
from agent.clpconf.groups import read_overrides
from agent.clpconf.model import Monitor, Preaction
from agent.clpconf.sections_common import COMMON, by_path

MONITOR_APART = frozenset(("server",))
_MONITOR = by_path(COMMON["monitor"])


def read_monitor(entry: Entry, servers: Collection[str], known: Callable[[str, str], bool]) -> Monitor:
    """`entry` without what MONITOR_APART names. `known(kind, name)`: is there this resource (rsc) or group (grp)?"""
    timing: Literal["always", "active"] = "active" if entry.get(_MONITOR["polling/timing"]) == "1" else "always"
    failover_path = "emergency/threshold/fo" if entry.text("emergency/threshold/fo") else "emergency/threshold/fo2"
    recovery_type, recovery_name = _recovery(entry, known)
    return Monitor(
        name=entry.name,
        type=entry.element.name,
        comment=entry.text("comment"),
        target=_target(entry, timing, known),
        timing=timing,
        interval_s=entry.get(_MONITOR["polling/interval"]),
        timeout_s=entry.get(_MONITOR["polling/timeout"]),
        retries=entry.get(_MONITOR["polling/reconfirmation"]),
        first_wait_s=entry.get(_MONITOR["firstmonwait"]),
        servers=_servers(entry, servers),
        recovery_type=recovery_type,
        recovery_name=recovery_name,
        restart_threshold=entry.get(_MONITOR["emergency/threshold/restart"]),
        failover_threshold=entry.get(_MONITOR[failover_path]),
        action=entry.get(_MONITOR["emergency/action"]),
        preaction=_preaction(entry),
        observe=entry.get(_MONITOR["openclp/observe"]),
        retry_timeout=not entry.get(_MONITOR["emergency/timeout/notreconfirmation/use"]),
        recover_timeout=not entry.get(_MONITOR["emergency/timeout/notrecovery/use"]),
        values=entry.values(_MONITOR),
        overrides=read_overrides(entry),
    )


def _preaction(entry: Entry) -> Preaction | None:
    """None when no step asks for it."""
    steps = {
        step: entry.get(_MONITOR[f"emergency/preaction/{word}"])
        for step, word in (("restart", "userestart"), ("failover", "usefailover"), ("final", "use"))
    }
    if not any(steps.values()):
        return None
    return Preaction(
        path=entry.get(_MONITOR["emergency/preaction/path"]),
        timeout_s=entry.get(_MONITOR["emergency/preaction/timeout"]),
        **steps,
    )


def _target(entry: Entry, timing: str, known: Callable[[str, str], bool]) -> str:
    target = entry.text("target")
    if not target and timing == "active":
        entry.find("monitor.target", "error", f"Monitor {entry.name} watches while its target is active, but has none.",
                   "Name a resource in <target>, or set polling/timing to 0.", "target")  # fmt: skip
    elif target and not known("rsc", target):
        entry.find("monitor.target", "error", f'Monitor {entry.name} watches "{target}", which does not exist.',
                   "Name an existing resource.", "target")  # fmt: skip
    return target


def _recovery(entry: Entry, known: Callable[[str, str], bool]) -> tuple[Literal["rsc", "grp", "cls", ""], str]:
    kind = entry.get(_MONITOR["relation/type"])
    name = entry.text("relation/name")
    if not entry.text("relation/type"):
        entry.find("monitor.recovery", "note", f"Monitor {entry.name} has no recovery target: errors are only shown.",
                   "Write <relation> with type and name.")  # fmt: skip
        return "", ""
    if kind in ("rsc", "grp") and not known(kind, name):
        what = "resource" if kind == "rsc" else "group"
        entry.find("monitor.recovery", "error", f'Monitor {entry.name} recovers {what} "{name}", which does not exist.',
                   f"Name an existing {what}.", "relation/name")  # fmt: skip
    return cast(Literal["rsc", "grp", "cls", ""], kind), name


def _servers(entry: Entry, servers: Collection[str]) -> tuple[str, ...]:
    """Where it runs; empty: everywhere."""
    names = []
    for path in sorted(path for path in entry.leaves if path.startswith("polling/servers")):
        name = entry.text(path)
        if name in servers:
            names.append(name)
        elif name:
            entry.find("monitor.server", "error", f'Monitor {entry.name} runs on "{name}", which does not exist.',
                       f"Name one of {', '.join(servers) or 'the servers'}.", path)  # fmt: skip
    return tuple(dict.fromkeys(names))
