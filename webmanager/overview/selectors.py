"""What is known of all clusters: reads only."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from webmanager.hub import Room, hub
from webmanager.overview import problems, summaries


async def cards(*, roles: Mapping[str, str]) -> list[dict[str, Any]]:
    """A summary of each of these clusters with the role on it, worst first."""
    there = await hub().ready()
    now = asyncio.get_running_loop().time()
    found = []
    for name, role in roles.items():
        room = there.rooms.get(name) or Room(name)
        room.status()  # brings it up to date
        card = summaries.summary(room, now)
        said = [{**one, "text": problems.say(one)} for one in card["problems"]]
        found.append({**card, "problems": said, "role": role})
    return sorted(found, key=lambda card: (problems.RANKS.get(card["worst"], 9), card["name"]))


async def summary(*, cluster: str) -> dict[str, Any]:
    return (await cards(roles={cluster: ""}))[0]


async def open_events(*, cluster: str) -> dict[str, int]:
    """How many errors and warnings nobody has acknowledged."""
    room = (await hub().ready()).rooms.get(cluster)
    return dict(room.open) if room else {"error": 0, "warning": 0}
