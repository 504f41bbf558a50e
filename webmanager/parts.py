"""What the servers are asked for an operation: one request, or several at once, or one after the others.

The parts of an operation are fixed and stored before anything is sent. Their ids follow from the operation's, so that
whoever asks again, in whichever process, asks for the same.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from webmanager.mirrors import operations as mirrors

Status = dict[str, Any]
_ON = ("Online", "Suspend", "Online Pending", "Offline Pending", "Caution")
# What ends a server's life: asked again after its answer was lost, it would end the next one.
_ENDING = ("server_stop", "server_shutdown", "server_reboot", "fence_off")
_ENDING_ALL = ("cluster_stop", "cluster_shutdown", "cluster_reboot")
_OF_EACH_SERVER = ("mirror_pace", "mirror_verify_stop")


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One request. `node`: only the agent of that server may take it. `once`: it is never asked twice of anybody."""

    id: str
    op: str
    target: str = ""
    server: str = ""
    node: str = ""
    lives: dict[str, int] = {}  # server -> the incarnation that is meant
    bytes_s: int = 0  # of mirror_pace
    force: bool = False  # of mirror_verify
    mount: bool = True  # of mirror_backup_begin
    same: bool = False  # of mirror_restore_end

    @property
    def once(self) -> bool:
        return self.op == "fence_off"

    def named(self) -> str:
        """What tells it from the other parts of the same operation."""
        return self.node or (self.server if self.op in _OF_EACH_SERVER else "") or self.target or self.op


Stages = list[list[Part]]  # the parts of one stage at the same time; a stage begins when the one before is done


