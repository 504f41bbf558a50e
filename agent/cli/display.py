"""A status as text: the tables that clpstat prints, from nothing but the status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from agent.cli.table import LONG, SHORT, Columns, frame, rule

Json = Mapping[str, Any]

_SERVER_MARKS = {"Online": "o", "Offline": "x", "Unknown": "u", "Suspend": "s"}
_GROUP_MARKS = {"Online": "o", "Offline": "x", "Unknown": "u", "Online Pending": "p", "Offline Pending": "p"}
_PATH_MARKS = {"Normal": "o", "Error": "x", "Unused": "-"}
LEGEND = "o online or normal, x offline or error, p pending, f failure, s suspended, u unknown, - unused"


def cluster_status(status: Json, me: str, *, long: bool = False) -> str:
    columns = LONG if long else SHORT
    lines = [f"  Cluster : {status['cluster']['name']}", "  <server>"]
    for server in status["servers"].values():
        lines.append(columns.object(server["name"], server["status"], server["comment"], here=server["name"] == me))
        lines += [columns.sub_object(n, h["status"], h["comment"]) for n, h in server["heartbeats"].items()]
    lines.append("  <group>")
    for group in status["groups"].values():
        lines += _group_lines(columns, status, group)
    lines.append("  <monitor>")
    monitors = sorted(status["monitors"].values(), key=_name)
    lines += [columns.monitor(m["name"], m["status"], m["comment"]) for m in monitors]
    return frame("CLUSTER STATUS", lines)


def _group_lines(columns: Columns, status: Json, group: Json) -> list[str]:
    resources = (status["resources"][name] for name in sorted(group["resources"]) if name in status["resources"])
    return [
        columns.object(group["name"], group["status"], group["comment"]),
        columns.current(where(group)),
        *(columns.sub_object(r["name"], r["status"], r["comment"]) for r in resources),
    ]


def where(group: Json) -> str:
    """All servers where it is active: none is normal, more than one is an emergency."""
    if group["active_on"]:
        return ", ".join(group["active_on"])
    return "Unknown" if group["status"] == "Unknown" else "None"


def group_map(status: Json, me: str) -> str:
    lines = [*_head(status, me), "", rule()]
    groups = list(status["groups"].values())
    for index, server in enumerate(status["servers"].values()):
        active = [_marked(g, g["servers"].get(server["name"], g)) for g in groups if server["name"] in g["active_on"]]
        lines.append(f"    server{index} [{_server_mark(server)}] : {''.join(active)}")
    idle = [_marked(g, g) for g in groups if not g["active_on"]]
    if idle:
        lines.append(f"    none        : {''.join(idle)}")
    return frame("GROUPMAP INFORMATION", lines)


def _marked(group: Json, place: Json) -> str:
    return f"{group['name']}[{_group_mark(place['status'])}] "


def heartbeats(status: Json, me: str) -> str:
    """Per server: how it hears each of the others over each heartbeat."""
    servers = list(status["servers"].values())
    names = list(dict.fromkeys(name for server in servers for name in server["heartbeats"]))
    lines = [*_head(status, me), *(f"    HB{i} : {name}" for i, name in enumerate(names)), ""]
    for index, server in enumerate(servers):
        lines.append(f"  [on server{index} : {server['status']}]")
        lines.append(f"         HB {' '.join(f'{i:>3}' for i in range(len(names)))}")
        lines.append(rule(4))
        lines += [_heard(server, names, i, peer["name"]) for i, peer in enumerate(servers) if peer is not server]
        lines.append(f"      local   :{' '.join(f'{_hb_mark(server, name):>3}' for name in names)}")
        lines.append("")
    return frame("HEARTBEAT RESOURCE STATUS", lines)


def _heard(server: Json, names: Iterable[str], index: int, peer: str) -> str:
    paths = (server["heartbeats"].get(name, {}).get("peers", {}).get(peer) for name in names)
    marks = " ".join(f"{_PATH_MARKS.get(path['status'], 'u') if path else '-':>3}" for path in paths)
    return f"      {f'server{index}':<8}:{marks}"


def _hb_mark(server: Json, name: str) -> str:
    word = server["heartbeats"].get(name, {}).get("status", "Unused")
    return {"Caution": "c", "Offline": "x"}.get(word, _PATH_MARKS.get(word, "u"))


def monitors(status: Json, me: str) -> str:
    """Per monitor: what each server says of it."""
    lines = [*_head(status, me), ""]
    servers = list(status["servers"].values())
    for index, monitor in enumerate(sorted(status["monitors"].values(), key=_name)):
        lines += [f"  Monitor{index} : [{monitor['name']} : {monitor['status']}]", rule(4)]
        for number, server in enumerate(servers):
            one = monitor["servers"].get(server["name"])
            if one is not None:
                detail = f"{one['status']:<17}{one['detail']}{_longest(one)}".rstrip()
                lines.append(f"      server{number} [{_server_mark(server)}] : {detail}")
        lines.append("")
    return frame("MONITOR RESOURCE STATUS", lines)


def _longest(one: Json) -> str:
    """How near the checks of today came to the timeout; clpperfc shows more."""
    found = one.get("responses")
    if not found or not found["count"]:
        return ""
    gap = " " if one["detail"] else ""
    return f"{gap}longest {found['worst_ms']:.0f} ms, {found['worst_percent']} % of the timeout"


def notes(status: Json, *, ages: bool) -> list[str]:
    """What the table cannot tell: how old its data is, and who disagrees. Stands below the table."""
    found = []
    for server in status["servers"].values():
        if server["status"] == "Unknown" or server["detail"]:
            found.append(f"{server['name']} is {server['status']}. {_old(server)}")
    if status["cluster"].get("detail"):
        found.append(status["cluster"]["detail"])
    found += [
        f"{group['name']}: {group['detail']}"
        for group in status["groups"].values()
        if group["detail"] and group["status"] not in ("Online", "Online Pending", "Offline Pending")
    ]
    if ages:
        found.append("Age of what is shown: " + ", ".join(map(_age, status["servers"].values())) + ".")
    return found


def _old(server: Json) -> str:
    old = server["source"] and server["status"] in ("Unknown", "Offline")
    heard = f" Last news {server['age_s']:.1f} s ago." if old else ""
    return f"{server['detail']}{heard}"


def _age(server: Json) -> str:
    return f"{server['name']} {server['age_s']:.1f} s" if server["source"] else f"{server['name']} none"


def _head(status: Json, me: str) -> list[str]:
    lines = [f"  Cluster : {status['cluster']['name']}"]
    for index, name in enumerate(status["servers"]):
        lines.append(f"   {'*' if name == me else ' '}server{index} : {name}")
    return lines


def _server_mark(server: Json) -> str:
    return _SERVER_MARKS.get(server["status"], "p")


def _group_mark(status: str) -> str:
    return _GROUP_MARKS.get(status, "f")


def _name(thing: Json) -> str:
    return str(thing["name"])
