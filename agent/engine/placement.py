"""Where a group may run: pure answers that can be asked of any configuration and any set of servers.

The choice: servers of the failover policy that are available and not excluded, in this order of reasons to avoid one:
it is in quarantine; the group has failed there before (the oldest failure first); another exclusive group is there
(exclusion "normal"); its place in the policy. A server with an absolutely exclusive group is never chosen.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from agent.clpconf.model import Group


def choose(
    group: Group,
    available: Collection[str],
    excluded: Collection[str] = (),
    *,
    failed_on: Sequence[str] = (),
    shared: Collection[str] = (),
    quarantine: Collection[str] = (),
) -> str:
    """The best server that is available and not excluded; "" when none is left. `failed_on`: oldest first."""
    fit = [s for s in group.policy if s in available and s not in excluded]
    if not (failed_on or shared or quarantine):
        return fit[0] if fit else ""

    def reluctance(server: str) -> tuple[bool, int, bool]:
        failed = failed_on.index(server) + 1 if server in failed_on else 0
        return server in quarantine, failed, server in shared

    return min(fit, key=reluctance, default="")


def choose_next(group: Group, current: str, available: Collection[str], excluded: Collection[str] = ()) -> str:
    """The server after `current` in the failover policy, round the ring; "" when no other is left.

    Used by a move without a destination (clpgrp -m).
    """
    if current not in group.policy:
        return choose(group, available, excluded)
    start = group.policy.index(current) + 1
    ring = group.policy[start:] + group.policy[: start - 1]
    return next((s for s in ring if s in available and s not in excluded), "")


def why_here(group: Group, goal: str, reasons: Mapping[str, str], left: str = "") -> str:
    """One clause that explains the choice to the administrator; why it must leave `left` he has read before.

    `reasons`: server -> why it is not taken; those that are missing are not available.
    """
    if goal == group.policy[0]:
        return "first in its failover policy"
    passed = [s for s in group.policy[: group.policy.index(goal)] if s != left]
    if not passed:
        return "next in its failover policy"
    told = [f"{s} {reasons.get(s, 'is not available')}" for s in passed]
    return "next in its failover policy: " + ", ".join(told)
