"""Pretend hands of one server: resources that take time, fail on demand, and are really on or off."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from agent.clpconf.model import Cluster
from agent.engine.effects import Activate, Deactivate


class Hands:
    """`active` is the truth of this server, whatever its engine believes: from the moment an activation begins
    until its deactivation has ended."""

    def __init__(self, cluster: Cluster, random: Random) -> None:
        self.random = random
        self.group_of = {r: g.name for g in cluster.groups for r in g.resources}
        self.active: set[str] = set()
        self.running: dict[int, tuple[str, bool]] = {}  # token -> resource, is it an activation
        self.start_s = 0.1
        self.stop_s = 0.1
        self.fail_start: dict[str, int] = {}  # resource -> how many further activations fail
        self.fail_stop: dict[str, int] = {}
        self.slow_start: dict[str, float] = {}  # resource -> seconds that its activation takes
        self.slow_stop: dict[str, float] = {}
        self.sick: set[str] = set()  # resources whose monitors find an error until they are activated again
        self.incurable: set[str] = set()  # those that activating does not mend
        self.changed: Callable[[], None] = lambda: None

    def begin(self, effect: Activate | Deactivate) -> float:
        """Start an action; returns how long it takes."""
        up = isinstance(effect, Activate)
        self.running[effect.token] = (effect.resource, up)
        if up:
            self.active.add(effect.resource)
            self.changed()
        slow = (self.slow_start if up else self.slow_stop).get(effect.resource)
        if slow is not None:
            return min(slow, effect.timeout_s)
        base = self.start_s if up else self.stop_s
        return min(base * (0.5 + self.random.random()), effect.timeout_s)

    def end(self, token: int) -> tuple[bool, str] | None:
        """The action is over: (ok, detail); None when it was aborted or died with the server."""
        found = self.running.pop(token, None)
        if found is None:
            return None
        resource, up = found
        plan = self.fail_start if up else self.fail_stop
        if plan.get(resource, 0) > 0:
            plan[resource] -= 1
            return False, "it was told to fail"
        if up:
            self.sick.discard(resource)
        else:
            self.active.discard(resource)
            self.changed()
        return True, ""

    def abort(self, token: int) -> bool:
        """True when the action was running."""
        return self.running.pop(token, None) is not None

    def die(self) -> None:
        self.running.clear()
        self.active.clear()
        self.sick.clear()
        self.changed()

    def healthy(self, resource: str) -> bool:
        return resource not in self.sick and resource not in self.incurable

    def groups(self) -> set[str]:
        return {self.group_of[r] for r in self.active}
