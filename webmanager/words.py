"""Sentences and equivalents for each operation: title, what the command line and the REST interface would say."""

from __future__ import annotations

import shlex
from typing import Any
from urllib.parse import quote

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from webmanager.mirrors import operations as mirrors

GROUP_OPS = ("group_start", "group_stop", "group_move")
GROUPS_OPS = ("groups_start", "groups_stop", "groups_move")
CLUSTER_OPS = (
    "cluster_start", "cluster_stop", "cluster_restart", "cluster_shutdown", "cluster_reboot", "cluster_suspend",
    "cluster_resume", "cluster_force",
)  # fmt: skip
SERVER_OPS = ("server_start", "server_stop", "server_restart", "server_shutdown", "server_reboot", "server_release")
MONITOR_OPS = ("monitor_suspend", "monitor_resume", "monitor_fail", "monitor_mend")
MONITORS_OPS = ("monitors_suspend", "monitors_resume")
FENCE_OPS = ("fence_test", "fence_arm", "fence_disarm", "fence_confirm", "fence_off")
THEMES = {
    gettext_noop("Cluster"): CLUSTER_OPS,
    gettext_noop("Servers"): SERVER_OPS,
    gettext_noop("Failover groups"): (*GROUP_OPS, *GROUPS_OPS),
    gettext_noop("Monitors"): (*MONITOR_OPS, *MONITORS_OPS),
    gettext_noop("Fencing"): FENCE_OPS,
    gettext_noop("Mirror disks"): mirrors.OPS,
}
OPS = tuple(op for ops in THEMES.values() for op in ops)
# What interrupts a service, or may, or leaves it without protection.
DANGEROUS = frozenset(OPS) - {
    "group_start", "groups_start", "cluster_start", "server_start", "cluster_resume", "server_release",
    "monitor_resume", "monitors_resume", "monitor_mend", "fence_test", "fence_arm", *mirrors.HARMLESS,
}  # fmt: skip
# What stops service for longer than a move, or could destroy data: the page wants the name typed.
TYPED = frozenset((
    "group_stop", "groups_stop", "cluster_stop", "cluster_restart", "cluster_shutdown", "cluster_reboot",
    "cluster_force", "server_shutdown", "server_reboot", "fence_disarm", "fence_confirm", "fence_off", *mirrors.LOSING,
))  # fmt: skip
# What could destroy data when it is done wrongly.
ADMINISTRATORS = frozenset(("fence_disarm", "fence_confirm", "fence_off", "cluster_force", *mirrors.LOSING))
# What may name a server beside its target, and what has to.
WITH_SERVER = (
    "group_start", "group_stop", "group_move", *GROUPS_OPS, *MONITOR_OPS, *MONITORS_OPS, "fence_test", "fence_off",
    "cluster_force", *mirrors.WITH_SERVER,
)  # fmt: skip
NEEDS_SERVER = ("groups_stop", "groups_move", *mirrors.WITH_SERVER)
# Where the target is found in the status; the cluster's own have none.
KINDS = {
    **dict.fromkeys(GROUP_OPS, "groups"),
    **dict.fromkeys(SERVER_OPS, "servers"),
    **dict.fromkeys(MONITOR_OPS, "monitors"),
    **dict.fromkeys(mirrors.OPS, "mirrors"),
    "fence_test": "fences",
    "fence_confirm": "servers",
    "fence_off": "servers",
}