class Further(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup or a restore says beside its mirror disks. `follows`: what becomes of the server then, "" nothing;
    `only`: nothing else."""

    follows: str = ""
    only: bool = False
    mount: bool = True
    same: bool = False


def stages(key: uuid.UUID, op: str, target: str, server: str, status: Status, further: Further | None = None) -> Stages:
    """`status`: as it is shown when it is asked. No part at all: there is nothing to do."""
    made = _MAKERS.get(op)
    found = made(target, server, status) if made else [[(op, target, server, "")]]
    further = further or Further()
    if further.follows:
        found = [*([] if further.only else found), [(further.follows, server, "", "")]]
    several = sum(map(len, found)) > 1 or op in _MAKERS
    return [
        [_part(key, several, number, one, status, op, further) for one in stage] for number, stage in enumerate(found)
    ]


_Ask = tuple[str, str, str, str]  # op, target, server, node


def _part(key: uuid.UUID, several: bool, stage: int, ask: _Ask, status: Status, wanted: str, further: Further) -> Part:
    op, target, server, node = ask
    bytes_s = mirrors.SLOW_BYTES_S if wanted == "mirror_slow" else 0
    made = Part(id=str(key), op=op, target=target, server=server, node=node, lives=_lives(op, target, status),
                bytes_s=bytes_s, force=wanted == "mirror_repair", mount=further.mount,
                same=further.same and op == "mirror_restore_end")  # fmt: skip
    return msgspec.structs.replace(made, id=f"{key}:{stage}:{made.named()}") if several else made


def _lives(op: str, target: str, status: Status) -> dict[str, int]:
    names = [target] if op in _ENDING else list(status["servers"]) if op in _ENDING_ALL else []
    found = {name: int(status["servers"].get(name, {}).get("incarnation") or 0) for name in names}
    return {name: life for name, life in found.items() if life}


def servers_that_are_on(status: Status) -> list[str]:
    return [server["name"] for server in status["servers"].values() if server["status"] in _ON]


def _start_cluster(target: str, server: str, status: Status) -> list[list[_Ask]]:
    """The engine knows the start of one server only: every one that does not run is asked for."""
    off = [s["name"] for s in status["servers"].values() if s["status"] not in _ON]
    return [[("server_start", name, "", "") for name in off]]


def _restart_cluster(target: str, server: str, status: Status) -> list[list[_Ask]]:
    starts: list[_Ask] = [("server_start", name, "", "") for name in status["servers"]]
    on = servers_that_are_on(status)
    return [[("cluster_stop", "", "", "")], starts] if on else [starts]


def _restart_server(target: str, server: str, status: Status) -> list[list[_Ask]]:
    start: list[_Ask] = [("server_start", target, "", "")]
    return [[("server_stop", target, "", "")], start] if target in servers_that_are_on(status) else [start]


def _test_fence(target: str, server: str, status: Status) -> list[list[_Ask]]:
    """Each server must reach the device itself, because the one that survives has to; so each is asked for itself."""
    names = [server] if server else [s["name"] for s in status["servers"].values() if s["status"] == "Online"]
    return [[("fence_test", target, "", name) for name in names]]


def _force_off(target: str, server: str, status: Status) -> list[list[_Ask]]:
    """By one server, which answers for it; none can force itself off."""
    coordinator = status["cluster"]["coordinator"]
    others = [name for name in servers_that_are_on(status) if name != target]
    node = server or (coordinator if coordinator in others else next(iter(others), ""))
    return [[("fence_off", target, "", node)]]


def _force_quorum(target: str, server: str, status: Status) -> list[list[_Ask]]:
    return [[("cluster_force", "", "", server)]]


def _groups(op: str, wanted: Callable[[dict[str, Any], str], bool]) -> Callable[[str, str, Status], list[list[_Ask]]]:
    def made(target: str, server: str, status: Status) -> list[list[_Ask]]:
        names: Iterable[str] = [g["name"] for g in status["groups"].values() if wanted(g, server)]
        return [[(op, name, server if op == "group_start" else "", "") for name in names]]

    return made


def _monitors(op: str) -> Callable[[str, str, Status], list[list[_Ask]]]:
    def made(target: str, server: str, status: Status) -> list[list[_Ask]]:
        names = [m["name"] for m in status["monitors"].values() if not server or server in m["servers"]]
        return [[(op, name, server, "") for name in names]]

    return made


_MAKERS: dict[str, Callable[[str, str, Status], list[list[_Ask]]]] = {
    "cluster_start": _start_cluster,
    "cluster_restart": _restart_cluster,
    "cluster_force": _force_quorum,
    "server_restart": _restart_server,
    "fence_test": _test_fence,
    "fence_off": _force_off,
    "groups_start": _groups("group_start", lambda g, server: not g["active_on"] and server in ("", *g["policy"])),
    "groups_stop": _groups("group_stop", lambda g, server: server in g["active_on"]),
    "groups_move": _groups("group_move", lambda g, server: server in g["active_on"]),
    "monitors_suspend": _monitors("monitor_suspend"),
    "monitors_resume": _monitors("monitor_resume"),
    "mirror_verify": mirrors.verify,
    "mirror_repair": mirrors.verify,
    "mirror_verify_stop": mirrors.verify_stop,
    "mirror_slow": mirrors.pace,
    "mirror_fast": mirrors.pace,
    **{op: mirrors.each(op) for op in (*mirrors.BACKUPS, *mirrors.RESTORES)},
}


def happened(part: Part, status: Status, *, current: bool) -> bool | None:
    """Whether the state that is shown proves that it was done, whoever did it. None: the state cannot tell. What may
    have been so before it was asked for proves nothing unless it is so now (`current`: somebody tells)."""
    servers = status["servers"]
    if part.op in ("server_stop", "server_shutdown"):
        return servers.get(part.target, {}).get("status") == "Offline" or None
    if part.op in ("cluster_stop", "cluster_shutdown"):
        return all(server["status"] == "Offline" for server in servers.values()) or None
    if part.op in ("server_reboot", "cluster_reboot"):
        anew = [servers.get(name, {}).get("incarnation") not in (0, None, life) for name, life in part.lives.items()]
        return (bool(anew) and all(anew)) or None
    if not current:
        return None
    if part.op == "server_start":
        return servers.get(part.target, {}).get("status") in _ON or None
    if part.op in ("cluster_suspend", "cluster_resume"):
        return bool(status["cluster"]["suspended"]) == (part.op == "cluster_suspend") or None
    return None
