"""Rules for network partitions: who may act when the servers do not hear each other, and whom they ask."""

from __future__ import annotations

from collections.abc import Iterator

from agent.clpconf.findings import Finding
from agent.clpconf.model import Cluster, PartitionResolver
from agent.clpconf.rules.heartbeats import LAN
from agent.clpconf.rules.subject import Rule, Subject, address, finding

_OFF = ("", "0")


def resolver_devices(subject: Subject) -> Iterator[Finding]:
    """Resolvers that no server uses, or that one server knows nothing of."""
    for resolver in subject.cluster.resolvers:
        if resolver.type == "majonp" or not subject.cluster.servers:
            continue
        devices = {server.name: server.device(resolver.device) for server in subject.cluster.servers}
        missing = [name for name, device in devices.items() if device is None]
        place = subject.at("networkpartition", resolver.name, "device")
        if missing:
            yield finding(
                "resolver.device", "warning", place,
                "Device {id}, which {name} uses, is missing on {servers}: it does not take part there.",
                'Write <device id="{id}"> at each server.',
                servers=missing, id=str(resolver.device), name=resolver.name,
            )  # fmt: skip
        elif all(device is not None and device.info in _OFF for device in devices.values()):
            yield finding(
                "resolver.unused", "warning", place, "No server uses {name}: its device is off on all of them.",
                "Write 1 in <info> of device {id} of the servers that shall use it, or remove the resolver.",
                name=resolver.name, id=str(resolver.device),
            )  # fmt: skip


def resolver_priorities(subject: Subject) -> Iterator[Finding]:
    first: dict[int, PartitionResolver] = {}
    for resolver in subject.cluster.resolvers:
        other = first.setdefault(resolver.priority, resolver)
        if other is not resolver:
            yield finding(
                "resolver.priority", "warning", subject.at("networkpartition", resolver.name, "priority"),
                "{name} and {other} have the same priority {priority}.", "Number the resolvers from 0.",
                name=resolver.name, other=other.name, priority=str(resolver.priority),
            )  # fmt: skip


def ping_targets(subject: Subject) -> Iterator[Finding]:
    """A target inside of the cluster answers although its LAN is cut, or moves away with its group."""
    inside = _own_addresses(subject)
    for resolver in subject.cluster.resolvers:
        if resolver.type != "pingnp":
            continue
        seen: dict[tuple[str, str], str] = {}
        for path, text in sorted(resolver.values.items()):
            place = subject.at("networkpartition", resolver.name, path)
            ip = address(text)
            owner = "localhost" if ip is not None and ip.is_loopback else inside.get(str(ip), "")
            if owner:
                yield finding(
                    "ping.target", "warning", place,
                    "{name} pings {ip}, which belongs to the cluster ({owner}): it says nothing about a cut.",
                    "Name a router or switch of the LAN of the clients.", name=resolver.name, ip=text, owner=owner,
                )  # fmt: skip
            group = path.partition("/")[0]
            if ip is not None and seen.setdefault((group, str(ip)), path) != path:
                yield finding(
                    "ping.duplicate", "warning", place, "{name} lists {ip} twice in one group.", "Remove one of them.",
                    name=resolver.name, ip=text,
                )  # fmt: skip


def witness_outside(subject: Subject) -> Iterator[Finding]:
    inside = _own_addresses(subject) | {server.name: server.name for server in subject.cluster.servers}
    for resolver in subject.cluster.resolvers:
        host = resolver.values.get("host", "").strip() if resolver.type == "httpnp" else ""
        ip = address(host)
        owner = inside.get(host.lower()) or ("localhost" if ip is not None and ip.is_loopback else "")
        if owner:
            yield finding(
                "witness.inside", "error", subject.at("networkpartition", resolver.name, "host"),
                "The witness of {name} runs on {host} ({owner}): it fails together with what it shall judge.",
                "Use a machine outside of this cluster.", name=resolver.name, host=host, owner=owner,
            )  # fmt: skip


def majority_of_two(subject: Subject) -> Iterator[Finding]:
    cluster = subject.cluster
    if len(cluster.servers) == 2 and not cluster.arbiters:
        for resolver in cluster.resolvers:
            if resolver.type == "majonp":
                yield finding(
                    "majority.two", "warning", subject.at("networkpartition", resolver.name),
                    "{name} needs more than half of two servers, that is both: when one fails, the other stops "
                    "everything as well.", "Add a witness (httpnp) or a shared disk (disknp), or a third server.",
                    name=resolver.name,
                )  # fmt: skip


def no_quorum(subject: Subject) -> Iterator[Finding]:
    """What `clpsim prove` finds by playing it, where it is certain without."""
    cluster = subject.cluster
    lans = [heartbeat.name for heartbeat in subject.heartbeats_of(*LAN)]
    shared = next((g for g in cluster.groups if len(g.policy) > 1 and g.auto_failover), None)
    if len(cluster.servers) < 2 or not lans or shared is None or cluster.majority or _all_fenced(cluster):
        return
    text = (
        "Nobody decides who may act in a network partition: when a fault of {lans} parts {one} from {other}, both run "
        "{group}; also when a server stands still for longer than the heartbeat timeout and goes on."
    )
    with_ping = (
        "Nobody decides who may act in a network partition: when a fault of {lans} parts {one} from {other} and both "
        "reach {pings}, both run {group}; also when a server stands still for longer than the heartbeat timeout and "
        "goes on."
    )
    yield finding(
        "quorum.none", "note", subject.root("networkpartition"), with_ping if cluster.pings else text,
        "Add a witness (httpnp), a shared disk (disknp), a majority of three servers (majonp) or fence devices for "
        "all servers. clpsim prove plays every cut.",
        lans=lans, one=shared.policy[0], other=shared.policy[1], group=shared.name, pings=cluster.pings,
    )  # fmt: skip


def majority_without_reset(subject: Subject) -> Iterator[Finding]:
    cluster = subject.cluster
    if cluster.majority and not cluster.self_fencing and not cluster.fences and len(cluster.servers) > 1:
        yield finding(
            "quorum.no_reset", "note", subject.root("cluster/haltp"),
            "A server that lost the majority stops its groups, but nothing resets it when it hangs: until it goes on, "
            "a group may run twice.", "Add a userw monitor, set cluster/haltp to 1, or configure fence devices.",
        )  # fmt: skip


def _all_fenced(cluster: Cluster) -> bool:
    return all(cluster.fences_against(name) for name in cluster.server_names)


def _own_addresses(subject: Subject) -> dict[str, str]:
    own = {
        str(ip): server.name
        for server in subject.cluster.servers
        for device in server.devices
        if device.type in ("lan", "mdc") and (ip := address(device.info)) is not None
    }
    for resource in subject.resources_of("fip", "awsvip"):
        ip = address(resource.values.get("parameters/ip", ""))
        if ip is not None:
            own[str(ip)] = resource.name
    return own


RULES: tuple[Rule, ...] = (
    resolver_devices,
    resolver_priorities,
    ping_targets,
    witness_outside,
    majority_of_two,
    no_quorum,
    majority_without_reset,
)
