"""What holds for failover and recovery in the whole cluster: sections cluster, rc, rm and our own openclp."""

from __future__ import annotations

from typing import Any

from agent.clpconf.entry import Entry
from agent.clpconf.sections_cluster import CLUSTER, OPENCLP, RC, RM, STALLED_ACTIONS
from agent.clpconf.sections_common import by_path

_OF_CLUSTER = {
    "survive_activation": "survive/rscact",
    "survive_deactivation": "survive/rscdeact",
    "survive_monitor": "survive/monitor",
}
_OF_RC = {
    "ignore_activation_errors": "errordetect/rscact/norecovery",
    "ignore_deactivation_errors": "errordetect/rscdeact/norecovery",
}
_OF_RM = {"ignore_monitor_errors": "errordetect/norecovery"}
_OWN = {
    "startup_wait_s": "startupwait",
    "grace_s": "grace",
    "max_reboots": "maxreboot/count",
    "max_reboots_s": "maxreboot/time",
    "quarantine_count": "quarantine/count",
    "quarantine_window_s": "quarantine/window",
    "quarantine_s": "quarantine/time",
    "failback_s": "failbackwait",
    "calm_s": "calm",
    "delay_warning": "delaywarning",
}


def read_policies(cluster: Entry, own: Entry, rc: Entry, rm: Entry) -> dict[str, Any]:
    """Fields of model.Cluster."""
    fields: dict[str, Any] = {}
    for entry, spec, paths in ((cluster, CLUSTER, _OF_CLUSTER), (rc, RC, _OF_RC), (rm, RM, _OF_RM),
                               (own, OPENCLP, _OWN)):  # fmt: skip
        params = by_path(spec.params)
        fields |= {field: entry.get(params[path]) for field, path in paths.items()}
    stalled = by_path(CLUSTER.params)["rsctimeout/rsctoaction"]
    return {**fields, "stalled_action": STALLED_ACTIONS[cluster.get(stalled)]}
