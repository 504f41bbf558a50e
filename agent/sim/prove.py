"""Can two servers run the same group at once? A search for cuts that make them, each proven by playing it.

The search is bounded: faults of the kinds in cuts.py, up to a number of them, on this cluster or on a smaller one that
votes alike. "No" means: none of these cuts does it, while the assumptions hold that are told along.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
from msgspec.structs import replace

from agent.clpconf.model import Cluster, Group
from agent.sim.cuts import Cut, cuts
from agent.sim.story import Double
from agent.sim.whatif import Outlook
from agent.sim.world import Defaults

_MOST_FAULTS = 3
_MOST_SERVERS = 5  # of the cluster that is played; with more the cuts are the same, only longer
_MOST_FOUND = 20
_LIMIT_TIMEOUTS = 12.0  # after the last fault; two that never agree go on for ever


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """A cut that does it, and what it did."""

    cut: Cut
    doubles: tuple[Double, ...]


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    splits: tuple[Split, ...]  # shortest first; none of them contains another
    played: int
    servers: tuple[str, ...]  # that were played
    most_faults: int
    assumptions: tuple[str, ...]

    @property
    def can_split(self) -> bool:
        return bool(self.splits)


def prove(
    cluster: Cluster, defaults: Defaults, most: int = _MOST_FAULTS, go_on: Callable[[], bool] = lambda: True
) -> Proof:
    """`go_on` is asked before each play; where it says no, the proof ends with what it has."""
    played = _small(cluster)
    outlook = Outlook(played, defaults, limit_s=_LIMIT_TIMEOUTS * cluster.timeout_s)
    found: list[Split] = []
    count = 0
    for cut in cuts(played, most):
        if any(split.cut.within(cut) for split in found):
            continue
        if not go_on():
            break
        count += 1
        doubles = outlook.ask(_in_order(cut.events)).doubles
        if doubles:
            found.append(Split(cut=cut, doubles=doubles))
        if len(found) >= _MOST_FOUND:
            break
    return Proof(splits=tuple(found), played=count, servers=played.server_names, most_faults=most,
                 assumptions=tuple(_assumptions(cluster)))  # fmt: skip


def _in_order(events: tuple[str, ...]) -> list[str]:
    """Scripts want their steps in the order of time."""
    return sorted(events, key=lambda event: float(event.split()[1]) if event.startswith("at ") else 0.0)


# A smaller cluster that answers the same question ------------------------------------------------------------------


def _small(cluster: Cluster) -> Cluster:
    """Groups with the same servers and home split alike: one of each. Many servers vote like a few, even or odd."""
    names = cluster.server_names
    if len(names) > _MOST_SERVERS:
        names = names[: _MOST_SERVERS - (len(names) - _MOST_SERVERS) % 2]
    groups: dict[tuple[frozenset[str], str], Group] = {}
    for group in cluster.groups:
        policy = tuple(name for name in group.policy if name in names)
        if len(policy) > 1:
            kept = replace(group, policy=policy, resources=group.resources[:1], start_after=(), stop_after=(),
                           start_same_server=(), exclusive=0, autostart=True)  # fmt: skip
            groups.setdefault((frozenset(policy), policy[0]), kept)
    wanted = {name for group in groups.values() for name in group.resources}
    return replace(
        cluster, groups=tuple(groups.values()), monitors=(),
        servers=tuple(server for server in cluster.servers if server.name in names),
        resources=tuple(resource for resource in cluster.resources if resource.name in wanted),
    )  # fmt: skip


# What the answer rests on -------------------------------------------------------------------------------------------

_RULES: tuple[tuple[Callable[[Cluster], bool], str], ...] = (
    (
        lambda c: True,
        "nobody starts or stops the groups' programs but the cluster, and a stop that reports success has stopped them",
    ),
    (lambda c: True, "no server tells what it does not hold for true (the cluster key is secret)"),
    (
        lambda c: c.majority,
        "the steady clocks of the servers go equally fast to within 10 % (a lease ends at 0.7 of the timeout, the "
        "reset comes at 0.9, a take-over not before 1.0)",
    ),
    (lambda c: c.majority and c.self_fencing, "the watchdog resets a server that hangs, in time"),
    (lambda c: bool(c.arbiters), "the witness or shared disk keeps what it has promised, and there is only one of it"),
    (lambda c: bool(c.pings), "a server that reaches the ping target is not cut off from its clients"),
    (lambda c: bool(c.fences), "a fence device that reports a server off has switched it off"),
)


def _assumptions(cluster: Cluster) -> Iterator[str]:
    return (sentence for holds, sentence in _RULES if holds(cluster))
