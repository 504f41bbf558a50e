"""Failback: a group with the attribute goes back to a server that stands earlier in its failover policy.

Rules. It goes when it has been online here, and that server has been ready there, for openclp/failbackwait (10 s) and
at least one heartbeat timeout; never while any group is being recovered or moved, and one group after the other. Never
to a server in quarantine, nor to one where another exclusive group is. Never to a server where it has failed
(activation or monitor) until the operator has started or moved it himself or that server has been restarted.
What the operator has moved stays where he put it, until a server that stands before it has been restarted: that is
when a home server "is back".
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from agent.clpconf.model import Group
from agent.engine.core import Core
from agent.wire.peer import GroupRecord


class Failback:
    """Keeps its own times: a new coordinator waits anew."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.away: dict[str, tuple[str, float]] = {}  # group -> where it is, since when
        self.ready: dict[str, float] = {}  # server -> since when it takes groups

    @property
    def _wait_s(self) -> float:
        return max(self.core.cluster.failback_s, self.core.cluster.timeout_s)

    def available(self, servers: Collection[str]) -> None:
        """These servers take groups now."""
        self.ready = {s: self.ready.get(s, self.core.now) for s in servers}

    def rests(self, group: Group, goal: str) -> None:
        """The group is online there."""
        if not group.auto_failback or goal not in group.policy or goal == group.policy[0]:
            self.away.pop(group.name, None)
        elif self.away.get(group.name, ("", 0.0))[0] != goal:
            self.away[group.name] = (goal, self.core.now)

    def moves(self, group: Group, goal: str) -> None:
        """It is not online there (yet)."""
        self.away.pop(group.name, None)

    def target(self, group: Group, record: GroupRecord, avoided: Callable[[Group], Collection[str]]) -> str:
        """Where it goes now; "" for nowhere, or not yet: then the engine is woken when it is time."""
        if record.stays:
            return ""
        place, since = self.away[group.name]
        better = group.policy[: group.policy.index(place)]
        closed = avoided(group)
        fit = [s for s in better if s in self.ready and s not in record.failed_on and s not in closed]
        if not fit:
            return ""
        at = max(since, self.ready[fit[0]]) + self._wait_s
        if at <= self.core.now:
            return fit[0]
        self.core.timers["failback"] = min(at, self.core.timers.get("failback", at))
        return ""
