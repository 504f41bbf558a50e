"""Sentences and equivalents for each operation: title, what the command line and the REST interface would say."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

GROUP_OPS = ("group_start", "group_stop", "group_move")
CLUSTER_OPS = (
    "cluster_start", "cluster_stop", "cluster_shutdown", "cluster_reboot", "cluster_suspend", "cluster_resume",
)  # fmt: skip
SERVER_OPS = ("server_start", "server_stop", "server_shutdown", "server_reboot", "server_release")
MONITOR_OPS = ("monitor_suspend", "monitor_resume", "monitor_fail", "monitor_mend")
FENCE_OPS = ("fence_test", "fence_arm", "fence_disarm", "fence_confirm")
OPS = (*GROUP_OPS, *CLUSTER_OPS, *SERVER_OPS, *MONITOR_OPS, *FENCE_OPS)
# What interrupts a service, or may, or leaves it without protection.
DANGEROUS = frozenset(OPS) - {
    "group_start", "cluster_start", "server_start", "cluster_resume", "server_release",
    "monitor_resume", "monitor_mend", "fence_test", "fence_arm",
}  # fmt: skip
# What could destroy data when it is done wrongly.
ADMINISTRATORS = frozenset(("fence_disarm", "fence_confirm"))
# What may name a server beside its target.
WITH_SERVER = ("group_start", "group_move", *MONITOR_OPS, "fence_test")
# Where the target is found in the status; the cluster's own have none.
KINDS = {
    **dict.fromkeys(GROUP_OPS, "groups"),
    **dict.fromkeys(SERVER_OPS, "servers"),
    **dict.fromkeys(MONITOR_OPS, "monitors"),
    "fence_test": "fences",
    "fence_confirm": "servers",
}

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
    "server_release": gettext_lazy("End the quarantine of %(target)s"),
    "monitor_suspend": gettext_lazy("Suspend monitor %(target)s"),
    "monitor_suspend_on": gettext_lazy("Suspend monitor %(target)s on %(server)s"),
    "monitor_resume": gettext_lazy("Resume monitor %(target)s"),
    "monitor_resume_on": gettext_lazy("Resume monitor %(target)s on %(server)s"),
    "monitor_fail": gettext_lazy("Pretend a failure of monitor %(target)s"),
    "monitor_fail_on": gettext_lazy("Pretend a failure of monitor %(target)s on %(server)s"),
    "monitor_mend": gettext_lazy("End the pretended failure of monitor %(target)s"),
    "monitor_mend_on": gettext_lazy("End the pretended failure of monitor %(target)s on %(server)s"),
    "fence_test": gettext_lazy("Test fence device %(target)s"),
    "fence_test_on": gettext_lazy("Test fence device %(target)s from %(server)s"),
    "fence_arm": gettext_lazy("Arm fencing and watchdogs"),
    "fence_disarm": gettext_lazy("Disarm fencing and watchdogs"),
    "fence_confirm": gettext_lazy("Confirm that %(target)s is off"),
    "config_confirm": gettext_lazy("Confirm the new configuration"),
    "config_return": gettext_lazy("Return to the configuration before"),
}

# Where nothing is started, stopped or moved at once, so that the simulator has nothing to tell.
_EFFECTS = {
    "server_release": gettext_lazy("The cluster may start groups on %(target)s by itself again. Nothing moves now."),
    "monitor_suspend": gettext_lazy("Monitor %(target)s checks nothing and recovers nothing until it is resumed."),
    "monitor_resume": gettext_lazy("Monitor %(target)s checks again, and recovers what it finds in error."),
    "monitor_fail": gettext_lazy(
        "Monitor %(target)s reports an error that is none. Its recovery really runs: the resource is restarted, its "
        "group fails over, and the final action follows, as configured. It goes on until you end it."
    ),
    "monitor_mend": gettext_lazy("Monitor %(target)s reports what it really finds."),
    "fence_test": gettext_lazy(
        "Each server asks %(target)s how its targets are, since the one that survives must reach it. Nothing is "
        "switched off."
    ),
    "fence_arm": gettext_lazy("Servers that are lost are forced off again, and hanging servers are reset."),
    "fence_disarm": gettext_lazy(
        "Nothing is forced off and every watchdog is released. Until fencing is armed again, nothing is taken over "
        "from a lost server."
    ),
    "fence_confirm": gettext_lazy(
        "The groups of %(target)s may start elsewhere at once, by your word. If %(target)s still runs, they run twice "
        "and destroy their data: look at it, its power must be off."
    ),
}


def effect(op: str, target: str) -> str:
    """What will happen, where that is the same every time; else "", and the simulator tells."""
    return str(_EFFECTS[op] % {"target": target}) if op in _EFFECTS else ""


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
    "server_release": "clpcl --release -h {target}",
    "monitor_suspend": "clpmonctrl -s -m {target}",
    "monitor_resume": "clpmonctrl -r -m {target}",
    "monitor_fail": "clpmonctrl -e -m {target}",
    "monitor_mend": "clpmonctrl -n -m {target}",
    "fence_test": "clpfence test {target}",
    "fence_arm": "clpfence arm",
    "fence_disarm": "clpfence disarm",
    "fence_confirm": "clpfence confirm {target}",
}


def command(op: str, target: str, server: str) -> str:
    """What one would type on a server."""
    text = _COMMANDS[op].format(target=target)
    if op in MONITOR_OPS and not server:
        return f"{text} -a"
    return text + (f" -a {server}" if op == "group_move" else f" -h {server}") if server else text


_REST_VERBS = {
    "monitor_fail": "dummy-failure/start",
    "monitor_mend": "dummy-failure/stop",
    "fence_confirm": "confirm-off",
}


def rest(op: str, target: str, server: str) -> dict[str, Any]:
    kind, verb = op.split("_")
    verb = _REST_VERBS.get(op, verb)
    if op in ("fence_arm", "fence_disarm"):
        path = f"/api/v1/fences/{verb}"
    elif op == "fence_confirm":
        path = f"/api/v1/servers/{target}/{verb}"
    else:
        path = f"/api/v1/cluster/{verb}" if kind == "cluster" else f"/api/v1/{kind}s/{target}/{verb}"
    return {"method": "POST", "path": path, "body": {"target": server} if server else {}}


def no_agent() -> str:
    return _(
        "No agent of this cluster is connected to the manager, so nobody can take the request. Check the agents "
        "(clpstat on a server works without the manager) and their manager.json."
    )


def not_done_yet(seconds: float) -> str:
    return _("Accepted, but not done within %(seconds)d s. It goes on; watch the status.") % {"seconds": seconds}


def no_answer(server: str, seconds: float) -> str:
    return _("%(server)s did not answer within %(seconds)d s.") % {"server": server, "seconds": seconds}
