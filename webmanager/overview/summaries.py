"""All clusters in a few words each, for one socket: what is wrong since when, how much runs, how old that is.

Rules of this file
- Twice a second at most each cluster that changed is summed up once for all who look, however much changed in it;
  without anybody who looks nothing is done.
- Everybody gets only what he may see: the socket says which clusters (consumer.py).
- Each second a sign of life with the ages, so that a page notices silence by itself.
"""

from __future__ import annotations

import asyncio
import logging
import time
import weakref
from typing import TYPE_CHECKING, Any, Protocol, cast

from webmanager.hub import Room
from webmanager.overview.problems import Problem, problems, worst
from webmanager.reducer import encode
from webmanager.version import VERSION

if TYPE_CHECKING:
    from webmanager.hub import Hub

log = logging.getLogger(__name__)

EACH_S = 0.5
ALIVE_S = 1.0
PROBLEMS_SHOWN = 3
_found: weakref.WeakKeyDictionary[Hub, Summaries] = weakref.WeakKeyDictionary()


class Watcher(Protocol):
    visible: frozenset[str]

    def put(self, text: str) -> None: ...

    def begin(self, snapshot: str) -> None: ...


class Summaries:
    """Of one hub."""

    def __init__(self, there: Hub) -> None:
        self._hub = there
        self._known: dict[str, tuple[Any, str]] = {}  # cluster -> (mark of what was summed up, the message)

    @property
    def watchers(self) -> set[Watcher]:
        return cast("set[Watcher]", self._hub.overviews)

    def watch(self, watcher: Watcher, roles: dict[str, str]) -> None:
        """Sends what is known, then every change. `roles`: of whoever looks, on the clusters that he may see."""
        shown = [summary(self._hub.rooms.get(name) or Room(name), _now()) for name in sorted(watcher.visible)]
        watcher.begin(
            encode({"type": "summaries", "at": time.time(), "version": VERSION, "clusters": shown, "roles": roles})
        )
        self.watchers.add(watcher)

    def tick(self) -> None:
        for name, room in tuple(self._hub.rooms.items()):
            mark, before = _mark(room), self._known.get(name)
            if before is not None and before[0] == mark:
                continue
            text = encode({"type": "summary", "at": time.time(), "cluster": summary(room, _now())})
            self._known[name] = (mark, text)
            self._tell(name, text)

    def _tell(self, name: str, text: str) -> None:
        for watcher in tuple(self.watchers):
            if name in watcher.visible:
                watcher.put(text)

    def alive(self) -> None:
        now = _now()
        ages = {name: age_s(room, now) for name, room in self._hub.rooms.items()}
        for watcher in tuple(self.watchers):
            seen = {name: age for name, age in ages.items() if name in watcher.visible}
            watcher.put(encode({"type": "alive", "at": time.time(), "ages": seen}))


def _now() -> float:
    return asyncio.get_running_loop().time()


def of_hub(there: Hub) -> Summaries:
    if there not in _found:
        _found[there] = Summaries(there)
    return _found[there]


async def run(there: Hub) -> None:
    own, told = of_hub(there), 0.0
    while True:
        await asyncio.sleep(EACH_S)
        if not own.watchers:
            continue
        try:
            own.tick()
            if _now() - told >= ALIVE_S - EACH_S / 2:
                told = _now()
                own.alive()
        except Exception:  # One cluster's bad data must not silence the others.
            log.exception("the clusters cannot be summed up")


def _mark(room: Room) -> Any:
    """Equal as long as nothing changed that a summary shows."""
    return room.rev, room.events_told, tuple(room.open.values()), len(room.acks)


def age_s(room: Room, now: float) -> float | None:
    """Of the freshest word of any server; None: there is none."""
    ages = room.reducer.ages(now)
    return min(ages.values(), default=None)


def summary(room: Room, now: float) -> dict[str, Any]:
    status = room.reducer.status
    agents = room.reducer.agent_states(now)
    found = [_corrected(one, status, agents) for one in problems(status, agents)]
    servers = status["servers"].values() if status else ()
    groups = status["groups"].values() if status else ()
    return {
        "name": room.name,
        "comment": status["cluster"]["comment"] if status else "",
        "status": status["cluster"]["status"] if status and agents else "Unknown",
        "worst": worst(found),
        "problems": [one.as_dict() for one in found[:PROBLEMS_SHOWN]],
        "more": max(0, len(found) - PROBLEMS_SHOWN),
        "since": _since(found, room, now),
        "servers": {"all": len(servers), "online": sum(one["status"] == "Online" for one in servers)},
        "groups": {"all": len(groups), "online": sum(one["status"] == "Online" for one in groups)},
        "agents": {"all": len(servers), "connected": sum(agent["connected"] for agent in agents.values())},
        "age_s": age_s(room, now),
        "open": dict(room.open),
        "events": room.events_told,
        "acks": len(room.acks),
    }


def _corrected(one: Problem, status: Any, agents: dict[str, dict[str, Any]]) -> Problem:
    """Its time by the manager's clock, where the clock of the server that told it is wrong."""
    where = status["groups"][one.name]["current"] if one.kind == "group" else ""
    ahead_s = agents.get(where, {}).get("ahead_s", 0.0)
    return one._replace(since=one.since - ahead_s) if one.since and ahead_s else one


def _since(found: list[Problem], room: Room, now: float) -> float:
    """When the first problem began: as the object says, else by the newest event about it; 0: not known."""
    if not found:
        return 0.0
    first, age = found[0], age_s(room, now)
    if first.code == "silent":
        return time.time() - age if age is not None else 0.0
    if first.since:
        return first.since
    about = (event["time"] for event in reversed(room.reducer.events)
             if (event["kind"], event["name"]) == (first.kind, first.name))  # fmt: skip
    return next(about, 0.0)
