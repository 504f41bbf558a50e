"""Rules for heartbeat resources and for the devices of the servers that they use."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from agent.clpconf.findings import Finding
from agent.clpconf.model import Device, Heartbeat
from agent.clpconf.rules.subject import Rule, Subject, address, finding
from agent.clpconf.sections_server import DEVICE_IDS

LAN = ("lanhb", "lankhb")
#: Type of heartbeat or resolver -> type of the device that it names.
DEVICE_TYPES = {
    "diskhb": "disk", "bmchb": "bmc", "witnesshb": "witness", "comhb": "com",
    "pingnp": "ping", "httpnp": "http",
}  # fmt: skip
_MOST_DISK = 2
_LEAST_INTERVALS = 3
_PARTITION = re.compile(r"/dev/\S*?(?<=[0-9])p([0-9]+)|/dev/[a-z]+[a-z]([0-9]+)")


def _together(subject: Subject) -> bool:
    return len(subject.cluster.servers) > 1


def both_lan_kinds(subject: Subject) -> Iterator[Finding]:
    """The original wants one for servers whose programs are starved; here every LAN heartbeat outlasts that."""
    kinds = {heartbeat.type for heartbeat in subject.heartbeats_of(*LAN)}
    if _together(subject) and kinds == {"lanhb"}:
        yield finding(
            "heartbeat.kernel", "note", subject.root("heartbeat"),
            "All LAN heartbeats are of type lanhb; the original recommends lankhb over the same LANs as well.",
            "Add lankhb if the original shall use this file; here lanhb goes on as well when programs are starved.",
        )  # fmt: skip


def serial_for_two(subject: Subject) -> Iterator[Finding]:
    if len(subject.cluster.servers) > 2:
        for heartbeat in subject.heartbeats_of("comhb"):
            yield finding(
                "heartbeat.com", "warning", subject.at("heartbeat", heartbeat.name),
                "{name} uses a serial line, which joins two servers only; this cluster has {count}.",
                "Remove it, and add a LAN heartbeat instead.",
                name=heartbeat.name, count=str(len(subject.cluster.servers)),
            )  # fmt: skip


def few_disk_heartbeats(subject: Subject) -> Iterator[Finding]:
    disks = subject.heartbeats_of("diskhb")
    if len(disks) > _MOST_DISK:
        yield finding(
            "heartbeat.disk_count", "warning", subject.at("heartbeat", disks[_MOST_DISK].name),
            "There are {count} disk heartbeats: each reads and writes its disk at every interval.",
            "One or two are enough, also with more disks.", count=str(len(disks)),
        )  # fmt: skip


def disk_partition_numbers(subject: Subject) -> Iterator[Finding]:
    """A disk that fails moves the names of those behind it; the same number then still is a heartbeat partition."""
    for server in subject.cluster.servers:
        numbers: dict[str, str] = {}
        for heartbeat in subject.heartbeats_of("diskhb"):
            device = server.device(heartbeat.device)
            found = _PARTITION.fullmatch(device.info) if device is not None else None
            if found:
                numbers.setdefault(found[1] or found[2], heartbeat.name)
        if len(numbers) > 1:
            yield finding(
                "heartbeat.disk_number", "warning", subject.at("server", server.name),
                "On {server} the disk heartbeats {names} use partitions with different numbers.",
                "Use the same partition number on every disk: when a device name changes, no file system is harmed.",
                server=server.name, names=list(numbers.values()),
            )  # fmt: skip
            return


def device_kind(subject: Subject) -> Iterator[Finding]:
    for section, things in (("heartbeat", subject.cluster.heartbeats), ("networkpartition", subject.cluster.resolvers)):
        for thing in things:
            wanted = DEVICE_TYPES.get(thing.type)
            for server in subject.cluster.servers if wanted else ():
                device = server.device(thing.device)
                if device is not None and device.type != wanted:
                    yield finding(
                        f"{'heartbeat' if section == 'heartbeat' else 'resolver'}.kind", "warning",
                        subject.at(section, thing.name, "device"),
                        'Device {id} of server {server} has type "{type}"; {name} needs one of type {wanted}.',
                        "Name a device of that type, or add one to each server.",
                        id=str(device.id), server=server.name, type=device.type, name=thing.name, wanted=str(wanted),
                    )  # fmt: skip
                    break


def device_range(subject: Subject) -> Iterator[Finding]:
    for server in subject.cluster.servers:
        for device in server.devices:
            low, high = DEVICE_IDS.get(device.type, (0, device.id))
            if not low <= device.id <= high:
                yield finding(
                    "device.range", "note", subject.at("server", server.name, f"device@{device.id}"),
                    "Device {id} of {server} has type {type}, whose numbers are {low} to {high}.",
                    "Renumber it if the original's tools shall use this file: they go by the number.",
                    id=str(device.id), server=server.name, type=device.type, low=str(low), high=str(high),
                )  # fmt: skip


def heartbeat_priorities(subject: Subject) -> Iterator[Finding]:
    first: dict[int, Heartbeat] = {}
    for heartbeat in subject.cluster.heartbeats:
        other = first.setdefault(heartbeat.priority, heartbeat)
        if other is not heartbeat:
            yield finding(
                "heartbeat.priority", "warning", subject.at("heartbeat", heartbeat.name, "priority"),
                "{name} and {other} have the same priority {priority}: which one carries first is not certain.",
                "Number the heartbeats of all types together, from 0.",
                name=heartbeat.name, other=other.name, priority=str(heartbeat.priority),
            )  # fmt: skip


def heartbeat_margin(subject: Subject) -> Iterator[Finding]:
    interval_s, timeout_s = subject.cluster.interval_s, subject.cluster.timeout_s
    if interval_s < timeout_s < _LEAST_INTERVALS * interval_s:
        yield finding(
            "heartbeat.margin", "warning", subject.root("cluster/heartbeat/timeout"),
            "The heartbeat timeout ({timeout} s) is less than three intervals ({interval} s): two lost packets are "
            "taken for the death of a server.", "Use a timeout of at least three intervals.",
            timeout=f"{timeout_s:g}", interval=f"{interval_s:g}",
        )  # fmt: skip


def heartbeat_paths(subject: Subject) -> Iterator[Finding]:
    """Two LAN heartbeats must be two ways."""
    for server in subject.cluster.servers:
        seen: dict[str, Heartbeat] = {}
        for heartbeat in subject.heartbeats_of(*LAN):
            device = server.device(heartbeat.device)
            ip = address(device.info) if device is not None else None
            other = seen.setdefault(str(ip), heartbeat) if ip is not None and not ip.is_loopback else heartbeat
            if other.device != heartbeat.device:
                yield finding(
                    "heartbeat.path", "warning", subject.at("heartbeat", heartbeat.name, "device"),
                    "{name} and {other} use the same address {ip} on {server}: they fail together.",
                    "Give one of them an address in another network.",
                    name=heartbeat.name, other=other.name, ip=str(ip), server=server.name,
                )  # fmt: skip


def heartbeat_addresses(subject: Subject) -> Iterator[Finding]:
    """They must be able to reach each other."""
    for heartbeat in subject.heartbeats_of(*LAN) if _together(subject) else ():
        versions: dict[int, str] = {}
        for server in subject.cluster.servers:
            device = server.device(heartbeat.device)
            ip = address(device.info) if device is not None else None
            if ip is None:
                continue
            versions.setdefault(ip.version, server.name)
            if ip.is_loopback or ip.is_unspecified or ip.is_multicast:
                yield finding(
                    "heartbeat.loopback", "error", subject.at("server", server.name, f"device@{heartbeat.device}"),
                    "No other server reaches {server} at {ip}, which {name} uses.",
                    "Write an address of its NIC in that LAN.", server=server.name, ip=str(ip), name=heartbeat.name,
                )  # fmt: skip
        if len(versions) > 1:
            yield finding(
                "heartbeat.family", "error", subject.at("heartbeat", heartbeat.name, "device"),
                "{name} has an IPv4 address on {one} and an IPv6 address on {other}: they cannot reach each other.",
                "Use addresses of one family for one heartbeat.",
                name=heartbeat.name, one=versions[4], other=versions[6],
            )  # fmt: skip


def device_kinds_agree(subject: Subject) -> Iterator[Finding]:
    if not _together(subject):
        return
    at: dict[int, list[tuple[str, Device]]] = defaultdict(list)
    for server in subject.cluster.servers:
        for device in server.devices:
            at[device.id].append((server.name, device))
    for number, found in at.items():
        kinds = {device.type for _, device in found}
        if len(kinds) > 1:
            yield finding(
                "device.kinds", "warning", subject.at("server", found[-1][0], f"device@{number}"),
                "Device {id} has different types on the servers: {kinds}.",
                "Use one number for one way on all servers.", id=str(number), kinds=sorted(kinds),
            )  # fmt: skip


RULES: tuple[Rule, ...] = (
    both_lan_kinds,
    serial_for_two,
    few_disk_heartbeats,
    disk_partition_numbers,
    device_kind,
    device_range,
    heartbeat_priorities,
    heartbeat_margin,
    heartbeat_paths,
    heartbeat_addresses,
    device_kinds_agree,
)
