"""In which order the resources of a group start and stop: the three meanings of `depend`, resolved once."""

from __future__ import annotations

from collections.abc import Mapping

from agent.clpconf.model import Cluster, Group

# Type -> types in the same group that it follows unless the file says otherwise.
DefaultDepends = Mapping[str, tuple[str, ...]]


def depends_on(cluster: Cluster, group: Group, defaults: DefaultDepends) -> dict[str, frozenset[str]]:
    """Resource -> resources of the same group that must be online before it starts.

    Explicit names outside of the group are left out (a finding of the configuration says so).
    """
    resources = [cluster.resource(name) for name in group.resources]
    members = set(group.resources)
    result: dict[str, frozenset[str]] = {}
    for resource in resources:
        if resource.depends is None:
            follows = defaults.get(resource.type, ())
            result[resource.name] = frozenset(r.name for r in resources if r.type in follows and r is not resource)
        else:
            result[resource.name] = frozenset(resource.depends) & members
    return result


def dependents(depends: Mapping[str, frozenset[str]], name: str) -> frozenset[str]:
    """`name` and everything that rests on it, however far up."""
    found = {name}
    grown = True
    while grown:
        more = {r for r, on in depends.items() if on & found} - found
        found |= more
        grown = bool(more)
    return frozenset(found)
