"""A mirror disk of a status as pages and programs show it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from agent.wire.mirror import (
    active_on,
    cells,
    color_of,
    generations,
    left_of,
    lineage,
    percent_of,
    size_text,
    source_of,
)
from webmanager.mirrors import losses, picture, words
from webmanager.templatetags.console import moment, span

Mirror = Mapping[str, Any]


def shown(mirror: Mirror) -> dict[str, Any]:
    """All that the page of one mirror says."""
    sides = mirror["servers"]
    heard = [one for one in sides.values() if one is not None]
    look, word = words.STATUSES.get(mirror["status"], ("unknown", mirror["status"]))
    return {
        **{key: mirror[key] for key in ("name", "comment", "group", "device", "status")},
        "look": look,
        "word": word,
        "active_on": active_on(sides),
        "facts": facts(mirror),
        "separated": any(one.get("separated_at") for one in heard),
        "can_separate": any(one["relation"] == "equal" and not one["active"] for one in heard),
        "sides": [_side(mirror, server, one) for server, one in sides.items()],
        "recovery": _recovery(mirror),
        "compared": _compared(mirror),
        "lineage": words.sentence(*told) if (told := lineage(sides)) else "",
        "generations": _generations(mirror),
        "force": [losses.report(dict(mirror), server) for server in sides],
        "ways": _ways(mirror),
    }


def listed(mirror: Mirror) -> dict[str, Any]:
    """One line in the list of all."""
    look, word = words.STATUSES.get(mirror["status"], ("unknown", mirror["status"]))
    return {
        **{key: mirror[key] for key in ("name", "comment", "group", "device")},
        "look": look,
        "word": word,
        "active_on": active_on(mirror["servers"]),
        "colors": [_colored(mirror, server) for server in mirror["servers"]],
        "fact": facts(mirror)[0],
        "recovery": _recovery(mirror),
    }


def facts(mirror: Mirror) -> list[dict[str, Any]]:
    return [
        {"look": look, "code": code, "text": words.marked(code, values), "next": words.following(code, values)}
        for look, code, values in mirror["facts"]
    ]


def _colored(mirror: Mirror, server: str) -> dict[str, Any]:
    color = mirror["colors"].get(server) or color_of(mirror["servers"], server)
    look, means = words.COLORS.get(color, words.COLORS["GRAY"])
    return {"server": server, "color": color, "look": look, "word": words.COLOR_WORDS.get(color, color), "means": means}


def _side(mirror: Mirror, server: str, one: Mapping[str, Any] | None) -> dict[str, Any]:
    base = _colored(mirror, server)
    if one is None:
        return {**base, "heard": False}
    return {
        **base,
        "heard": True,
        "active": one["active"],
        "mode": words.MODES.get(one["mode"], one["mode"]),
        "isolated": one["isolated"],
        "separated_at": one.get("separated_at") or 0.0,
        "restoring_at": one.get("restoring_at") or 0.0,
        "can_separate": one["relation"] == "equal" and not one["active"],
        "doubt": one["doubt"],
        "error": one["error"],
        "size": size_text(one["size"]),
        "dirty": size_text(one["dirty"]),
        "last_update": one["last_update"],
        "broken_at": one["broken_at"],
        "whole": one["whole"],
        "constructed": one["constructed"],
        "picture": picture.bitmap(cells(_knows(mirror, one)), one["dirty"], one["size"]),
    }


def _knows(mirror: Mirror, one: Mapping[str, Any]) -> Mapping[str, Any]:
    """Who knows what this side lacks: while it is copied to, the other one, as its figures are."""
    source = mirror["servers"].get(one["peer"]) if one["relation"] == "target" else None
    return source or one


def _recovery(mirror: Mirror) -> dict[str, Any] | None:
    """The copy that runs now."""
    source = source_of(mirror["servers"])
    if not source:
        return None
    one = mirror["servers"][source]
    percent = percent_of(one)
    return {
        "source": source,
        "target": one["peer"],
        "percent": percent,
        "copied": size_text(one["copied"]),
        "of": size_text(one["to_copy"]),
        "left": size_text(left_of(one)),
        "rate": size_text(one["rate"]),
        "remaining": _("not known yet") if one["remaining_s"] is None else span(one["remaining_s"]),
        "pace": size_text(one["pace"]) if one["pace"] else "",
    }


def _compared(mirror: Mirror) -> dict[str, Any]:
    """The newest comparison of both disks; of the side that knows more."""
    found = [one for one in mirror["servers"].values() if one is not None and one["verify"]]
    running = next((one for one in found if one["verify"].get("running")), None)
    newest = max(found, key=lambda one: one["verify"].get("at") or 0, default=None)
    verify = newest["verify"] if newest else {}
    at, differing = verify.get("at") or 0.0, verify.get("differing") or 0
    done = (running["verify"].get("proven_until") or 0) if running else 0
    return {
        "running": running is not None,
        "percent": min(100.0, 100.0 * done / running["size"]) if running and running["size"] else None,
        "at": at,
        "age": span(max(0.0, time.time() - at)) if at else "",
        "differing": size_text(differing) if differing else "",
        "why": str(verify.get("why") or ""),
    }


def _generations(mirror: Mirror) -> list[dict[str, Any]]:
    """Newest first: when which server went on alone, and who knows of it."""
    known = {server: one for server, one in mirror["servers"].items() if one is not None}
    found: dict[str, dict[str, Any]] = {}
    for one in known.values():
        for entry in one["history"]:
            name = str(entry.get("name", ""))
            found.setdefault(name, {"name": name[:12], "at": entry.get("at") or 0, "server": entry.get("server") or ""})
    for name, entry in found.items():
        entry["known"] = [server for server, one in known.items() if name in generations(one)]
        entry["current"] = [server for server, one in known.items() if one["generation"] == name]
    return sorted(found.values(), key=lambda entry: -entry["at"])


def _ways(mirror: Mirror) -> list[dict[str, Any]]:
    """The mirror connects, as each side sees them."""
    found = []
    for server, one in mirror["servers"].items():
        if one is None:
            continue
        link = one["link"]
        paths = link.get("paths")
        found.append({
            "server": server,
            "peer": one["peer"],
            "connected": bool(link.get("connected")),
            "since": link.get("since") or 0.0,
            "why": str(link.get("why") or link.get("error") or ""),
            "paths": [_way(path) for path in paths if isinstance(path, dict)] if isinstance(paths, list) else [],
        })  # fmt: skip
    return found


def _way(path: Mapping[str, Any]) -> dict[str, Any]:
    trip = path.get("round_trip_s")
    look, word = words.WAYS.get(str(path.get("state")), ("unknown", path.get("state", "")))
    return {
        "name": str(path.get("name", "")),
        "own": str(path.get("own", "")),
        "peer": str(path.get("peer", "")),
        "look": look,
        "word": word,
        "since": moment(path.get("since") or 0.0),
        "trip": f"{1000 * trip:.2f} ms" if isinstance(trip, int | float) and trip else "",
        "error": str(path.get("error") or ""),
    }
