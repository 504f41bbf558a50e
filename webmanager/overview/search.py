"""Finds objects of all clusters by what people remember of them: a name, an address, a word of the comment."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from django.urls import reverse

from webmanager.hub import Room, hub

LONGEST, WORDS_MOST = 100, 8
FOUND_MOST = 50
KINDS = ("cluster", "server", "group", "resource", "monitor", "heartbeat", "resolver", "fence")


class Entry(NamedTuple):
    kind: str
    name: str
    status: str
    about: str  # what is shown beside the name: address, type, comment


class Hit(NamedTuple):
    rank: int
    cluster: str
    entry: Entry

    def as_dict(self) -> dict[str, Any]:
        return {"cluster": self.cluster, **self.entry._asdict(), "path": path(self.cluster, *self.entry[:2])}


async def search(*, clusters: Iterable[str], q: str, limit: int = FOUND_MOST) -> tuple[list[dict[str, Any]], int]:
    """(the best ones, how many there are)."""
    there = await hub().ready()
    words = q[:LONGEST].lower().split()[:WORDS_MOST]
    if not words:
        return [], 0
    hits = [hit for name in clusters if (room := there.rooms.get(name)) for hit in _in(room, words)]
    best = heapq.nsmallest(limit, hits, key=lambda hit: (hit.rank, KINDS.index(hit.entry.kind), hit.entry.name,
                                                         hit.cluster))  # fmt: skip
    return [hit.as_dict() for hit in best], len(hits)


def _in(room: Room, words: list[str]) -> Iterator[Hit]:
    """Every word has to be in the name, beside it or in the name of the cluster."""
    for entry in entries(room):
        name = entry.name.lower()
        text = f"{name} {entry.kind} {entry.about} {room.name}".lower()
        if all(word in text for word in words):
            yield Hit(_rank(name, words), room.name, entry)


def _rank(name: str, words: list[str]) -> int:
    if name == words[0]:
        return 0
    if any(name.startswith(word) for word in words):
        return 1
    return 2 if any(word in name for word in words) else 3


def entries(room: Room) -> Iterator[Entry]:
    status = room.reducer.status
    if status is None:
        yield Entry("cluster", room.name, "Unknown", "")
        return
    yield Entry("cluster", room.name, status["cluster"]["status"], status["cluster"]["comment"])
    addresses = _addresses(room)
    for one in status["servers"].values():
        yield Entry("server", one["name"], one["status"], _join(addresses.get(one["name"], ""), one["comment"]))
    for one in status["groups"].values():
        held = (status["resources"].get(name, {}).get("address", "") for name in one["resources"])
        yield Entry("group", one["name"], one["status"], _join(*held, one["comment"]))
    for one in status["resources"].values():
        yield Entry("resource", one["name"], one["status"], _join(one["type"], one["address"], one["comment"]))
    for one in status["monitors"].values():
        yield Entry("monitor", one["name"], one["status"], _join(one["type"], one["target"], one["comment"]))
    yield from _paths(status)
    for one in status["fences"].values():
        yield Entry("fence", one["name"], "", one["agent"])


def _paths(status: dict[str, Any]) -> Iterator[Entry]:
    told = {}
    for server in status["servers"].values():
        for name, one in server["heartbeats"].items():
            told.setdefault(name, one)
    for name, one in told.items():
        kind = "resolver" if one["type"].endswith("np") else "heartbeat"
        yield Entry(kind, name, one["status"], _join(one["type"], one.get("comment", "")))


def _addresses(room: Room) -> dict[str, str]:
    config = room.reducer.config
    servers = config.servers if config else ()
    return {one.name: _join(*(device.info for device in one.devices if device.type == "lan")) for one in servers}


def _join(*parts: str) -> str:
    return " ".join(filter(None, parts))


def path(cluster: str, kind: str, name: str) -> str:
    """Where it is shown live."""
    place = "#/cluster" if kind == "cluster" else f"#/{kind}/{quote(name, safe='')}"
    return f"{reverse('dashboard')}?{urlencode({'cluster': cluster})}{place}"
