"""What clpstat says of the configuration: a change that is under way, how the newest ended, servers that differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]

_PHASES = {
    "stopping": "the groups that it concerns are being stopped",
    "freezing": "every server is told to decide nothing meanwhile",
    "switching": "the servers exchange their files and begin anew",
    "trying": "all servers run it, on trial",
    "confirming": "it stays, and each server makes that durable",
}


def notes(status: Json, *, always: bool = False) -> list[str]:
    """`always`: also how the newest change ended, which is no news."""
    change = status["cluster"].get("configuration")
    if not change:
        return []
    if change["phase"]:
        return [_under_way(change)]
    found = [_different(change)] if _runs(change) > 1 else []
    if change["state"] == "returned" and always:
        found.append(f"The newest change of the configuration was taken back: {change['reason'] or 'no reason'}.")
    return found


def _under_way(change: Json) -> str:
    who = f" ({change['by']}{': ' if change['why'] else ''}{change['why']})" if change["by"] else ""
    if change["back"]:
        return f"The servers return to the configuration before{who}."
    text = f"The configuration is being changed{who}: {_PHASES.get(change['phase'], change['phase'])}."
    if change["left_s"] is None:
        return text
    kept = "it is kept by itself then if the cluster is well, else " if change["health"] else ""
    return (
        f"{text} {change['left_s']:.0f} s are left to keep it (clpcfctrl --keep): {kept}every server returns to the "
        "one before."
    )


def _runs(change: Json) -> int:
    return len({server["config"] for server in change["servers"].values() if server["config"]})


def _different(change: Json) -> str:
    by_config: dict[str, list[str]] = {}
    for name, server in change["servers"].items():
        if server["config"]:
            by_config.setdefault(server["config"], []).append(name)
    sides = "; ".join(f"{', '.join(names)}: {config}" for config, names in by_config.items())
    return f"The servers run different configurations ({sides}). Deliver the right one: clpcfctrl --push -h SERVER."
