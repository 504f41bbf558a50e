"""Which of the usual cluster shapes a configuration has, in words, so that a slip is seen at once."""

from __future__ import annotations

from typing import NamedTuple

from agent.clpconf.model import Cluster, Group


class Shape(NamedTuple):
    code: str  # S1 ... S6, as the guide of the original counts them
    text: str


SINGLE = Shape("", "One server: its programs are watched and restarted, nothing takes over.")
SHARED = Shape("S1", "Servers that share disks.")
MIRRORED = Shape("S2", "Two servers with mirrored disks.")
ONE_WAY = Shape("S3", "Uni-directional standby: one server runs all groups, the others wait.")
SAME = Shape("S4", "Multi-directional standby: servers take over from each other, running the same kind of service.")
DIFFERENT = Shape("S5", "Multi-directional standby: servers take over from each other, running different services.")
SPARE = Shape("S6", "N + 1: several servers run groups, and at least one waits for all of them.")
_SHARED_DISKS = ("disk", "raw", "vxdg", "volmgr")


def shapes(cluster: Cluster) -> tuple[Shape, ...]:
    """How data are kept, then who stands by for whom. Groups that only one server may run say nothing."""
    if len(cluster.servers) < 2:
        return (SINGLE,)
    kinds = {resource.type for resource in cluster.resources}
    data = [SHARED] if kinds & set(_SHARED_DISKS) else []
    data += [MIRRORED] if "md" in kinds else []
    groups = [group for group in cluster.groups if len(group.policy) > 1]
    return (*data, *([_standby(cluster, groups)] if groups else []))


def _standby(cluster: Cluster, groups: list[Group]) -> Shape:
    homes = {group.policy[0] for group in groups}
    waiting = set(cluster.server_names) - homes
    if len(homes) == 1:
        return ONE_WAY
    if any(all(name in group.policy for group in groups) for name in waiting):
        return SPARE
    types = {group.name: sorted(r.type for r in cluster.resources if r.name in group.resources) for group in groups}
    return SAME if len({tuple(kinds) for kinds in types.values()}) == 1 else DIFFERENT
