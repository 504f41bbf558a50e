"""What is wrong with a cluster, in a few facts: for the card of a cluster among many, and for programs.

Pure: a status goes in, facts come out, worst first. The live page says the same at length (static/js/problems.js).
A fact is said in words only where it is shown (`say`), because those who look at the same card read other languages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from webmanager.spoken import said

RANKS = {"bad": 0, "unknown": 1, "warn": 2, "busy": 3, "note": 4}
# Sentences by code; the page brings them along in its language, so that the browser need not know them.
SENTENCES = {
    "silent": gettext_noop("No agent of this cluster reports; what is shown is old."),
    "never": gettext_noop("No server of this cluster has ever reported."),
    "both": gettext_noop("Two sides act at the same time."),
    "nobody": gettext_noop("No server may run groups."),
    "cut": gettext_noop("Only %(name)s may run groups."),
    "unproven": gettext_noop("%(name)s is not heard, and nothing proves that it has stopped."),
    "suspended": gettext_noop("The cluster is suspended: nothing fails over."),
    "disarmed": gettext_noop("Fencing is disarmed: nothing is taken over from a lost server."),
    "told": "%(detail)s",
    "twice": gettext_noop("Group %(name)s is active on several servers."),
    "failed": gettext_noop("Group %(name)s has failed."),
    "nowhere": gettext_noop("Group %(name)s runs nowhere."),
    "lost": gettext_noop("Nobody knows where group %(name)s runs."),
    "moving": gettext_noop("Group %(name)s is on its way."),
    "offline": gettext_noop("Server %(name)s is offline."),
    "unheard": gettext_noop("Nothing is known of server %(name)s."),
    "changing": gettext_noop("Server %(name)s is starting or stopping."),
    "quarantine": gettext_noop("Server %(name)s is in quarantine."),
    "remark": gettext_noop("Server %(name)s: %(detail)s"),
    "path": gettext_noop("Heartbeat %(name)s is not heard everywhere."),
    "resolver": gettext_noop("Partition resolver %(name)s is not reached everywhere."),
    "fence": gettext_noop("Fence device %(name)s has failed."),
    "monitor": gettext_noop("Monitor %(name)s reports an error."),
    "caution": gettext_noop("Monitor %(name)s warns."),
    "clock": gettext_noop("The clock of %(name)s is wrong by %(detail)s s."),
    "mirror_fault": gettext_noop("A disk of mirror %(name)s has a fault."),
    "mirror_parted": gettext_noop("The two disks of mirror %(name)s have parted: each has what the other one lacks."),
    "mirror_waits": gettext_noop("Writes to mirror %(name)s wait."),
    "mirror_doubt": gettext_noop("Mirror %(name)s can be activated nowhere."),
    "mirror_single": gettext_noop("Mirror %(name)s has no second copy now."),
    "mirror_copies": gettext_noop("Mirror %(name)s is recovering."),
}


class Problem(NamedTuple):
    look: str
    code: str
    kind: str = "cluster"
    name: str = ""
    since: float = 0.0  # by the clock of the server that says so; 0: not known
    detail: str = ""

    def as_dict(self) -> dict[str, Any]:
        return self._asdict()


def say(problem: Mapping[str, Any]) -> str:
    """In the language of whoever reads."""
    words, _known = said(problem["detail"])
    return " ".join((_(SENTENCES[problem["code"]]) % {"name": problem["name"], "detail": words}).split())


def problems(status: Mapping[str, Any] | None, agents: Mapping[str, Mapping[str, Any]]) -> list[Problem]:
    if status is None or not agents:
        return [Problem("unknown", "never")]
    found = [
        *_of_agents(agents),
        *_of_cluster(status["cluster"]),
        *(one for group in status["groups"].values() for one in _of_group(group)),
        *(one for server in status["servers"].values() for one in _of_server(server, status["cluster"]["partition"])),
        *_of_paths(status["servers"]),
        *(one for fence in status["fences"].values() for one in _of_fence(fence)),
        *(one for monitor in status["monitors"].values() for one in _of_monitor(monitor)),
        *(one for mirror in status["mirrors"].values() for one in _of_mirror(mirror)),
    ]
    # What was wrong when nobody had fallen silent yet may not be so any more.
    return sorted(found, key=lambda one: (one.code != "silent", RANKS[one.look]))


def worst(found: list[Problem]) -> str:
    """bad, unknown, warn or good; work in progress and notes are no trouble."""
    first = found[0].look if found else "good"
    return first if first in ("bad", "unknown", "warn") else "good"


def _of_agents(agents: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    if not any(agent["connected"] for agent in agents.values()):
        yield Problem("unknown", "silent")
    for node, agent in agents.items():
        if agent["connected"] and agent.get("ahead_s"):
            yield Problem("warn", "clock", "server", node, detail=f"{agent['ahead_s']:+.0f}")


def _of_cluster(cluster: Mapping[str, Any]) -> Iterator[Problem]:
    case = (cluster["partition"] or {}).get("case", "whole")
    if case in ("both", "nobody"):
        yield Problem("bad", case)
    elif case == "unsafe":
        away = (*cluster["partition"]["idle"], *cluster["partition"]["silent"])
        yield Problem("warn", "unproven", name=", ".join(away))
    elif case in ("votes", "ping", "fenced"):
        yield Problem("warn", "cut", name=", ".join(cluster["partition"]["acting"]))
    elif cluster.get("detail"):
        yield Problem("bad", "told", detail=cluster["detail"])
    if cluster["suspended"]:
        yield Problem("warn", "suspended")
    if (cluster["fencing"] or {}).get("armed") is False:
        yield Problem("warn", "disarmed")


def _of_group(group: Mapping[str, Any]) -> Iterator[Problem]:
    def found(look: str, code: str) -> Problem:
        return Problem(look, code, "group", group["name"], group["since"])

    status = group["status"]
    if len(group["active_on"]) > 1:
        yield found("bad", "twice")
    elif "Failure" in status:
        yield found("bad", "failed")
    elif "Pending" in status:
        yield found("busy", "moving")
    elif status == "Unknown":
        yield found("warn", "lost")
    elif status == "Offline" and not group["held"] and (group["autostart"] or group["goal"]):
        yield found("bad", "nowhere")


def _of_server(server: Mapping[str, Any], partition: Mapping[str, Any] | None) -> Iterator[Problem]:
    name, status = server["name"], server["status"]
    if partition and partition["case"] != "whole" and name in (*partition["silent"], *partition["idle"]):
        return  # What its absence means has been said.
    if status == "Offline":
        yield Problem("warn", "offline", "server", name)
    elif status == "Unknown":
        yield Problem("warn", "unheard", "server", name)
    elif "Pending" in status:
        yield Problem("busy", "changing", "server", name)
    elif server["quarantine"]:
        yield Problem("warn", "quarantine", "server", name)
    elif server["detail"]:
        yield Problem("warn", "remark", "server", name, detail=server["detail"])


def _of_paths(servers: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    """Each path once, whichever servers miss whom."""
    living = [server for server in servers.values() if server["status"] not in ("Offline", "Unknown")]
    looks: dict[tuple[str, str], str] = {}
    for server in living:
        for name, path in server["heartbeats"].items():
            if path["status"] in ("Error", "Caution"):
                code = "resolver" if path["type"].endswith("np") else "path"
                looks[code, name] = "warn"
    for (code, name), look in looks.items():
        yield Problem(look, code, "resolver" if code == "resolver" else "heartbeat", name)


def _of_fence(fence: Mapping[str, Any]) -> Iterator[Problem]:
    if fence["last_result"] == "failed":
        yield Problem("bad", "fence", "fence", fence["name"])


def _of_monitor(monitor: Mapping[str, Any]) -> Iterator[Problem]:
    runs = [run for run in monitor["servers"].values() if run["status"] in ("Error", "Caution")]
    if not runs:
        return
    error = any(run["status"] == "Error" for run in runs)
    since = min(run["since"] for run in runs)
    yield Problem("bad" if error else "warn", "monitor" if error else "caution", "monitor", monitor["name"], since)


_OF_MIRRORS = {
    "error": "mirror_fault", "differs": "mirror_fault", "both_active": "mirror_parted", "diverged": "mirror_parted",
    "unrelated": "mirror_parted", "stalled": "mirror_waits", "doubt": "mirror_doubt", "copying": "mirror_copies",
}  # fmt: skip


def _of_mirror(mirror: Mapping[str, Any]) -> Iterator[Problem]:
    """The worst fact alone; the page of the mirror has all."""
    look, code, values = mirror["facts"][0]
    if look != "good":
        since = float(values.get("since_at") or 0.0)
        shown = "warn" if look == "unknown" else look
        yield Problem(shown, _OF_MIRRORS.get(code, "mirror_single"), "resource", mirror["name"], since)
