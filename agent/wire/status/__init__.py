"""What everybody shows: one plain JSON object made from the configuration and the servers' own reports.

Rules of this file
- A report is the only truth about its server. It is `live` when it is fresh and its server is not known to be lost.
- The reference view is the one with the highest epoch among the live reports; it says who is a member and who is lost.
- A lost server is Offline, a silent one Unknown. What such a server ran is `last known`, shown in `detail` and never
  counted as active, unless nobody can have taken it over since: then the group is Unknown, not Offline.
- A server that speaks for itself (`source` is its own name) beats others that call it lost: at a network partition
  the manager hears both sides, and both are Online.
- No number that changes with every second stands in a text, so that equal situations give equal objects; ages are in
  `age_s` alone.
A status is read only: entries that say the same may be one object.
"""

from __future__ import annotations

from collections.abc import Mapping

from agent.clpconf import model
from agent.wire.peer import Table
from agent.wire.status.changes import KINDS, Change, apply, diff
from agent.wire.status.cluster import cluster_part
from agent.wire.status.configuration import timed
from agent.wire.status.fences import fences_part
from agent.wire.status.groups import groups_part
from agent.wire.status.keeper import StatusKeeper
from agent.wire.status.mirrors import mirrors_part
from agent.wire.status.monitors import monitors_part
from agent.wire.status.resources import in_groups, resources_part
from agent.wire.status.seen import Source, Status, reference_of, see
from agent.wire.status.servers import HEARTBEAT_COMMENTS, server_entry
from agent.wire.status.silences import silence_part

__all__ = [
    "HEARTBEAT_COMMENTS", "KINDS", "Change", "Source", "Status", "StatusKeeper", "apply", "build_status", "diff",
    "timed",
]  # fmt: skip


def build_status(
    cluster: model.Cluster, reports: Mapping[str, Source], table: Table | None, stale_after_s: float
) -> Status:
    """`reports` by server name; names that the configuration does not know are ignored."""
    reference = reference_of(cluster, reports, stale_after_s)
    seen = {s.name: see(s.name, reports.get(s.name), reference, stale_after_s, table) for s in cluster.servers}
    servers = {s.name: server_entry(cluster, s, seen[s.name], reference, table) for s in cluster.servers}
    groups = groups_part(cluster.groups, seen, table)
    monitors = monitors_part(cluster.monitors, seen, cluster.delay_warning)
    return {
        "cluster": cluster_part(
            cluster, seen, reference, table, servers, groups, monitors, silence_part(cluster, seen)
        ),
        "servers": servers,
        "groups": groups,
        "resources": resources_part(in_groups(cluster), seen, groups),
        "monitors": monitors,
        "fences": fences_part(cluster, seen),
        "mirrors": mirrors_part(cluster, seen),
    }