_TITLES = {
    "group_start": gettext_lazy("Start group %(target)s"),
    "group_start_on": gettext_lazy("Start group %(target)s on %(server)s"),
    "group_stop": gettext_lazy("Stop group %(target)s"),
    "group_stop_on": gettext_lazy("Stop group %(target)s on %(server)s"),
    "groups_start": gettext_lazy("Start every group that runs nowhere"),
    "groups_start_on": gettext_lazy("Start on %(server)s every group that runs nowhere"),
    "groups_stop": gettext_lazy("Stop every group of a server"),
    "groups_stop_on": gettext_lazy("Stop every group on %(server)s"),
    "groups_move": gettext_lazy("Move every group away from a server"),
    "groups_move_on": gettext_lazy("Move every group away from %(server)s"),
    "group_move": gettext_lazy("Move group %(target)s"),
    "group_move_on": gettext_lazy("Move group %(target)s to %(server)s"),
    "cluster_start": gettext_lazy("Start the cluster service on all servers"),
    "cluster_stop": gettext_lazy("Stop the cluster service on all servers"),
    "cluster_restart": gettext_lazy("Restart the cluster service on all servers"),
    "cluster_force": gettext_lazy("Go on without the servers that are absent (force the quorum)"),
    "cluster_force_on": gettext_lazy("Go on without the servers that are absent (force the quorum on %(server)s)"),
    "cluster_shutdown": gettext_lazy("Shut down all servers"),
    "cluster_reboot": gettext_lazy("Reboot all servers"),
    "cluster_suspend": gettext_lazy("Suspend the cluster"),
    "cluster_resume": gettext_lazy("Resume the cluster"),
    "server_start": gettext_lazy("Start the cluster service on %(target)s"),
    "server_stop": gettext_lazy("Stop the cluster service on %(target)s"),
    "server_restart": gettext_lazy("Restart the cluster service on %(target)s"),
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
    "monitors_suspend": gettext_lazy("Suspend every monitor"),
    "monitors_suspend_on": gettext_lazy("Suspend every monitor on %(server)s"),
    "monitors_resume": gettext_lazy("Resume every monitor"),
    "monitors_resume_on": gettext_lazy("Resume every monitor on %(server)s"),
    "fence_test": gettext_lazy("Test fence device %(target)s"),
    "fence_test_on": gettext_lazy("Test fence device %(target)s from %(server)s"),
    "fence_arm": gettext_lazy("Arm fencing and watchdogs"),
    "fence_disarm": gettext_lazy("Disarm fencing and watchdogs"),
    "fence_confirm": gettext_lazy("Confirm that %(target)s is off"),
    "fence_off": gettext_lazy("Force %(target)s off"),
    "fence_off_on": gettext_lazy("Force %(target)s off, from %(server)s"),
    "config_confirm": gettext_lazy("Confirm the new configuration"),
    "config_return": gettext_lazy("Return to the configuration before"),
    **mirrors.TITLES,
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
    "monitors_suspend": gettext_lazy("Monitors check nothing and recover nothing until they are resumed."),
    "monitors_resume": gettext_lazy("Monitors check again, and recover what they find in error."),
    "cluster_force": gettext_lazy(
        "The servers that are here take over without the votes of those that are absent. If one of those still runs, "
        "its groups run twice and destroy their data: make sure that they are off and stay off."
    ),
    "fence_off": gettext_lazy(
        "%(target)s loses its power now, with everything that runs on it. Its groups are taken over as after a failure."
    ),
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
    **mirrors.EFFECTS,
}


# While its target is not chosen yet.
_NAMES = {
    "group_start": gettext_lazy("Start a group"),
    "group_stop": gettext_lazy("Stop a group"),
    "group_move": gettext_lazy("Move a group"),
    "server_start": gettext_lazy("Start the cluster service of a server"),
    "server_stop": gettext_lazy("Stop the cluster service of a server"),
    "server_restart": gettext_lazy("Restart the cluster service of a server"),
    "server_shutdown": gettext_lazy("Shut a server down"),
    "server_reboot": gettext_lazy("Reboot a server"),
    "server_release": gettext_lazy("End the quarantine of a server"),
    "monitor_suspend": gettext_lazy("Suspend a monitor"),
    "monitor_resume": gettext_lazy("Resume a monitor"),
    "monitor_fail": gettext_lazy("Pretend a failure of a monitor"),
    "monitor_mend": gettext_lazy("End a pretended failure"),
    "fence_test": gettext_lazy("Test a fence device"),
    "fence_confirm": gettext_lazy("Confirm that a server is off"),
    "fence_off": gettext_lazy("Force a server off"),
    **mirrors.NAMES,
}


def named(op: str) -> str:
    """What the operation is called without its target."""
    return str(_NAMES.get(op) or _TITLES[op])


def any_server(op: str) -> str:
    """What it means to name no server, "" where one has to be named."""
    if op in NEEDS_SERVER:
        return ""
    if op in ("group_start", "group_move"):
        return _("As the failover policy says")
    if op == "groups_start":
        return _("Wherever its failover policy says")
    return _("By the coordinator") if op in ("fence_off", "cluster_force") else _("On every server")


def cancelling(op: str) -> str:
    """What becomes of an operation that is cancelled while it runs: said before anybody tries."""
    if op in GROUP_OPS:
        return _(
            "A request that waits for a recovery can be cancelled. One that is being carried out goes on; stop the "
            "group, or move it back when it is online."
        )
    if op in (*GROUPS_OPS, *MONITORS_OPS, "cluster_restart", "server_restart", "cluster_start"):
        return _("What has not been asked yet is left out; what has begun goes on.")
    return _("Only while it waits; what has begun goes on.")


def effect(op: str, target: str) -> str:
    """What will happen, where that is the same every time; else "", and the simulator tells."""
    return str(_EFFECTS[op] % {"target": target}) if op in _EFFECTS else ""


def operation_title(op: str, target: str, server: str) -> str:
    title = _TITLES.get(f"{op}_on" if server else op) or _TITLES[op]
    return title % {"target": target, "server": server}


