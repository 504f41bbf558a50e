"""The mirror disks of a status: what each side says of itself, and what that means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from agent.clpconf import model
from agent.wire.mirror import color_of, facts, source_of, status_of
from agent.wire.status.seen import Seen


def mirrors_part(cluster: model.Cluster, seen: Mapping[str, Seen]) -> dict[str, dict[str, Any]]:
    """Of every md resource; a server that is not heard says nothing: `servers` has None for it."""
    group_of = {resource: group for group in cluster.groups for resource in group.resources}
    found = {}
    for resource in cluster.resources:
        if resource.type == "md":
            group = group_of.get(resource.name)
            names = group.policy if group is not None and group.policy else cluster.server_names
            found[resource.name] = _mirror(resource, group.name if group else "", names, seen)
    return found


def _mirror(resource: model.Resource, group: str, names: tuple[str, ...], seen: Mapping[str, Seen]) -> dict[str, Any]:
    sides: dict[str, dict[str, Any] | None] = {}
    for name in names:
        one = seen.get(name)
        state = one.report.mirrors.get(resource.name) if one is not None and one.live and one.report else None
        sides[name] = msgspec.structs.asdict(state) if state is not None else None
    return {
        "name": resource.name,
        "comment": resource.comment,
        "group": group,
        "device": str(resource.values.get("parameters/nmppath", "")),
        "status": status_of(sides),
        "source": source_of(sides),
        "colors": {name: color_of(sides, name) for name in sides},
        "facts": [list(one) for one in facts(resource.name, sides)],
        "servers": sides,
    }
