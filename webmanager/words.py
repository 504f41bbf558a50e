"""Sentences and equivalents for each operation: title, what the command line and the REST interface would say."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

GROUP_OPS = ("group_start", "group_stop", "group_move")
CLUSTER_OPS = (
    "cluster_start", "cluster_stop", "cluster_shutdown", "cluster_reboot", "cluster_suspend", "cluster_resume",
)  # fmt: skip
SERVER_OPS = ("server_start", "server_stop", "server_shutdown", "server_reboot")
OPS = (*GROUP_OPS, *CLUSTER_OPS, *SERVER_OPS)
# What interrupts a service, or may.
DANGEROUS = frozenset(OPS) - {"group_start", "cluster_start", "server_start", "cluster_resume"}

_TITLES = {
    "group_start": gettext_lazy("Start group %(target)s"),
    "group_start_on": gettext_lazy("Start group %(target)s on %(server)s"),
    "group_stop": gettext_lazy("Stop group %(target)s"),
    "group_move": gettext_lazy("Move group %(target)s"),
    "group_move_on": gettext_lazy("Move group %(target)s to %(server)s"),
    "cluster_start": gettext_lazy("Start the cluster service on all servers"),
    "cluster_stop": gettext_lazy("Stop the cluster service on all servers"),
    "cluster_shutdown": gettext_lazy("Shut down all servers"),
    "cluster_reboot": gettext_lazy("Reboot all servers"),
    "cluster_suspend": gettext_lazy("Suspend the cluster"),
    "cluster_resume": gettext_lazy("Resume the cluster"),
    "server_start": gettext_lazy("Start the cluster service on %(target)s"),
    "server_stop": gettext_lazy("Stop the cluster service on %(target)s"),
    "server_shutdown": gettext_lazy("Shut down %(target)s"),
    "server_reboot": gettext_lazy("Reboot %(target)s"),
}


def operation_title(op: str, target: str, server: str) -> str:
    title = _TITLES.get(f"{op}_on" if server else op) or _TITLES[op]
    return title % {"target": target, "server": server}


_COMMANDS = {
    "group_start": "clpgrp -s {target}",
    "group_stop": "clpgrp -t {target}",
    "group_move": "clpgrp -m {target}",
    "cluster_start": "clpcl -s -a",
    "cluster_stop": "clpcl -t -a",
    "cluster_shutdown": "clpstdn",
    "cluster_reboot": "clpstdn -r",
    "cluster_suspend": "clpcl --suspend",
    "cluster_resume": "clpcl --resume",
    "server_start": "clpcl -s -h {target}",
    "server_stop": "clpcl -t -h {target}",
    "server_shutdown": "clpdown -h {target}",
    "server_reboot": "clpdown -r -h {target}",
}


def command(op: str, target: str, server: str) -> str:
    """What one would type on a server."""
    text = _COMMANDS[op].format(target=target)
    return text + {"group_start": f" -h {server}", "group_move": f" -a {server}"}.get(op, "") if server else text


def rest(op: str, target: str, server: str) -> dict[str, Any]:
    kind, verb = op.split("_")
    path = f"/api/v1/cluster/{verb}" if kind == "cluster" else f"/api/v1/{kind}s/{target}/{verb}"
    return {"method": "POST", "path": path, "body": {"target": server} if server else {}}


def no_agent() -> str:
    return _(
        "No agent of this cluster is connected to the manager, so nobody can take the request. Check the agents "
        "(clpstat on a server works without the manager) and their manager.json."
    )


def not_done_yet(seconds: float) -> str:
    return _("Accepted, but not done within %(seconds)d s. It goes on; watch the status.") % {"seconds": seconds}
