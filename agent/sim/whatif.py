"""What would happen: faults and requests played from "all is well", and what they mean for every group.

The engines are the real ones; nothing here knows a rule. Times are those of the model: detection takes the full
timeout (the fault comes just after a heartbeat), a script takes a tenth of a second unless told otherwise. Only the
part that can be concerned is played (part.py), it is checked afterwards that it was enough, and what differs in names
only is played once (canon.py).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from msgspec.structs import replace

from agent.clpconf.model import Cluster
from agent.sim import script
from agent.sim.canon import Names
from agent.sim.part import Part
from agent.sim.rest import at_rest
from agent.sim.slices import Slices
from agent.sim.steady import Placement, steady_world
from agent.sim.story import Fate, Story, Teller
from agent.sim.world import Defaults, World

_LIMIT_TIMEOUTS = 20.0
_MONITOR_ROUNDS = 10  # and so many of the slowest monitor
_AFTER_S = 0.001  # the beats of the moment have arrived
_REMEMBERED = 4096


class Outlook:
    """Asks one cluster many questions. `slow`: resource -> seconds that its start takes."""

    def __init__(
        self, cluster: Cluster, defaults: Defaults, slow: Mapping[str, float] | None = None, limit_s: float = 0.0
    ) -> None:
        """`limit_s`: how long after the last event at most (0: as long as detection and monitors may take)."""
        self.cluster = cluster
        self.defaults = defaults
        self.slow = dict(slow or {})
        self.limit_s = limit_s
        self.slices = Slices(cluster)
        self.placement = placement(cluster, defaults, self.slices)
        self._told: dict[bytes, tuple[Names, Story]] = {}

    def ask(self, events: Sequence[str], stopped: Collection[str] = ()) -> Story:
        """Each event is a step of the scenario language, "at 10" before it where it comes later. `stopped`: groups that
        do not run at the beginning. Raises ScriptError."""
        script.parse(self.cluster, _script(events))
        placed = {group: server for group, server in self.placement.items() if group not in stopped}
        part = Part(self.slices, placed, events)
        while True:
            story, enough = self._played(part, tuple(events))
            if enough:
                return story

    def whole(self, story: Story, stopped: Collection[str] = ()) -> Story:
        """With the groups that were not concerned."""
        fates = {}
        for group in self.cluster.groups:
            server = "" if group.name in stopped else self.placement.get(group.name, "")
            stays = Fate(group=group.name, before=server, after=(server,) if server else (), outcome="stays",
                         outage_s=0.0 if server else None)  # fmt: skip
            fates[group.name] = story.fates.get(group.name, stays)
        return replace(story, fates=fates)

    def _played(self, part: Part, events: tuple[str, ...]) -> tuple[Story, bool]:
        """The story of this part, and whether it was enough of the cluster (else it has been widened)."""
        cluster = part.cluster()
        names = Names(cluster)
        key = names.key(part.placed, events, self.slow)
        if key in self._told:
            known, story = self._told[key]
            return replace(known.told_of(names, story), events=events), True
        world, begin, rested = self._play(cluster, part.placed, events)
        story = Teller(world, begin, part.placed).story(events, rested)
        if part.widen(world, begin):
            return story, False
        if len(self._told) < _REMEMBERED:
            self._told[key] = (names, story)
        return story, True

    def _play(self, cluster: Cluster, placed: Placement, events: Sequence[str]) -> tuple[World, float, bool]:
        world = steady_world(cluster, placed, self.defaults)
        for machine in world.machines.values():
            machine.hands.exact = True
            machine.hands.slow_start.update(self.slow)
        world.run_until(world.now + world.beat_s + world.network.delay_s + _AFTER_S)
        begin = last = world.now
        for step in script.parse(cluster, _script(events)).steps:
            last = begin + step.at_s
            world.run_until(last)
            step.act(world)
        limit = last + (self.limit_s or _patience_s(cluster))
        return world, begin, _come_to_rest(world, last, limit)


def whatif(
    cluster: Cluster, events: Sequence[str], defaults: Defaults, slow: Mapping[str, float] | None = None
) -> Story:
    """One question."""
    outlook = Outlook(cluster, defaults, slow)
    return outlook.whole(outlook.ask(events))


def placement(cluster: Cluster, defaults: Defaults, slices: Slices) -> Placement:
    """Where every group comes up when all servers do. Groups that mind others are asked of the engine itself."""
    alone = [group for group in cluster.groups if slices.closed([group.name]) == {group.name}]
    found = {group.name: group.policy[0] for group in alone if group.autostart}
    rest = {group.name for group in cluster.groups} - {group.name for group in alone}
    if rest:
        found |= _booted(slices.of(rest, cluster.server_names), defaults)
    return found


def _booted(cluster: Cluster, defaults: Defaults) -> dict[str, str]:
    world = World(cluster, 0, defaults)
    world.gossip = False
    world.run_until(cluster.timeout_s)
    _come_to_rest(world, 0.0, _patience_s(cluster))
    placed = {group.name: world.online_on(group.name) for group in cluster.groups}
    return {name: servers[0] for name, servers in placed.items() if servers}


def _script(events: Sequence[str]) -> str:
    lines = [event if event.split()[:1] == ["at"] else f"at 0 {event}" for event in events]
    return "\n".join([*lines, f"end {script.LONGEST_S:g}"])


def _come_to_rest(world: World, last: float, limit: float) -> bool:
    while world.now < limit:
        if at_rest(world, last):
            return True
        # Nothing but heartbeats happens between two looks when all wait for a timeout.
        world.run_until(min(limit, world.now + world.beat_s / 2))
    return False


def _patience_s(cluster: Cluster) -> float:
    rounds = [monitor.interval_s * (monitor.retries + 2) for monitor in cluster.monitors]
    steps = [max(r.activation.timeout_s, r.deactivation.timeout_s) for r in cluster.resources]
    return _LIMIT_TIMEOUTS * cluster.timeout_s + _MONITOR_ROUNDS * max(rounds, default=0.0) + 2 * max(steps, default=0)
