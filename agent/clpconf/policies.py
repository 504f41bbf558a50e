"""What holds for failover and recovery in the whole cluster: sections cluster, rc, rm and our own openclp."""

from __future__ import annotations

from typing import Any

from agent.clpconf.entry import Entry
from agent.clpconf.kinds import BOOLEAN, choice, integer, seconds
from agent.clpconf.model import Cluster

_COUNT = integer(0, 99)
_TIME = seconds(0, 604_800)
# cluster/rsctimeout/rsctoaction has numbers of its own for the first ones.
_STALLED = {"0": 0, "2": 4, "3": 5, **{str(action): action for action in range(8, 16)}}
_STALLED_KIND = choice(
    ("0", "an error like others"), ("2", "shut down"), ("3", "reboot"), *(str(action) for action in range(8, 16))
)


def read_policies(cluster: Entry, own: Entry, rc: Entry, rm: Entry) -> dict[str, Any]:
    """Fields of model.Cluster."""
    flags = {
        "survive_activation": (cluster, "survive/rscact"),
        "survive_deactivation": (cluster, "survive/rscdeact"),
        "survive_monitor": (cluster, "survive/monitor"),
        "ignore_activation_errors": (rc, "errordetect/rscact/norecovery"),
        "ignore_deactivation_errors": (rc, "errordetect/rscdeact/norecovery"),
        "ignore_monitor_errors": (rm, "errordetect/norecovery"),
    }
    default = Cluster(name="")
    return {
        **{field: entry.read(path, BOOLEAN, default=False) for field, (entry, path) in flags.items()},
        "stalled_action": _STALLED[cluster.read("rsctimeout/rsctoaction", _STALLED_KIND, "2")],
        "max_reboots": own.read("maxreboot/count", _COUNT, default.max_reboots),
        "max_reboots_s": own.read("maxreboot/time", _TIME, default.max_reboots_s),
        "quarantine_count": own.read("quarantine/count", _COUNT, default.quarantine_count),
        "quarantine_window_s": own.read("quarantine/window", _TIME, default.quarantine_window_s),
        "quarantine_s": own.read("quarantine/time", _TIME, default.quarantine_s),
        "failback_s": own.read("failbackwait", _TIME, default.failback_s),
        "calm_s": own.read("calm", _TIME, default.calm_s),
    }
