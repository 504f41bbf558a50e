"""clpstat -f: what decides at a network partition and what forces servers off, from nothing but the status."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from typing import Any

from agent.cli.table import frame

Json = Mapping[str, Any]
_NAME = 32


def fencing(status: Json, me: str) -> str:
    """Partition resolution on each server, who may act now, fence devices, watchdogs, quarantine."""
    cluster = status["cluster"]
    partition = cluster.get("partition", {})
    lines = [f"  Cluster : {cluster['name']}", "  <partition>"]
    lines.append(f"    {_dots('may act')}: {', '.join(partition.get('acting', ())) or 'None'}")
    lines += [f"      {text}" for text in _sentences(str(partition.get("why", "")))]
    lines.append("  <resolution>")
    lines += list(_resolvers(status, me)) or ["    None"]
    lines.append("  <forced stop>")
    lines += list(_devices(status)) or ["    None"]
    lines.append("  <server>")
    lines += list(_servers(status, me, armed=cluster.get("fencing", {}).get("armed", True)))
    return frame("FENCING STATUS", lines)


def _resolvers(status: Json, me: str) -> Iterator[str]:
    names = dict.fromkeys(
        name
        for server in status["servers"].values()
        for name, one in server["heartbeats"].items()
        if one["type"].endswith("np")
    )
    for name in names:
        places = [(s, server["heartbeats"][name]) for s, server in status["servers"].items()]
        yield f"    {_dots(name)}: {places[0][1]['comment']}"
        for server, one in places:
            since = f"since {_when(one['since'])}" if one.get("since") else ""
            detail = f" ({one['detail']})" if one.get("detail") else ""
            yield f"     {_marked(server, me)}: {one['status']:<17}{since}{detail}".rstrip()


def _devices(status: Json) -> Iterator[str]:
    for device in status.get("fences", {}).values():
        yield f"    {_dots(device['name'])}: {device['agent']}, level {device['level']}"
        yield f"      {'targets':<{_NAME}}: {', '.join(device['targets'])}"
        yield f"      {'last proven':<{_NAME}}: {_when(device['last_proven'])}"
        detail = f": {device['detail']}" if device["detail"] else ""
        yield f"      {'last result':<{_NAME}}: {device['last_result'] or 'never tested'}{detail}"


def _servers(status: Json, me: str, *, armed: bool) -> Iterator[str]:
    if not armed:
        yield "    DISARMED: nothing is forced off, nothing is taken over from a lost server."
    for name, server in status["servers"].items():
        watchdog = server.get("watchdog", {"status": "unknown", "detail": ""})
        detail = f" ({watchdog['detail']})" if watchdog["detail"] else ""
        yield f"     {_marked(name, me)}: {server['status']:<17}watchdog {watchdog['status']}{detail}"
        if quarantine := server.get("quarantine"):
            yield (
                f"        in quarantine until {_when(quarantine['until'])}: lost {quarantine['times']} times within "
                f"{quarantine['window_s']:g} s (clpcl --release -h {name})"
            )


def _sentences(text: str) -> Iterator[str]:
    """One a line, since the table has a width."""
    rest = text
    while rest:
        first, found, rest = rest.partition(". ")
        yield f"{first}." if found else first


def _marked(server: str, me: str) -> str:
    return f"{'*' if server == me else ' '}{server:<{_NAME}}"


def _dots(name: str) -> str:
    return f"{name} ".ljust(_NAME + 2, ".")


def _when(seconds: float) -> str:
    if not seconds:
        return "never"
    return datetime.datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")
