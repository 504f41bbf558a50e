"""Monitor resources of clp.conf, with their rules."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Literal, cast

from agent.clpconf.entry import Entry
from agent.clpconf.groups import final_action, read_overrides
from agent.clpconf.kinds import BOOLEAN, SCRIPT, choice, integer, seconds
from agent.clpconf.model import Monitor, Preaction

_INTERVAL = seconds(0.05, 999999)
_COUNT = integer(0, 9999)
_SCRIPT_TIMEOUT = seconds(1, 9999)
_ACTION = final_action(0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15, 16)
_TIMING = choice(("0", "always"), ("1", "while the target is active"))
_RECOVERY = choice(("rsc", "a resource"), ("grp", "a group"), ("cls", "the server"))
MONITOR_APART = frozenset(("server",))
_COMMON = frozenset(
    (
        "comment", "target", "firstmonwait", "polling/*", "relation/*",
        "emergency/threshold/restart", "emergency/threshold/fo", "emergency/threshold/fo2", "emergency/action",
        "emergency/preaction/use", "emergency/preaction/userestart", "emergency/preaction/usefailover",
        "emergency/preaction/path", "emergency/preaction/timeout", "emergency/preaction/default",
        "emergency/timeout/notreconfirmation/use", "emergency/timeout/notrecovery/use", "openclp/*",
    )
)  # fmt: skip


def read_monitor(entry: Entry, servers: Collection[str], known: Callable[[str, str], bool]) -> Monitor:
    """`entry` without what MONITOR_APART names. `known(kind, name)`: is there this resource (rsc) or group (grp)?"""
    timing: Literal["always", "active"] = "active" if entry.read("polling/timing", _TIMING, "0") == "1" else "always"
    failover_path = "emergency/threshold/fo" if entry.text("emergency/threshold/fo") else "emergency/threshold/fo2"
    recovery_type, recovery_name = _recovery(entry, known)
    return Monitor(
        name=entry.name,
        type=entry.element.name,
        comment=entry.text("comment"),
        target=_target(entry, timing, known),
        timing=timing,
        interval_s=entry.read("polling/interval", _INTERVAL, 60),
        timeout_s=entry.read("polling/timeout", _INTERVAL, 60),
        retries=entry.read("polling/reconfirmation", _COUNT, 0),
        first_wait_s=entry.read("firstmonwait", seconds(0, 999999), 0),
        servers=_servers(entry, servers),
        recovery_type=recovery_type,
        recovery_name=recovery_name,
        restart_threshold=entry.read("emergency/threshold/restart", _COUNT, 3),
        failover_threshold=entry.read(failover_path, _COUNT, 1),
        action=entry.read("emergency/action", _ACTION, 1),
        preaction=_preaction(entry),
        observe=entry.read("openclp/observe", BOOLEAN, default=False),
        retry_timeout=not entry.read("emergency/timeout/notreconfirmation/use", BOOLEAN, default=False),
        recover_timeout=not entry.read("emergency/timeout/notrecovery/use", BOOLEAN, default=False),
        values=entry.values(_COMMON),
        overrides=read_overrides(entry),
    )


def _preaction(entry: Entry) -> Preaction | None:
    """None when no step asks for it."""
    steps = {
        step: entry.read(f"emergency/preaction/{word}", BOOLEAN, default=False)
        for step, word in (("restart", "userestart"), ("failover", "usefailover"), ("final", "use"))
    }
    if not any(steps.values()):
        return None
    return Preaction(
        path=entry.read("emergency/preaction/path", SCRIPT, Preaction().path),
        timeout_s=entry.read("emergency/preaction/timeout", _SCRIPT_TIMEOUT, Preaction().timeout_s),
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
    kind = entry.read("relation/type", _RECOVERY, "")
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
