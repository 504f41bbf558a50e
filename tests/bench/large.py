"""A large cluster for measurements: groups of an address and two or three programs, spread over all servers."""

from __future__ import annotations

from collections.abc import Iterator

from agent.clpconf.model import (
    Activation,
    Cluster,
    Device,
    Group,
    Heartbeat,
    Monitor,
    PartitionResolver,
    Resource,
    Server,
)

_PER_GROUP = 3


def large(servers: int, resources: int) -> Cluster:
    """Majority and self-fencing; each group has a home and goes on round the ring; each program is watched."""
    names = tuple(f"server{n:02}" for n in range(1, servers + 1))
    sizes = [_PER_GROUP] * (resources // _PER_GROUP)
    for extra in range(resources - sum(sizes)):
        sizes[extra] += 1
    groups = [_group(number, size, names) for number, size in enumerate(sizes)]
    return Cluster(
        name="large",
        interval_s=3.0, timeout_s=30.0, startup_wait_s=60.0, self_fencing=True,
        servers=tuple(_server(name, number) for number, name in enumerate(names)),
        heartbeats=tuple(Heartbeat(name=f"lanhb{n + 1}", type="lanhb", priority=n, device=n) for n in range(2)),
        resolvers=(PartitionResolver(name="majonp1", type="majonp", priority=0, device=0),),
        groups=tuple(groups),
        resources=tuple(_resource(name) for group in groups for name in group.resources),
        monitors=tuple(_monitor(name) for group in groups for name in group.resources if name.startswith("exec")),
    )  # fmt: skip


def _server(name: str, number: int) -> Server:
    devices = tuple(Device(id=lan, type="lan", info=f"10.{32 + lan}.0.{number + 1}") for lan in range(2))
    return Server(name=name, priority=number, devices=devices)


def _group(number: int, size: int, names: tuple[str, ...]) -> Group:
    home = number % len(names)
    return Group(
        name=f"failover{number + 1:03}", gid=number, resources=tuple(_names(number + 1, size)),
        policy=names[home:] + names[:home],
    )  # fmt: skip


def _names(number: int, size: int) -> Iterator[str]:
    yield f"fip{number:03}"
    for program in range(1, size):
        yield f"exec{number:03}{'abc'[program - 1]}"


def _resource(name: str) -> Resource:
    kind = name.rstrip("0123456789abc") if not name.startswith("exec") else "exec"
    up, down = Activation(timeout_s=60, retry=1, failover=1), Activation(timeout_s=60, retry=0, action=4)
    values = {"parameters/ip": f"10.40.{int(name[3:]) // 200}.{int(name[3:]) % 200 + 1}"} if kind == "fip" else {}
    return Resource(name=name, type=kind, activation=up, deactivation=down, values=values)


def _monitor(target: str) -> Monitor:
    return Monitor(
        name=f"pidw{target[4:]}", type="pidw", target=target, timing="active", interval_s=5, timeout_s=10, retries=1,
        recovery_type="rsc", recovery_name=target, restart_threshold=1, failover_threshold=1,
    )  # fmt: skip
