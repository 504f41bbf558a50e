"""Rules for disks: which partition is used by whom, where it is mounted, and how mirrors are laid out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from agent.clpconf.findings import Finding
from agent.clpconf.model import Resource
from agent.clpconf.rules.subject import Place, Rule, Subject, finding

_DATA, _BITMAP = "parameters/diskdev/dppath", "parameters/diskdev/cppath"
_POINT = "parameters/mount/point"
_NUMBERED = re.compile(r"(/dev/(?:nvme[0-9]+n[0-9]+|mmcblk[0-9]+|loop[0-9]+))p([0-9]+)|(/dev/[a-z]*[a-z])([0-9]+)")
_LAYERED = re.compile(r"/dev/(md[0-9/]|mapper/|dm-)")
_SYSTEM = frozenset(
    ("/", "/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/root", "/run", "/sbin", "/sys",
     "/tmp", "/usr", "/var")  # noqa: S108 - nothing is written there.
)  # fmt: skip
#: Paths of devices in group resources.
DEVICES = {
    "disk": ("parameters/device", "parameters/rawdevice"),
    "raw": ("parameters/device", "parameters/rawdevice"),
    "md": (_DATA, _BITMAP),
    "vxvol": ("parameters/device", "parameters/rawdevice"),
}  # fmt: skip
#: Monitors whose partition must be used by nothing else.
RAW_MONITORS = {"raww": "parameters/object"}


class Use(NamedTuple):
    """Somebody wants a device on a server for himself alone."""

    name: str
    what: str
    place: Place


def partition(path: str) -> tuple[str, int]:
    """("/dev/sdb", 1) of "/dev/sdb1"; number 0 for whole disks and other devices."""
    found = _NUMBERED.fullmatch(path)
    if not found:
        return path, 0
    return (found[1], int(found[2])) if found[1] else (found[3], int(found[4]))


def device_used_twice(subject: Subject) -> Iterator[Finding]:
    told: set[tuple[str, str]] = set()
    for server in subject.cluster.server_names:
        users: dict[str, Use] = {}
        for path, use in _uses(subject, server):
            for same in dict.fromkeys((path, partition(path)[0])):
                other = users.get(same)
                if other is not None and other.name != use.name and (other.name, use.name) not in told:
                    told.add((other.name, use.name))
                    yield finding(
                        "device.shared", "error", use.place,
                        "{path} on {server} is used by {name} ({what}) and by {other} ({other_what}): they would "
                        "destroy each other's data.", "Give each its own partition.",
                        path=path, server=server, name=use.name, what=use.what, other=other.name, other_what=other.what,
                    )  # fmt: skip
            users.setdefault(path, use)


def _uses(subject: Subject, server: str) -> Iterator[tuple[str, Use]]:
    """Whole disks first, so that a partition of one is seen behind it."""
    found = [*_heartbeat_uses(subject, server), *_monitor_uses(subject, server), *_resource_uses(subject, server)]
    return iter(sorted(found, key=lambda entry: partition(entry[0])[1] != 0))


def _heartbeat_uses(subject: Subject, server: str) -> Iterator[tuple[str, Use]]:
    here = subject.cluster.server(server)
    for section, what, things in (
        ("heartbeat", "diskhb", subject.heartbeats_of("diskhb")),
        ("networkpartition", "disknp", [r for r in subject.cluster.resolvers if r.type == "disknp"]),
    ):
        for thing in things:
            device = here.device(thing.device)
            if device is not None and device.info.startswith("/dev/"):
                yield device.info, Use(thing.name, what, subject.at(section, thing.name, "device"))


def _resource_uses(subject: Subject, server: str) -> Iterator[tuple[str, Use]]:
    for resource in subject.resources_of(*DEVICES):
        if server in subject.servers_of(resource.name):
            for below in DEVICES[resource.type]:
                path = subject.text(resource, below, server)
                if path.startswith("/dev/") and not path.startswith("/dev/raw/"):
                    yield (
                        path,
                        Use(resource.name, resource.type, subject.at("resource", resource.name, below)),
                    )


def _monitor_uses(subject: Subject, server: str) -> Iterator[tuple[str, Use]]:
    for monitor in subject.monitors_of(*RAW_MONITORS):
        below = RAW_MONITORS[monitor.type]
        path = subject.text(monitor, below, server)
        if monitor.runs_on(server) and path.startswith("/dev/") and not path.startswith("/dev/raw/"):
            yield path, Use(monitor.name, monitor.type, subject.at("monitor", monitor.name, below))


# Mount points -------------------------------------------------------------------------------------------------------


def mount_points(subject: Subject) -> Iterator[Finding]:
    first: dict[str, list[Resource]] = {}
    for resource in subject.cluster.resources:
        point = resource.values.get(_POINT, "").strip()
        if not point:
            continue
        point = point.rstrip("/") or "/"
        place = subject.at("resource", resource.name, _POINT)
        if point in _SYSTEM:
            yield finding(
                "mount.system", "error", place, "{name} would be mounted over {point} of the operating system.",
                "Use a directory of its own, for example /mnt/{name}.", name=resource.name, point=point,
            )  # fmt: skip
        servers = set(subject.servers_of(resource.name))
        rivals = [r for r in first.get(point, ()) if servers & set(subject.servers_of(r.name))]
        if rivals:
            yield finding(
                "mount.duplicate", "error", place, "{name} and {other} have the same mount point {point}.",
                "Give each its own directory.", name=resource.name, other=rivals[0].name, point=point,
            )  # fmt: skip
        first.setdefault(point, []).append(resource)


# Mirrors ------------------------------------------------------------------------------------------------------------


def mirror_partitions(subject: Subject) -> Iterator[Finding]:
    for mirror in subject.resources_of("md"):
        for server in ("", *mirror.overrides):
            data, bitmap = (subject.text(mirror, path, server) for path in (_DATA, _BITMAP))
            yield from _mirror_layout(subject, mirror, data, bitmap)
            if data and _LAYERED.match(data):
                yield finding(
                    "md.layered", "warning", subject.at("resource", mirror.name, _DATA),
                    "The data partition {path} of {name} lies on a software RAID or volume, which mirrors do not "
                    "support below them.", "Use a plain partition.", path=data, name=mirror.name,
                )  # fmt: skip


def _mirror_layout(subject: Subject, mirror: Resource, data: str, bitmap: str) -> Iterator[Finding]:
    if not data or not bitmap:
        return
    place = subject.at("resource", mirror.name, _BITMAP)
    (disk, number), (other, before) = partition(data), partition(bitmap)
    if data == bitmap:
        yield finding(
            "md.same", "error", place, "{name} has {path} as its data partition and as its cluster partition.",
            "Give the cluster partition (10 MB) a partition of its own.", name=mirror.name, path=data,
        )  # fmt: skip
    elif disk == other and 0 < number < before:
        yield finding(
            "md.order", "warning", place,
            "The cluster partition {bitmap} of {name} lies behind its data partition {data}: when the data partition "
            "grows, it is overwritten.", "Put the cluster partition before the data partition.",
            bitmap=bitmap, name=mirror.name, data=data,
        )  # fmt: skip


def mirror_names(subject: Subject) -> Iterator[Finding]:
    """The same device names on both servers, and a device of its own for each mirror."""
    first: dict[str, str] = {}
    for mirror in subject.resources_of("md"):
        for server, own in mirror.overrides.items():
            for path in (_DATA, _BITMAP):
                if path in own and mirror.values.get(path, own[path]) != own[path]:
                    yield finding(
                        "md.names", "warning", subject.at("resource", mirror.name, f"server@{server}/{path}"),
                        "{name} uses {path} on {server} and {usual} elsewhere; mirrors want the same device names.",
                        "Use the same device names on both servers.",
                        name=mirror.name, path=own[path], server=server, usual=mirror.values[path],
                    )  # fmt: skip
        device = subject.text(mirror, "parameters/nmppath")
        other = first.setdefault(device, mirror.name) if device else mirror.name
        if other != mirror.name:
            yield finding(
                "md.device", "error", subject.at("resource", mirror.name, "parameters/nmppath"),
                "{name} and {other} have the same mirror device {path}.", "Give each its own: /dev/NMP1, /dev/NMP2 ...",
                name=mirror.name, other=other, path=device,
            )  # fmt: skip


def mirror_servers(subject: Subject) -> Iterator[Finding]:
    for mirror in subject.resources_of("md"):
        group = subject.group_of.get(mirror.name)
        if group is not None and len(group.policy) > 2:
            yield finding(
                "md.servers", "error", subject.at("group", group.name),
                "{name} keeps its data on two servers, but its group {group} may run on {count}: {servers}.",
                "Name two servers in the policy of {group}.",
                name=mirror.name, group=group.name, count=str(len(group.policy)), servers=group.policy,
            )  # fmt: skip


def mirror_connects(subject: Subject) -> Iterator[Finding]:
    """Every server of the mirror has the devices of its mirror connects."""
    for mirror in subject.resources_of("md"):
        connects = {
            p: t for p, t in mirror.values.items() if p.startswith("parameters/netdev@") and p.endswith("/device")
        }
        for path, text in connects.items():
            number = int(text) if text.isascii() and text.isdigit() else -1
            for server in subject.cluster.servers:
                device = server.device(number)
                if server.name in subject.servers_of(mirror.name) and (device is None or device.type != "mdc"):
                    yield finding(
                        "md.connect", "error", subject.at("resource", mirror.name, path),
                        "{server} has no mirror connect device {id}, which {name} uses.",
                        'Write <device id="{id}"> of type mdc with its address at that server.',
                        server=server.name, id=text[:20], name=mirror.name,
                    )  # fmt: skip


def shared_disk_heartbeat(subject: Subject) -> Iterator[Finding]:
    """Servers that share a disk can hear each other over it."""
    disks = [r for r in subject.resources_of("disk", "raw") if len(subject.servers_of(r.name)) > 1]
    beats = subject.heartbeats_of("diskhb")
    votes = [r for r in subject.cluster.resolvers if r.type == "disknp"]
    if disks and not beats and not votes and not subject.cluster.majority:
        yield finding(
            "disk.heartbeat", "note", subject.at("resource", disks[0].name),
            "The servers share the disk of {name}, but neither hear each other over it nor let it decide.",
            "A disk resolution (disknp) keeps both sides of a network partition from mounting it.",
            name=disks[0].name,
        )  # fmt: skip


RULES: tuple[Rule, ...] = (
    device_used_twice,
    mount_points,
    mirror_partitions,
    mirror_names,
    mirror_servers,
    mirror_connects,
    shared_disk_heartbeat,
)
