"""What the mirror process of an md resource is told, made from clp.conf."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.catalog import RESOURCES
from agent.clpconf.model import Cluster, Resource
from agent.mirrord.settings import Connect, Settings

_DRIVER = "parameters/mddriver/"
_KIB, _MIB = 1 << 10, 1 << 20
_SILENT_S, _LONGEST_KEEPALIVE_S = 3.0, 1.0


def servers_of(cluster: Cluster, name: str) -> tuple[str, ...]:
    """The two servers that have the disks."""
    group = cluster.group_of(name)
    return (group.policy if group is not None else ()) or cluster.server_names


def peer_of(cluster: Cluster, me: str, name: str) -> str:
    """The other one; ValueError says what is wrong."""
    servers = servers_of(cluster, name)
    if len(servers) != 2 or me not in servers:
        raise ValueError(
            f"{name} is mirrored between two servers, but its group may run on {', '.join(servers)}; "
            "give the group exactly two servers"
        )
    return next(server for server in servers if server != me)


def settings_of(cluster: Cluster, me: str, resource: Resource, *, key: bytes, run: str, boot: str) -> Settings:
    """ValueError: a sentence that says what is missing in clp.conf."""
    name, raw = resource.name, resource.on(me)
    peer = peer_of(cluster, me, name)
    values: Mapping[str, Any] = RESOURCES["md"].spec.values(raw)
    # The default of the original, 10 s, is long: it counts where the file says it.
    silent_s = float(values[f"{_DRIVER}hbinterval"]) if f"{_DRIVER}hbinterval" in raw else _SILENT_S
    limited = values[f"{_DRIVER}bandlimit/mode"] and values[f"{_DRIVER}bandlimit/limit"]
    return Settings(
        mirror=name, cluster=cluster.name, server=me, peer=peer, key=key.hex(),
        data=values["parameters/diskdev/dppath"], partition=values["parameters/diskdev/cppath"], run=run,
        device=values["parameters/nmppath"] or "", boot=boot, connects=_connects(cluster, me, peer, name, values),
        port=values[f"{_DRIVER}port"], asynchronous=values[f"{_DRIVER}syncmode"] == "0",
        queue_most=values[f"{_DRIVER}sendqueuesize"], history=values[f"{_DRIVER}historydir"] or "",
        history_bytes=(values[f"{_DRIVER}historymax"] or 0) * _MIB,
        limit_bytes_s=values[f"{_DRIVER}bandlimit/limit"] * _KIB if limited else 0,
        compress=int(values[f"{_DRIVER}compress"]), encrypt=bool(values[f"{_DRIVER}crypto/use"]),
        key_file=values[f"{_DRIVER}crypto/keyfile"] or "", connect_s=float(values[f"{_DRIVER}connecttimeout"]),
        send_s=float(values[f"{_DRIVER}sendtimeout"]), ack_s=float(values[f"{_DRIVER}acktimeout"]), silent_s=silent_s,
        keepalive_s=min(_LONGEST_KEEPALIVE_S, silent_s / 3),
    )  # fmt: skip


def _connects(cluster: Cluster, me: str, peer: str, name: str, values: Mapping[str, Any]) -> tuple[Connect, ...]:
    devices = values["parameters/netdev@*/device"]
    priorities, names = values["parameters/netdev@*/priority"], values["parameters/netdev@*/mdcname"]
    found = []
    for device, priority, called in zip(devices, priorities, names, strict=True):
        own, other = cluster.server(me).device(device), cluster.server(peer).device(device)
        for server, there in ((me, own), (peer, other)):
            if there is None or not there.info:
                raise ValueError(
                    f"{name} uses mirror connect {device}, but {server} has no device {device} of type mdc"
                )
        assert own is not None
        assert other is not None
        found.append(Connect(name=called or f"mdc{device - 400}", own=own.info, peer=other.info, priority=priority))
    if not found:
        raise ValueError(f"{name} has no mirror connect; give it a device of type mdc")
    return tuple(sorted(found, key=lambda connect: connect.priority))
