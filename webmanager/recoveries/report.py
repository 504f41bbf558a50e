"""What a printed status report says of a cluster: what is wrong first. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.utils.translation import gettext as _

from webmanager.recoveries import words

_FINE = ("Online", "Normal", "Unused")
_NEAR_PERCENT = 50.0  # A silence of half the timeout is worth a line.


def of(status: Mapping[str, Any]) -> dict[str, Any]:
    """Parts of the report's context."""
    monitors = [m for m in status["monitors"].values() if m["status"] not in (*_FINE, "Offline")]
    return {
        "problems": problems(status),
        "servers": list(status["servers"].values()),
        "monitors": [{**monitor, "places": _troubled(monitor)} for monitor in monitors],
        "margins": margins(status),
    }


def _troubled(monitor: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [(name, there) for name, there in monitor["servers"].items() if there["status"] not in (*_FINE, "Offline")]


def problems(status: Mapping[str, Any]) -> list[dict[str, str]]:
    """What an administrator should know, the worst first: look, text, and `detail` in the agents' own words."""
    found = [*_of_groups(status), *_of_servers(status), *_of_monitors(status), *_of_paths(status)]
    cluster = status["cluster"]
    partition = cluster.get("partition") or {}
    if partition.get("case") not in (None, "whole", "unknown"):
        found.append(_problem("warn", _("Not all servers may run groups."), partition["why"]))
    if cluster["suspended"]:
        found.append(_problem("warn", _("The cluster is suspended: nothing recovers by itself.")))
    fencing = cluster.get("fencing") or {}
    if (fencing.get("covered") or fencing.get("self_fencing")) and not fencing.get("armed", True):
        found.append(_problem("warn", _("Fencing is disarmed.")))
    return sorted(found, key=lambda one: one["look"] != "bad")


def _problem(look: str, text: str, detail: str = "") -> dict[str, str]:
    return {"look": look, "text": text, "detail": detail}


def _of_groups(status: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    for group in status["groups"].values():
        name = {"name": group["name"]}
        if len(group["active_on"]) > 1:
            text = _("Group %(name)s is active on several servers: %(servers)s.")
            yield _problem("bad", text % {**name, "servers": ", ".join(group["active_on"])}, group["detail"])
        elif group["status"].endswith("Failure"):
            yield _problem("bad", _("Group %(name)s has failed.") % name, group["detail"])
        elif group["status"] == "Offline" and not group["held"]:
            yield _problem("bad", _("Group %(name)s does not run.") % name, group["detail"])
        elif group["status"] == "Offline":
            yield _problem("warn", _("Group %(name)s was stopped by an operator.") % name)
        elif group["status"] not in _FINE:
            text = _("Group %(name)s is on its way: %(status)s.") % {**name, "status": _(group["status"])}
            yield _problem("warn", text, group["detail"])


def _of_servers(status: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    for server in status["servers"].values():
        if server["status"] != "Online":
            names = {"name": server["name"], "status": _(server["status"])}
            yield _problem("bad", _("Server %(name)s: %(status)s.") % names, server["detail"])
        elif server["quarantine"]:
            yield _problem("warn", _("Server %(name)s is in quarantine.") % {"name": server["name"]})


def _of_monitors(status: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Of a server that is silent nothing else is to be expected."""
    alive = _alive(status)
    for monitor in status["monitors"].values():
        for server, there in _troubled(monitor):
            if server not in alive and there["status"] == "Unknown":
                continue
            names = {"name": monitor["name"], "server": server, "status": _(there["status"])}
            look = "bad" if there["status"] == "Error" else "warn"
            yield _problem(look, _("Monitor %(name)s on %(server)s: %(status)s.") % names, there["detail"])


def _of_paths(status: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """A heartbeat that a living server does not get from another living one."""
    alive = _alive(status)
    for name in sorted(alive):
        for path, told in status["servers"][name]["heartbeats"].items():
            lost = [peer for peer, one in told["peers"].items() if one["status"] == "Error" and peer in alive]
            if lost:
                names = {"path": path, "server": name, "peers": ", ".join(lost)}
                yield _problem("warn", _("%(server)s does not hear %(peers)s on %(path)s.") % names)


def _alive(status: Mapping[str, Any]) -> set[str]:
    return {name for name, server in status["servers"].items() if server["status"] == "Online"}


def margins(status: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The longest silence that each server heard, against the timeout; the nearest to it first."""
    found = []
    for name, server in status["servers"].items():
        for peer, gaps in (server.get("hears") or {}).items():
            if gaps:
                worst = gaps["worst_percent"] or 0
                found.append(
                    {"by": name, "of": peer, "worst": words.duration(gaps["worst_ms"] / 1000), "percent": worst,
                     "near": worst >= _NEAR_PERCENT}
                )  # fmt: skip
    return sorted(found, key=lambda one: -one["percent"])[:6]


def fate(told: Mapping[str, Any]) -> dict[str, Any]:
    """What the simulator says would become of a group, in words."""
    words_ = str(told["event"]).split()
    if words_[:1] == ["crash"]:
        when = _("If %(server)s is lost") % {"server": words_[1]}
    elif "group_move" in words_:
        when = _("If it is moved without naming a server")
    else:
        when = _("If it is started without naming a server")
    found = told["fate"]
    if told["error"]:
        return {"when": when, "what": told["error"], "why": "", "english": True}
    if found is None:
        return {"when": when, "what": _("Nothing becomes of it: it stays as it is."), "why": "", "english": False}
    names = {"servers": ", ".join(found["after"]), "outage": words.duration(found["outage_s"])}
    texts = {
        "stays": _("It stays where it is."),
        "restarts": _("It restarts on %(servers)s; outage about %(outage)s.") % names,
        "moves": _("It goes to %(servers)s; outage about %(outage)s.") % names,
        "starts": _("It starts on %(servers)s.") % names,
        "stops": _("It stops, and nothing starts it elsewhere."),
        "split": _("It could run on several servers at once: %(servers)s.") % names,
    }
    return {
        "when": when,
        "what": texts.get(found["outcome"], found["outcome"]),
        "why": found["why"],
        "rule": found["rule"],
        "english": False,
    }
