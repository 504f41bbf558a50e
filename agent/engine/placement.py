"""Where a group may run: pure answers that can be asked of any configuration and any set of servers."""

from __future__ import annotations

from collections.abc import Collection

from agent.clpconf.model import Group


def choose(group: Group, available: Collection[str], excluded: Collection[str] = ()) -> str:
    """The first server of the failover policy that is available and not excluded; "" when none is left."""
    return next((s for s in group.policy if s in available and s not in excluded), "")


def choose_next(group: Group, current: str, available: Collection[str], excluded: Collection[str] = ()) -> str:
    """The server after `current` in the failover policy, round the ring; "" when no other is left.

    Used by a move without a destination (clpgrp -m).
    """
    if current not in group.policy:
        return choose(group, available, excluded)
    start = group.policy.index(current) + 1
    ring = group.policy[start:] + group.policy[: start - 1]
    return next((s for s in ring if s in available and s not in excluded), "")
