"""Why a failover group is where it is, from the servers' own log; and where it goes next, by the simulator."""

from __future__ import annotations

from typing import Any

from agent.clpconf import model
from webmanager import play, selectors
from webmanager.hub import hub
from webmanager.models import Cluster

_DEPTH_MOST = 8
_NOTES_MOST = 60
_ON = ("Online", "Suspend", "Online Pending", "Offline Pending")


def why(*, cluster: Cluster, group: str) -> list[dict[str, Any]]:
    """The newest decision about it with `depth` 0, and what it follows from below it; [] when none is known."""
    from agent.sim.explain import DECISIONS

    notes = {note["id"]: note for note in selectors.events_about(cluster=cluster, kind="group", name=group)}
    own = [note for note in notes.values() if note["kind"] == "group" and note["name"] == group]
    decided = (note for note in own if note["rule"] or (note["module"], note["event"]) in DECISIONS)
    newest = next(decided, None)
    return _chain(notes, newest) if newest is not None else []


def _chain(notes: dict[str, dict[str, Any]], first: dict[str, Any]) -> list[dict[str, Any]]:
    """Each once, nearest first along each branch."""
    found: list[dict[str, Any]] = []
    waiting, seen = [(0, first["id"])], set()
    while waiting and len(found) < _NOTES_MOST:
        depth, name = waiting.pop()
        if name in seen or name not in notes or depth > _DEPTH_MOST:
            continue
        seen.add(name)
        found.append({**notes[name], "depth": depth})
        waiting += [(depth + 1, cause) for cause in reversed(notes[name]["causes"])]
    return found


async def places(*, cluster: str, status: dict[str, Any], group: str) -> list[dict[str, Any]]:
    """Each server of its policy, with what speaks for and against it."""
    there = await hub().ready()
    table = there.rooms[cluster].reducer.table() if cluster in there.rooms else None
    record = table.groups.get(group) if table is not None else None
    failed = {*record.failed_on, *record.tried} if record is not None else set()
    found = status["groups"][group]
    unknown = {"status": "Unknown", "detail": ""}
    return [
        {
            "server": name,
            "server_status": status["servers"].get(name, unknown)["status"],
            "status": (here := found["servers"].get(name, unknown))["status"],
            "detail": here["detail"],
            "quarantine": bool(status["servers"].get(name, {}).get("quarantine")),
            "failed": name in failed,
        }
        for name in found["policy"]
    ]


async def next_places(*, cluster: str, status: dict[str, Any], group: str) -> list[dict[str, Any]]:
    """What becomes of it when its server is lost, and when it is moved or started without naming a server."""
    events = _events(status, group)
    config = await selectors.config(cluster=cluster)
    if config is None:
        return [
            _told(event, group, play.Told(error="No readable configuration of this cluster is known."))
            for event in events
        ]
    try:
        told = await play.ask(question(config, status, tuple((event,) for event in events)))
    except (play.BusyError, play.FailedError) as error:
        told = [play.Told(error=str(error))] * len(events)
    return [_told(event, group, one) for event, one in zip(events, told, strict=True)]


def _events(status: dict[str, Any], group: str) -> list[str]:
    current = status["groups"][group]["current"]
    if current:
        return [f"crash {current}", f"ask {current} group_move {group}"]
    on = next((name for name, server in status["servers"].items() if server["status"] in _ON), "")
    return [f"ask {on} group_start {group}"] if on else []


def _told(event: str, group: str, told: play.Told) -> dict[str, Any]:
    if told.story is None:
        return {"event": event, "fate": None, "error": told.error}
    return {"event": event, "fate": next((f for f in told.story["fates"] if f["group"] == group), None), "error": ""}


def question(config: model.Cluster, status: dict[str, Any], plays: tuple[tuple[str, ...], ...]) -> play.Question:
    """From how the cluster is now."""
    known = {group.name for group in config.groups}
    return play.Question(
        cluster=config,
        plays=plays,
        placed={n: g["current"] for n, g in status["groups"].items() if n in known and g["current"]},
        off=tuple(n for n in config.server_names if status["servers"].get(n, {}).get("status") not in _ON),
        suspended=bool(status["cluster"]["suspended"]),
    )
