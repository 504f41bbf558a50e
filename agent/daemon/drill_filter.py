"""The heartbeat child's part in a drill: chosen paths deaf or mute, or the whole process still, for a bounded time.

Whatever happens to the daemon, the supervisor or the network, it ends by itself at its time, or by a signed word before
that (drill_end.py), which is read on every path also while the process stands still. A new daemon that connects ends
it, too, since it knows nothing of it. Standard library only.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agent.daemon import drill_end
from agent.daemon.drill_memory import DrillMemory
from agent.daemon.heartbeat_lan import steady

if TYPE_CHECKING:
    from agent.daemon.heartbeat_lan import LanPath

LONGEST_S = 610.0
_LOOK_S = 0.1
_PACKET_BYTES = 2048
_PACKETS = 512


class DrillFilter:
    def __init__(self, memory: DrillMemory, key: bytes, cluster: str, paths: Sequence[str]) -> None:
        self._memory = memory
        self._key = key
        self._cluster = cluster
        self._paths = list(paths)
        self._id = ""
        self._until = 0.0
        self.ended = ""  # by the signed word: the drill that the daemon is to be told of
        self.deaf: frozenset[int] = frozenset()
        self.mute: frozenset[int] = frozenset()

    def begin(self, message: Mapping[str, Any], now: float) -> bool:
        """The daemon's word; False when it cannot be obeyed."""
        try:
            self._id, bound_s = str(message["id"]), float(message["bound_s"])
            names, way = [str(name) for name in message["paths"]] or self._paths, message["way"]
            chosen = frozenset(self._paths.index(name) for name in names)
        except (KeyError, TypeError, ValueError):
            return False
        if not 0 < bound_s <= LONGEST_S:
            return False
        self._until = now + bound_s
        # A drill of the whole server cuts nothing; its id is what ends it.
        self.deaf = chosen if way in ("both", "deaf") else frozenset()
        self.mute = chosen if way in ("both", "mute") else frozenset()
        return True

    def end(self) -> None:
        self.deaf = self.mute = frozenset()
        self._until = 0.0

    def turn(self, now: float) -> None:
        if self._until and now >= self._until:
            self.end()

    def is_end(self, data: bytes) -> bool:
        """Was this packet the word that ends it? Then it has."""
        if not (self._id and drill_end.is_word(data, self._key, self._cluster, self._id)):
            return False
        self.end()
        self._memory.hangs_until = 0.0
        self.ended, self._id = self._id, ""
        return True

    @property
    def hangs(self) -> bool:
        return self._memory.hangs_until > steady()

    def hang(self, lans: Iterable[LanPath | None]) -> None:
        """Nothing is said and nothing heard but the word that ends it."""
        ends = [lan.socket for lan in lans if lan is not None and lan.socket is not None]
        limit = steady() + LONGEST_S
        while steady() < min(self._memory.hangs_until, limit):
            left_s = max(min(self._memory.hangs_until - steady(), _LOOK_S), 0.0)
            for end in select.select(ends, (), (), left_s)[0]:
                _each_waiting(end, self.is_end)


def _each_waiting(end: Any, take: Callable[[bytes], Any]) -> None:
    for _ in range(_PACKETS):
        try:
            take(end.recv(_PACKET_BYTES))
        except OSError:
            return