# What one would type on a server: without and with a server beside the target.
_COMMANDS = {
    "group_start": ("clpgrp -s {target}", "clpgrp -s {target} -h {server}"),
    "group_stop": ("clpgrp -t {target}", "clpgrp -t {target} -h {server}"),
    "group_move": ("clpgrp -m {target}", "clpgrp -m {target} -a {server}"),
    "groups_start": ("clpgrp -s", "clpgrp -s -h {server}"),
    "groups_stop": ("clpgrp -t", "clpgrp -t -h {server}"),
    "groups_move": ("clpgrp -m", "clpgrp -m -h {server}"),
    "cluster_start": ("clpcl -s -a",),
    "cluster_stop": ("clpcl -t -a",),
    "cluster_restart": ("clpcl -r -a",),
    "cluster_shutdown": ("clpstdn",),
    "cluster_reboot": ("clpstdn -r",),
    "cluster_suspend": ("clpcl --suspend",),
    "cluster_resume": ("clpcl --resume",),
    "cluster_force": ("clpcl --force-quorum --they-are-off", "clpcl --force-quorum --they-are-off -h {server}"),
    "server_start": ("clpcl -s -h {target}",),
    "server_stop": ("clpcl -t -h {target}",),
    "server_restart": ("clpcl -r -h {target}",),
    "server_shutdown": ("clpdown -h {target}",),
    "server_reboot": ("clpdown -r -h {target}",),
    "server_release": ("clpcl --release -h {target}",),
    "monitor_suspend": ("clpmonctrl -s -m {target} -a", "clpmonctrl -s -m {target} -h {server}"),
    "monitor_resume": ("clpmonctrl -r -m {target} -a", "clpmonctrl -r -m {target} -h {server}"),
    "monitor_fail": ("clpmonctrl -e -m {target} -a", "clpmonctrl -e -m {target} -h {server}"),
    "monitor_mend": ("clpmonctrl -n -m {target} -a", "clpmonctrl -n -m {target} -h {server}"),
    "monitors_suspend": ("clpmonctrl -s -a", "clpmonctrl -s -h {server}"),
    "monitors_resume": ("clpmonctrl -r -a", "clpmonctrl -r -h {server}"),
    "fence_test": ("clpfence test {target}", "clpfence test {target} -h {server}"),
    "fence_arm": ("clpfence arm",),
    "fence_disarm": ("clpfence disarm",),
    "fence_confirm": ("clpfence confirm {target}",),
    "fence_off": ("clpfence test {target} --off", "clpfence test {target} --off -h {server}"),
    **mirrors.COMMANDS,
}


def command(op: str, target: str, server: str) -> str:
    """What one would type on a server."""
    forms = _COMMANDS[op]
    return forms[-1 if server else 0].format(target=shlex.quote(target), server=shlex.quote(server))


# Of the original's interface; {0} is the target. What it lacks is asked under /api/v2.
_PATHS = {
    **{op: "groups/{0}/" + op.partition("_")[2] for op in GROUP_OPS},
    "groups_start": "groups/start",
    "groups_stop": "groups/stop",
    **{op: "cluster/" + op.partition("_")[2] for op in CLUSTER_OPS if op not in ("cluster_restart", "cluster_force")},
    **{op: "servers/{0}/" + op.partition("_")[2] for op in SERVER_OPS if op != "server_restart"},
    "monitor_suspend": "monitors/{0}/suspend",
    "monitor_resume": "monitors/{0}/resume",
    "monitor_fail": "monitors/{0}/dummy-failure/start",
    "monitor_mend": "monitors/{0}/dummy-failure/stop",
    "fence_test": "fences/{0}/test",
    "fence_arm": "fences/arm",
    "fence_disarm": "fences/disarm",
    "fence_confirm": "servers/{0}/confirm-off",
}


def rest(op: str, target: str, server: str, cluster: str = "") -> dict[str, Any]:
    """The same over HTTP. `cluster`: it is named where there are several."""
    if op in _PATHS:
        mark = f"?cluster={quote(cluster)}" if cluster else ""
        path = f"/api/v1/{_PATHS[op].format(quote(target, safe=''))}{mark}"
        return {"method": "POST", "path": path, "body": {"target": server} if server else {}}
    body = {"op": op} | ({"target": target} if target else {}) | ({"server": server} if server else {})
    return {
        "method": "POST",
        "path": f"/api/v2/clusters/{quote(cluster or 'CLUSTER', safe='')}/operations",
        "body": body,
    }


def word_to_type(op: str, target: str, server: str, cluster: str) -> str:
    """What the page wants typed before it is asked for, "" where a click is enough."""
    return (target or server or cluster) if op in TYPED else ""


def no_agent() -> str:
    return _(
        "No agent of this cluster is connected to the manager, so nobody can take the request. Check the agents "
        "(clpstat on a server works without the manager) and their manager.json."
    )


def not_done_yet(seconds: float) -> str:
    return _("Accepted, but not done within %(seconds)d s. It goes on; watch the status.") % {"seconds": seconds}


def no_answer(server: str, seconds: float) -> str:
    return _("%(server)s did not answer within %(seconds)d s.") % {"server": server, "seconds": seconds}
