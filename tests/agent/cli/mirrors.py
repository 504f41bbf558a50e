"""Mirror disks in a state that a test wants, as an agent shows them."""

from __future__ import annotations

from typing import Any

import msgspec

from agent.wire.mirror import MirrorState, color_of, facts, source_of, status_of

AT = 1_795_000_000.0  # a time of the clock
PAST = tuple({"name": name, "at": AT - ago, "server": "server1"} for name, ago in (("g2", 9000), ("g1", 9999)))
CONNECT = {"name": "mdc1", "own": "10.0.0.1", "peer": "10.0.0.2", "priority": 0, "state": "used", "since": AT - 9000,
           "round_trip_s": 0.00021, "error": ""}  # fmt: skip


def side(server: str, peer: str, **changes: Any) -> dict[str, Any]:
    """GREEN and equal, if nothing else is said."""
    base = MirrorState(
        server=server, peer=peer, color="GREEN", peer_color="GREEN", relation="equal", in_sync=True, constructed=True,
        size=1 << 30, grain=1 << 16, generation="g2", history=PAST, last_update=AT,
        link={"connected": True, "paths": [CONNECT]},
    )  # fmt: skip
    return msgspec.structs.asdict(msgspec.structs.replace(base, **changes))


def mirror(one: dict[str, Any] | None, two: dict[str, Any] | None, name: str = "md1") -> dict[str, Any]:
    sides = {"server1": one, "server2": two}
    return {
        "name": name, "comment": "", "group": "failover1", "device": "/dev/NMP1", "status": status_of(sides),
        "source": source_of(sides), "colors": {server: color_of(sides, server) for server in sides},
        "facts": [list(fact) for fact in facts(name, sides)], "servers": sides,
    }  # fmt: skip


def equal() -> dict[str, Any]:
    active = side("server1", "server2", active=True, mode="mirrored")
    return mirror(active, side("server2", "server1", peer_active=True))


def copying(copied: int = 40 << 20) -> dict[str, Any]:
    source = side(
        "server1", "server2", active=True, mode="copying", relation="source", peer_color="YELLOW", copied=copied,
        to_copy=100 << 20, rate=20e6, remaining_s=3.0, dirty=(100 << 20) - copied, broken_at=AT - 60,
        bitmap=(0, 0, 5, 9),
    )  # fmt: skip
    target = side("server2", "server1", color="YELLOW", relation="target", peer_active=True, in_sync=False, whole=False)
    return mirror(source, target)


def separated() -> dict[str, Any]:
    """server2 stands still for a backup, server1 goes on."""
    one = side("server1", "server2", active=True, mode="alone", relation="apart", dirty=12 << 20, broken_at=AT - 60,
               peer_color="RED")  # fmt: skip
    two = side("server2", "server1", color="RED", relation="apart", isolated=True, outdated=True, in_sync=False,
               separated_at=AT - 60)  # fmt: skip
    return mirror(one, two)


def restoring() -> dict[str, Any]:
    """server2's disk is being written by an operator, and the group is stopped."""
    one = side("server1", "server2", relation="apart", in_sync=False)
    error = "A backup is being restored to /dev/sdb2."
    two = side("server2", "server1", color="RED", relation="apart", error=error, doubt=error, restoring_at=AT - 60)
    return mirror(one, two)


def alone() -> dict[str, Any]:
    """server2 is away, server1 goes on."""
    one = side(
        "server1", "server2", active=True, mode="alone", relation="apart", peer_color="RED", dirty=12 << 20,
        broken_at=AT - 3600,
        link={"connected": False, "error": "", "why": "mdc1: No route to host.", "since": AT - 3600,
              "paths": [{**CONNECT, "state": "lost", "round_trip_s": None, "error": "No route to host."}]},
    )  # fmt: skip
    return mirror(one, None)


def diverged() -> dict[str, Any]:
    """server1 has written 12 MiB alone, server2 3 MiB."""
    doubt = "Both servers have gone on without the other one."
    both = {"color": "RED", "peer_color": "RED", "relation": "foreign", "doubt": doubt, "why": doubt}
    base = {"name": "g2", "at": AT - 9000, "server": "server1"}
    one = side("server1", "server2", generation="a", dirty=12 << 20, losses={"bytes": 3 << 20, "since": AT - 60},
               history=({"name": "a", "at": AT - 3600, "server": "server1"}, base), bitmap=(9,) * 6 + (0,) * 506,
               **both)  # fmt: skip
    two = side("server2", "server1", generation="b", dirty=3 << 20, losses={"bytes": 12 << 20, "since": AT - 3600},
               history=({"name": "b", "at": AT - 60, "server": "server2"}, base), bitmap=(0,) * 510 + (2, 9),
               **both)  # fmt: skip
    return mirror(one, two)


def doubtful() -> dict[str, Any]:
    """server2 is away, and server1 cannot know whether it went on."""
    doubt = "server1 cannot know whether server2 has gone on without it."
    one = side("server1", "server2", color="RED", peer_color="GRAY", relation="apart", in_sync=False, doubt=doubt,
               losses={"bytes": None, "since": None}, link={"connected": False, "paths": []})  # fmt: skip
    return mirror(one, None)


def empty() -> dict[str, Any]:
    """Never constructed."""
    new = {"color": "RED", "constructed": False, "generation": "", "history": (), "relation": "apart",
           "losses": {"bytes": None, "since": None}}  # fmt: skip
    return mirror(side("server1", "server2", **new), side("server2", "server1", **new))


def differing() -> dict[str, Any]:
    """A comparison has found 64 KiB that are not the same."""
    verify = {"running": False, "at": AT - 60, "proven_until": 1 << 30, "differing": 1 << 16, "why": ""}
    active = side("server1", "server2", active=True, mode="mirrored", verify=verify)
    return mirror(active, side("server2", "server1", peer_active=True, verify=verify))
