"""Pretend hands of one server: resources that take time, fail on demand, and are really on or off."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from agent.clpconf.model import Cluster
from agent.engine.effects import Activate, Deactivate

STALLED = "it did not end at its timeout"


class Hands:
    """`active` is the truth of this server, whatever its engine believes: from the moment an activation begins
    until its deactivation has ended."""

    def __init__(self, cluster: Cluster, random: Random) -> None:
        self.random = random
        self.group_of = {r: g.name for g in cluster.groups for r in g.resources}
        self.active: set[str] = set()
        # token -> resource, is it an activation, does it end within its timeout
        self.running: dict[int, tuple[str, bool, bool]] = {}
        self.exact = False  # actions take just as long as said, not up to half more or less
        self.start_s = 0.1
        self.stop_s = 0.1
        self.fail_start: dict[str, int] = {}  # resource -> how many further activations fail
        self.fail_stop: dict[str, int] = {}
        self.slow_start: dict[str, float] = {}  # resource -> seconds that its activation takes
        self.slow_stop: dict[str, float] = {}
        self.stalls: dict[str, int] = {}  # resource -> how many further actions do not end at their timeout
        self.sick: set[str] = set()  # resources whose monitors find an error until they are activated again
        self.incurable: set[str] = set()  # those that activating does not mend
        self.changed: Callable[[], None] = lambda: None

    def begin(self, effect: Activate | Deactivate) -> float:
        """Start an action; returns how long it takes."""
        up = isinstance(effect, Activate)
        slow = (self.slow_start if up else self.slow_stop).get(effect.resource)
        usual_s = (self.start_s if up else self.stop_s) * (1.0 if self.exact else 0.5 + self.random.random())
        takes_s = usual_s if slow is None else slow
        self.running[effect.token] = (effect.resource, up, takes_s <= effect.timeout_s)
        if up:
            self.active.add(effect.resource)
            self.changed()
        return effect.timeout_s if self.stalls.get(effect.resource) else min(takes_s, effect.timeout_s)

    def end(self, token: int) -> tuple[bool, str] | None:
        """The action is over: (ok, detail); None when it was aborted or died with the server."""
        found = self.running.pop(token, None)
        if found is None:
            return None
        resource, up, in_time = found
        if self.stalls.get(resource, 0) > 0:
            self.stalls[resource] -= 1
            return False, STALLED
        if not in_time:
            return False, "it was not done within its timeout"
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

    def heal(self) -> None:
        """Nothing fails, nothing is slow or sick any more."""
        for trouble in (self.fail_start, self.fail_stop, self.slow_start, self.slow_stop, self.stalls):
            trouble.clear()
        self.sick.clear()
        self.incurable.clear()

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
