"""Which part of a cluster is played for a question: first what the events name, then more until it was enough."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from agent.clpconf.model import Cluster
from agent.sim.slices import Slices
from agent.sim.story import disturbed
from agent.sim.world import World

_SPARE = 2  # servers beyond those that are concerned
_STRIKING = {"crash", "pause", "isolate", "split", "server_stop", "server_shutdown", "server_reboot"}
_NOBODY_LEFT = {("rc", 62), ("rc", 63)}


class Part:
    """What is played of the cluster. It begins with what the events name and is widened until it was enough."""

    def __init__(self, slices: Slices, placement: Mapping[str, str], events: Sequence[str]) -> None:
        self.slices = slices
        self.placement = placement
        self.on_server: dict[str, set[str]] = {}
        for group, server in placement.items():
            self.on_server.setdefault(server, set()).add(group)
        words = {word for event in events for word in event.split()}
        self.named = words & set(slices.cluster.server_names)
        known = words & slices.groups | {slices.group_of[word] for word in words if word in slices.group_of}
        # Where neither server nor group is named (a LAN), the first servers show whether it concerns all.
        self.of_all = not (self.named or known)
        self.everybody = "|" in words
        self.groups = slices.closed(known | self._on(_struck(events) & self.named))
        self.spare = _SPARE
        self.lost = len(self.named)
        self.kept: set[str] = set()

    def _on(self, servers: Iterable[str]) -> set[str]:
        return {group for server in servers for group in self.on_server.get(server, ())}

    @property
    def placed(self) -> dict[str, str]:
        return {group: server for group, server in self.placement.items() if group in self.groups}

    def cluster(self) -> Cluster:
        kept = set(self.slices.cluster.server_names)
        if not self.everybody:
            kept = self.slices.servers(self.groups, self.named, self.placed.values(), self.spare)
            kept = self.slices.filled(kept, self.lost)
        self.kept = kept
        return self.slices.of(self.groups, kept)

    def widen(self, world: World, begin: float) -> bool:
        """Was more concerned than we have played?"""
        lost = disturbed(world, begin)
        wider = self.slices.closed(self.groups | self._on(lost))
        left_out = len(self.kept) < len(self.slices.cluster.servers)
        self.everybody |= left_out and self.of_all and bool(lost)
        short = left_out and (self._ran_out(world, begin) or len(lost) > self.lost)
        if wider == self.groups and not short:
            return False
        self.groups, self.lost = wider, max(self.lost, len(lost))
        self.spare *= 4 if short else 1
        return True

    def _ran_out(self, world: World, begin: float) -> bool:
        """Some group looked for another server and found none, or came to its last one: others might take it."""
        here = {group.name: group.policy for group in world.cluster.groups}
        short = {name for name, policy in here.items() if len(policy) < len(self.slices.policy(name))}
        for note in world.notes.values():
            if note.kind == "group" and note.name in short and note.time >= begin:
                last = note.after == "Online Pending" and note.server == here[note.name][-1]
                if last or (note.module, note.event) in _NOBODY_LEFT:
                    return True
        return False


def _struck(events: Sequence[str]) -> set[str]:
    """Words of those events that take servers away with all that runs there. If others do, we shall see."""
    return {word for event in events if set(event.split()) & _STRIKING for word in event.split()}
