"""The part of a cluster that a question is about: some groups with all that may sway them, and some servers.

Groups that are told to mind each other (exclusion, start and stop order) belong together. Everything else that one
group can do to another goes by way of a server: it stops, and takes its other groups along. So a play of some groups
says the truth about them and leaves all others where they are, if every server that was disturbed in it is `covered`:
all of its groups took part.

Servers that hold none of these groups and are not asked to take one do nothing but vote and hear. They may be left out
while those who remain have the majority, or have it not, as it would be with all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from msgspec.structs import replace

from agent.clpconf.model import Cluster, Group, Monitor


class Slices:
    """Which groups belong together, and the cluster with some of them only."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._group = {group.name: group for group in cluster.groups}
        self.groups = self._group.keys()
        self._resource = {resource.name: resource for resource in cluster.resources}
        self.group_of = {name: group.name for group in cluster.groups for name in group.resources}
        self._related = _related(cluster.groups)
        self._monitors: dict[str, list[Monitor]] = {}  # group -> those that may do something to it
        self._order = {monitor.name: n for n, monitor in enumerate(cluster.monitors)}
        for monitor in cluster.monitors:
            for name in {self.group_of.get(monitor.target, ""), self._recovers(monitor)} - {""}:
                self._monitors.setdefault(name, []).append(monitor)

    def _recovers(self, monitor: Monitor) -> str:
        if monitor.recovery_type == "grp":
            return monitor.recovery_name
        return self.group_of.get(monitor.recovery_name, "") if monitor.recovery_type == "rsc" else ""

    def policy(self, group: str) -> tuple[str, ...]:
        return self._group[group].policy

    def closed(self, groups: Iterable[str]) -> frozenset[str]:
        """With all that mind them, and all whose resources share a monitor with theirs."""
        found: set[str] = set()
        waiting = list(groups)
        while waiting:
            name = waiting.pop()
            if name not in found and name in self._group:
                found.add(name)
                waiting += self._related.get(name, ())
                waiting += [self._recovers(m) for m in self._monitors.get(name, ())]
        return frozenset(found)

    def of(self, groups: Collection[str], servers: Collection[str]) -> Cluster:
        """The cluster with these groups (`closed`) and servers only."""
        kept = [group for group in self.cluster.groups if group.name in groups]
        watching = {m.name: m for name in groups for m in self._monitors.get(name, ())}
        return replace(
            self.cluster,
            servers=tuple(server for server in self.cluster.servers if server.name in servers),
            groups=tuple(_on(group, servers) for group in kept),
            resources=tuple(self._resource[name] for group in kept for name in group.resources),
            monitors=tuple(watching[name] for name in sorted(watching, key=self._order.__getitem__)),
        )

    def servers(
        self, groups: Collection[str], named: Collection[str], holding: Collection[str], spare: int
    ) -> set[str]:
        """Enough of them: those that are named or hold one of the groups, for each group the first that could take it,
        and the first that could coordinate; `spare` of each."""
        names = self.cluster.server_names
        found = {*named, *holding, *[name for name in names if name not in named][:spare]}
        for name in groups:
            found.update([s for s in self._group[name].policy if s not in named][:spare])
        return found

    def filled(self, servers: set[str], lost: int) -> set[str]:
        """With more servers, until the loss of `lost` of them leaves a majority exactly where it would with all."""
        names = self.cluster.server_names
        more = (name for name in names if name not in servers)
        wanted = 2 * (len(names) - lost) > len(names)
        while (2 * (len(servers) - lost) > len(servers)) != wanted:
            servers.add(next(more))
        return servers


def _on(group: Group, servers: Collection[str]) -> Group:
    policy = tuple(name for name in group.policy if name in servers)
    return group if len(policy) == len(group.policy) else replace(group, policy=policy)


def _related(groups: Iterable[Group]) -> Mapping[str, set[str]]:
    """Group -> groups that mind it or that it minds."""
    found: dict[str, set[str]] = {}
    exclusive = [group.name for group in groups if group.exclusive]
    for group in groups:
        others = {*group.start_after, *group.stop_after, *group.start_same_server}
        others |= set(exclusive) if group.exclusive else set()
        for other in others - {group.name}:
            found.setdefault(group.name, set()).add(other)
            found.setdefault(other, set()).add(group.name)
    return found
