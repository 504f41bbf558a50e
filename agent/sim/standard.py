"""The cluster that the fuzzer plays with: two groups of an address and a program each, and monitors that recover.

With `policies` there are three groups, and every rule about them has something to decide.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from agent.clpconf.model import (
    Activation,
    Cluster,
    Group,
    Heartbeat,
    Monitor,
    PartitionResolver,
    Preaction,
    Resource,
    Server,
)

DEFAULTS = {"exec": ("fip",)}
_GROUPS = 2


def standard(
    servers: int, *, safe: bool, policies: bool = False, interval_s: float = 0.2, timeout_s: float = 1.0
) -> Cluster:
    """`safe`: with a majority resolver and self-fencing, so that no group may ever be active twice."""
    made = _standard(servers, _GROUPS + policies, safe=safe, interval_s=interval_s, timeout_s=timeout_s)
    return _with_policies(made) if policies else made


def _with_policies(cluster: Cluster) -> Cluster:
    """Failback, exclusion, order between groups, scripts before recovery, survive rules, all at once."""
    down: dict[str, Any] = {"stop_wait_s": 5.0, "stop_order_server": True, "stop_order_other": True}
    rules: tuple[dict[str, Any], ...] = (
        {"auto_failback": True, "exclusive": 2, "stop_after": ("failover2", "failover3"), **down},
        {"exclusive": 1, "start_after": ("failover1",), "start_wait_s": 10.0},
        {"auto_failback": True, "start_after": ("failover1",), "start_same_server": ("failover1",)},
    )
    groups = tuple(replace(group, **rule) for group, rule in zip(cluster.groups, rules, strict=False))
    script = Preaction(restart=True, failover=True, final=True)
    return replace(
        cluster, groups=groups, monitors=tuple(replace(m, preaction=script) for m in cluster.monitors),
        survive_activation=True, survive_deactivation=True, survive_monitor=True, failback_s=cluster.timeout_s,
    )  # fmt: skip


def _standard(servers: int, groups: int, *, safe: bool, interval_s: float, timeout_s: float) -> Cluster:
    names = tuple(f"server{number}" for number in range(1, servers + 1))
    numbers = range(1, min(groups, servers) + 1)
    majority = (PartitionResolver(name="majonp1", type="majonp", priority=0, device=0),) if safe else ()
    return Cluster(
        name="standard",
        interval_s=interval_s,
        timeout_s=timeout_s,
        startup_wait_s=5.0,
        self_fencing=safe,
        npaction=0,
        servers=tuple(Server(name=name, priority=priority) for priority, name in enumerate(names)),
        heartbeats=tuple(Heartbeat(name=f"lanhb{n + 1}", type="lanhb", priority=n, device=n) for n in range(2)),
        resolvers=majority,
        groups=tuple(_group(number, names) for number in numbers),
        resources=tuple(_resource(kind, n, servers) for n in numbers for kind in ("fip", "exec")),
        monitors=tuple(_monitor(number) for number in numbers),
    )


def _group(number: int, names: tuple[str, ...]) -> Group:
    """Its home is the server of its number; then the others, round the ring."""
    home = number - 1
    policy = names[home:] + names[:home]
    return Group(name=f"failover{number}", gid=home, resources=(f"fip{number}", f"exec{number}"), policy=policy)


def _resource(kind: str, number: int, servers: int) -> Resource:
    return Resource(
        name=f"{kind}{number}",
        type=kind,
        activation=Activation(timeout_s=30, retry=1, failover=servers - 1, action=1),
        deactivation=Activation(timeout_s=30, retry=0, action=4),
    )


def _monitor(number: int) -> Monitor:
    return Monitor(
        name=f"pidw{number}",
        type="pidw",
        target=f"exec{number}",
        timing="active",
        interval_s=2,
        recovery_type="rsc",
        recovery_name=f"exec{number}",
        restart_threshold=1,
    )
