"""When the manager listened to which cluster, and how each group stood when it was seen first."""

from __future__ import annotations

import asyncio
import logging
import time

from django.db import DatabaseError

from webmanager.hub import Hub, Room
from webmanager.ledger import in_db
from webmanager.models import Cluster
from webmanager.recoveries import services

log = logging.getLogger(__name__)

_EACH_S = 10.0


async def watch(there: Hub) -> None:
    """As long as the hub lives."""
    seen: dict[str, set[str]] = {}  # cluster -> groups that are stored
    while True:
        now = time.time()
        for room in tuple(there.rooms.values()):
            if _is_heard(room):
                running = _running(room, seen.setdefault(room.name, set()))
                try:
                    await in_db(_note, room.name, running, now)
                    seen[room.name] |= running.keys()
                except DatabaseError:
                    log.exception("cannot note that cluster %s is heard", room.name)
        await asyncio.sleep(_EACH_S)


def _is_heard(room: Room) -> bool:
    states = room.reducer.agent_states(asyncio.get_running_loop().time())
    return any(agent["connected"] for agent in states.values())


def _running(room: Room, seen: set[str]) -> dict[str, str]:
    """group -> server; "" only of what surely runs nowhere: every server has told, and nothing is on its way."""
    status = room.status()
    told = all(server["status"] != "Unknown" for server in status["servers"].values())
    found = {}
    for group in status["groups"].values():
        if group["name"] in seen:
            continue
        if group["status"] == "Online" and group["current"]:
            found[group["name"]] = group["current"]
        elif group["status"] == "Offline" and told:
            found[group["name"]] = ""
    return found


def _note(name: str, running: dict[str, str], now: float) -> None:
    cluster = Cluster.objects.defer("config").filter(name=name).first()
    if cluster is None:
        return
    services.listened(cluster=cluster, now=now)
    if running:
        services.saw(cluster=cluster, running=running, now=now)
