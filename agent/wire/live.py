"""Live checks: a configuration against what its servers really have. Pure: what to ask each server, and the verdicts.

`checks_of` says what to ask; whoever can reach the agents asks; `judge` compares. A server that was not asked, or did
not answer, is named and otherwise left alone: nothing is concluded from silence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_interface

from agent.clpconf.document import Document
from agent.clpconf.findings import Finding
from agent.clpconf.load import interpret
from agent.clpconf.model import Resource
from agent.clpconf.rules.disks import DEVICES, RAW_MONITORS
from agent.clpconf.rules.monitors import longest_nic_name
from agent.clpconf.rules.ports import listening
from agent.clpconf.rules.subject import Address, Place, Subject, address, finding
from agent.clpconf.schema import TypeSpec
from agent.wire.inventory import DiskInfo, Inventory, LiveCheck, MountInfo

MIB = 1024 * 1024
_IP, _DATA, _BITMAP = "parameters/ip", "parameters/diskdev/dppath", "parameters/diskdev/cppath"
_POINT = "parameters/mount/point"
_SMALL_BYTES = 10 * MIB  # cluster partitions, disk heartbeats, raw monitors
_SLACK_BYTES = MIB  # partitions end at cylinders
_DATA_BYTES, _BLOCK_BYTES = 1024 * MIB, 4096
_CLOCK_MS = 1000.0

Inventories = Mapping[str, Inventory]
_Rule = Callable[[Subject, Inventories], Iterator[Finding]]
_Wanted = tuple[str, str, str, Place]  # path, name of who wants it, its type, place


def subject_of(data: bytes | Document, catalog: Mapping[str, TypeSpec]) -> Subject:
    """Raises DocumentError."""
    document = data if isinstance(data, Document) else Document.read(data)
    return Subject(document, interpret(document, catalog)[0], catalog)


def checks_of(subject: Subject) -> dict[str, LiveCheck]:
    """Server -> what to ask it."""
    return {
        server: LiveCheck(
            addresses=tuple(dict.fromkeys(ip for _, ip in _floating(subject, server))),
            devices=tuple(dict.fromkeys(path for path, *_ in _devices(subject, server))),
        )
        for server in subject.cluster.server_names
    }


def judge(subject: Subject, inventories: Inventories) -> list[Finding]:
    """In the order of the file."""
    found = [finding for rule in LIVE_RULES for finding in rule(subject, inventories)]
    return sorted(dict.fromkeys(found), key=lambda finding: (finding.line, finding.column))


def _known(subject: Subject, inventories: Inventories) -> Iterator[tuple[str, Inventory]]:
    for server in subject.cluster.server_names:
        inventory = inventories.get(server)
        if inventory is not None:
            yield server, inventory


def unasked(subject: Subject, inventories: Inventories) -> Iterator[Finding]:
    for server in subject.cluster.server_names:
        if server not in inventories:
            yield finding(
                "live.missing", "warning", subject.at("server", server),
                "{server} did not say what it has: nothing could be checked there.",
                "Start the agent there, and repeat the check.", server=server,
            )  # fmt: skip


# Addresses ----------------------------------------------------------------------------------------------------------


def _floating(subject: Subject, server: str) -> Iterator[tuple[Resource, str]]:
    for resource in subject.resources_of("fip"):
        text = subject.text(resource, _IP, server)
        if server in subject.servers_of(resource.name) and address(text) is not None:
            yield resource, text


def _interfaces(inventory: Inventory) -> Iterator[tuple[str, IPv4Interface | IPv6Interface]]:
    for nic in inventory.nics:
        for text in nic.addresses:
            try:
                yield nic.name, ip_interface(text)
            except ValueError:
                continue


def _lan(addresses: Iterable[IPv4Address | IPv6Address]) -> list[str]:
    """Those by which another server can reach it."""
    return [str(one) for one in addresses if not (one.is_loopback or one.is_link_local)]


def server_addresses(subject: Subject, inventories: Inventories) -> Iterator[Finding]:
    for server, inventory in _known(subject, inventories):
        up = {nic.name: nic.up for nic in inventory.nics}
        nics = {own.ip: name for name, own in _interfaces(inventory)}
        for device in subject.cluster.server(server).devices:
            ip = address(device.info) if device.type in ("lan", "mdc") else None
            place = subject.at("server", server, f"device@{device.id}")
            if ip is not None and ip not in nics:
                yield finding(
                    "address.absent", "error", place, "{server} has no address {ip} (device {id}).",
                    "Correct the address, or set it in the operating system; it has {own}.",
                    server=server, ip=str(ip), id=str(device.id), own=_lan(nics) or "?",
                )  # fmt: skip
            elif ip is not None and not up[nics[ip]]:
                yield finding(
                    "nic.down", "warning", place, "{nic} of {server}, which has {ip}, has no link.",
                    "Check its cable and switch.", nic=nics[ip], server=server, ip=str(ip),
                )  # fmt: skip


def floating_addresses(subject: Subject, inventories: Inventories) -> Iterator[Finding]:
    macs = {nic.mac for _, inventory in _known(subject, inventories) for nic in inventory.nics if nic.mac}
    for server, inventory in _known(subject, inventories):
        owned = list(_interfaces(inventory))
        for resource, text in _floating(subject, server):
            ip = address(text)
            assert ip is not None
            place = subject.at("resource", resource.name, _IP)
            yield from _on_lan(ip, server, resource.name, place, inventory, owned)
            answer = inventory.address(text)
            if answer is not None and answer.owner and answer.owner not in macs:
                yield finding(
                    "fip.in_use", "error", place, "{ip} of {name} is in use: {mac} answers for it to {server}.",
                    "Free it there, or choose another one.",
                    ip=str(ip), name=resource.name, mac=answer.owner, server=server,
                )  # fmt: skip


def _on_lan(
    ip: Address, server: str, name: str, place: Place, inventory: Inventory,
    owned: list[tuple[str, IPv4Interface | IPv6Interface]],
) -> Iterator[Finding]:  # fmt: skip
    """Some network of the server has room for it, and the operating system has not set it."""
    networks = [own for _, own in owned if own.network.prefixlen < own.max_prefixlen and not own.is_loopback]
    fixed = next((f"{own} on {nic}" for nic, own in owned if own.ip == ip and own in networks), "")
    scope = getattr(ip, "scope_id", None)
    if fixed:
        yield finding(
            "fip.fixed", "error", place, "The operating system of {server} has set {fixed}, the address of {name}.",
            "Remove it from its network configuration.", server=server, fixed=fixed, name=name,
        )  # fmt: skip
    elif scope and scope not in {nic.name for nic in inventory.nics}:
        yield finding(
            "nic.absent", "error", place, "{server} has no NIC {nic}, which the address of {name} names.",
            "Name one of {nics}.", server=server, nic=scope, name=name,
            nics=[nic.name for nic in inventory.nics],
        )  # fmt: skip
    elif not scope and not any(ip.version == own.version and ip in own.network for own in networks):
        yield finding(
            "fip.network", "error", place, "No NIC of {server} is in the network of {ip} of {name}.",
            "Choose an address in {networks}, or give a NIC an address there.", server=server, ip=str(ip), name=name,
            networks=sorted({str(own.network) for own in networks}) or "?",
        )  # fmt: skip


def nic_names(subject: Subject, inventories: Inventories) -> Iterator[Finding]:
    limit, addresses = longest_nic_name(subject)
    for server, inventory in _known(subject, inventories):
        there = {nic.name for nic in inventory.nics}
        for monitor in subject.monitors_of("miiw"):
            nic = subject.text(monitor, "parameters/object", server)
            if nic and monitor.runs_on(server) and nic not in there:
                yield finding(
                    "nic.absent", "error", subject.at("monitor", monitor.name, "parameters/object"),
                    "{server} has no NIC {nic}, which {name} watches.", "Name one of {nics}.",
                    server=server, nic=nic[:60], name=monitor.name, nics=sorted(there),
                )  # fmt: skip
        long = sorted({n for n, own in _interfaces(inventory) if len(n) > limit and not own.is_loopback})
        if long and addresses:
            yield finding(
                "nic.name", "note", subject.at("server", server),
                "NIC names of {server} are longer than the {limit} characters that the original allows with "
                "{addresses} floating addresses: {nics}.", "Here any name works; rename them only for the original.",
                server=server, limit=str(limit), addresses=str(addresses), nics=long,
            )  # fmt: skip


# Disks --------------------------------------------------------------------------------------------------------------


def _devices(subject: Subject, server: str) -> Iterator[_Wanted]:
    """Every device of this server that the configuration names."""
    here = subject.cluster.server(server)
    for section, things in (("heartbeat", subject.cluster.heartbeats), ("networkpartition", subject.cluster.resolvers)):
        for thing in things:
            device = here.device(thing.device) if thing.type in ("diskhb", "disknp") else None
            if device is not None and device.info.startswith("/dev/"):
                yield device.info, thing.name, thing.type, subject.at(section, thing.name, "device")
    for resource in subject.resources_of(*DEVICES):
        if server in subject.servers_of(resource.name):
            for below in DEVICES[resource.type]:
                path = subject.text(resource, below, server)
                if path.startswith("/dev/"):
                    kind = "cluster partition" if below == _BITMAP else resource.type
                    yield path, resource.name, kind, subject.at("resource", resource.name, below)
    for monitor in subject.monitors_of(*RAW_MONITORS, "diskw"):
        below = RAW_MONITORS.get(monitor.type, "parameters/object")
        path = subject.text(monitor, below, server)
        if path.startswith("/dev/") and monitor.runs_on(server):
            yield path, monitor.name, monitor.type, subject.at("monitor", monitor.name, below)


def devices(subject: Subject, inventories: Inventories) -> Iterator[Finding]:
    """They exist, are as large as they must be, and nobody else has them."""
    volumes = {r.name for r in subject.resources_of("disk") if subject.text(r, "parameters/disktype") != "disk"}
    for server, inventory in _known(subject, inventories):
        for path, name, kind, place in _devices(subject, server):
            answer = inventory.device(path)
            if answer is None:
                continue
            if answer.disk is not None:
                yield from _usable(subject, inventory, answer.disk, (path, name, kind, place))
            elif name not in volumes and kind not in ("vxvol", "diskw"):  # Volumes appear with their group.
                yield finding(
                    "device.absent", "error", place, "{server} has no device {path} for {name}: {error}.",
                    "Correct the path, or make the partition there.",
                    server=server, path=path, name=name, error=answer.error,
                )  # fmt: skip


def _usable(subject: Subject, inventory: Inventory, disk: DiskInfo, wanted: _Wanted) -> Iterator[Finding]:
    path, name, kind, place = wanted
    words = {"server": inventory.server, "path": path, "name": name}
    small = kind in ("diskhb", "raww", "cluster partition")
    if small and disk.size_bytes < _SMALL_BYTES - _SLACK_BYTES:
        yield finding(
            "device.small", "error", place, "{path} of {name} on {server} has {size} MiB; 10 MiB are needed.",
            "Make the partition larger.", **words, size=f"{disk.size_bytes / MIB:.1f}",
        )  # fmt: skip
    if kind == "diskw":
        return
    if disk.held_by:
        yield finding(
            "device.held", "error", place, "{path} of {name} on {server} is part of {holders}.",
            "Use a partition that nothing else is built on.", **words, holders=list(disk.held_by),
        )  # fmt: skip
    mounted = _mounted(inventory.mounts, disk, "" if small else _mount_point(subject, name))
    if mounted is not None:
        yield finding(
            "device.mounted", "error", place,
            "{path} of {name} is mounted on {server} at {point}, by somebody else than the cluster.",
            "Unmount it; the cluster mounts what it needs.", **words, point=mounted.point,
        )  # fmt: skip
    entry = _mounted(inventory.fstab, disk, "")
    if entry is not None:
        yield finding(
            "fstab.entry", "error", place,
            "/etc/fstab of {server} mounts {path} of {name} at {point}: both servers would write to it.",
            "Remove the line; the cluster mounts it where its group runs.", **words, point=entry.point,
        )  # fmt: skip


def _mounted(mounts: tuple[MountInfo, ...], disk: DiskInfo, own: str) -> MountInfo | None:
    """Where the device, or a partition of the disk, is mounted. `own`: there it is by the cluster."""
    for mount in mounts:
        rest = mount.device.removeprefix(disk.path) if mount.device.startswith(disk.path) else "?"
        part = disk.kind == "disk" and not rest.strip("p0123456789")
        if (not rest or part) and (not own or mount.point.rstrip("/") != own.rstrip("/")):
            return mount
    return None


def _mount_point(subject: Subject, name: str) -> str:
    resource = subject.resources.get(name)
    return subject.text(resource, _POINT) if resource is not None else ""


def same_sizes(subject: Subject, inventories: Inventories) -> Iterator[Finding]:
    """Both sides of a mirror are alike; of two sizes the first server of the policy has the smaller."""
    for mirror in subject.resources_of("md"):
        servers = [name for name in subject.servers_of(mirror.name) if name in inventories]
        sides = {name: _disk(subject, inventories[name], mirror, _DATA) for name in servers}
        known = [(name, disk) for name, disk in sides.items() if disk is not None]
        place = subject.at("resource", mirror.name, _DATA)
        for name, disk in known:
            yield from _mirror_side(disk, name, mirror.name, place)
        if len(known) < 2:
            continue
        (one, source), (other, target) = known[:2]
        words = {"name": mirror.name, "one": one, "other": other}
        if source.size_bytes > target.size_bytes:
            yield finding(
                "md.size", "error", place,
                "The data partition of {name} has {a} bytes on {one} and only {b} on {other}: it cannot be copied.",
                "Make them equal; where they differ, the first server of the policy has the smaller one.",
                **words, a=str(source.size_bytes), b=str(target.size_bytes),
            )  # fmt: skip
        elif source.size_bytes < target.size_bytes:
            yield finding(
                "md.size", "note", place,
                "The data partition of {name} is larger on {other} than on {one}: the rest is not used.",
                "Keep {one} the first server of the policy.", **words,
            )  # fmt: skip
        if source.bus != target.bus:
            yield finding(
                "md.bus", "warning", place,
                "The disks of {name} are of different kinds: {a} on {one}, {b} on {other}.",
                "Mirror disks of the same kind.", **words, a=source.bus or "?", b=target.bus or "?",
            )  # fmt: skip


def _mirror_side(disk: DiskInfo, server: str, name: str, place: Place) -> Iterator[Finding]:
    words = {"server": server, "name": name}
    if disk.kind in ("lvm", "raid"):
        yield finding(
            "md.layered", "warning", place, "The data partition of {name} on {server} is a volume or software RAID.",
            "Use a plain partition.", **words,
        )  # fmt: skip
    if disk.size_bytes < _DATA_BYTES:
        yield finding(
            "device.small", "error", place, "The data partition of {name} on {server} has {size} MiB; it needs 1024.",
            "Make the partition larger.", **words, size=f"{disk.size_bytes / MIB:.0f}",
        )  # fmt: skip
    elif disk.size_bytes % _BLOCK_BYTES:
        yield finding(
            "md.block", "error", place, "The size of the data partition of {name} on {server} is no multiple of 4096.",
            "Let the partition end at such a place.", **words,
        )  # fmt: skip


def _disk(subject: Subject, inventory: Inventory, resource: Resource, path: str) -> DiskInfo | None:
    answer = inventory.device(subject.text(resource, path, inventory.server))
    return answer.disk if answer is not None else None


def shared_sizes(subject: Subject, inventories: Inventories) -> Iterator[Finding]:
    """A shared disk is one disk: what has different sizes on two servers is not the same."""
    for resource in subject.resources_of("disk", "raw"):
        sizes: dict[int, str] = {}
        for server in subject.servers_of(resource.name):
            disk = _disk(subject, inventories[server], resource, "parameters/device") if server in inventories else None
            if disk is not None:
                sizes.setdefault(disk.size_bytes, server)
        if len(sizes) > 1:
            (a, one), (b, other) = list(sizes.items())[:2]
            yield finding(
                "disk.size", "error", subject.at("resource", resource.name, "parameters/device"),
                "The device of {name} has {a} bytes on {one} and {b} on {other}: it is not the same disk.",
                "Name the same disk on both, best by a name below /dev/disk/by-id.",
                name=resource.name, one=one, other=other, a=str(a), b=str(b),
            )  # fmt: skip


# Ports, clocks, watchdogs -------------------------------------------------------------------------------------------


def ports(subject: Subject, inventories: Inventories) -> Iterator[Finding]:
    wanted = list(listening(subject))
    for server, inventory in _known(subject, inventories):
        used = {one.port: one for one in inventory.ports if one.protocol == "tcp" and not one.own}
        for port, name, path in wanted:
            if port in used and server in subject.servers_of(name):
                yield finding(
                    "port.in_use", "error", subject.at("resource", name, path),
                    "Port {port} of {name} is in use on {server} by {process}.", "Choose a free port.",
                    port=str(port), name=name, server=server, process=used[port].process or "?",
                )  # fmt: skip


def clocks(subject: Subject, inventories: Inventories) -> Iterator[Finding]:
    """Logs of servers whose clocks differ cannot be put in order. Only what is certain beside the way of the answer."""
    known = [(s, i.clock) for s, i in _known(subject, inventories) if i.clock.offset_ms is not None]
    for server, clock in known[1:]:
        first, other = known[0]
        apart = (clock.offset_ms or 0) - (other.offset_ms or 0)
        certain = abs(apart) - clock.uncertain_ms - other.uncertain_ms
        if certain > _CLOCK_MS:
            ahead, behind = (server, first) if apart > 0 else (first, server)
            yield finding(
                "clock.offset", "warning", subject.at("server", server),
                "The clock of {ahead} is {apart} s ahead of that of {behind}.",
                "Let both follow the same time servers.",
                ahead=ahead, behind=behind, apart=f"{abs(apart) / 1000:.1f}",
            )  # fmt: skip
    for server, inventory in _known(subject, inventories):
        if inventory.clock.synchronised is False:
            yield finding(
                "clock.free", "note", subject.at("server", server), "No time service keeps the clock of {server}.",
                "Run chrony or another time service there.", server=server,
            )  # fmt: skip


def watchdogs(subject: Subject, inventories: Inventories) -> Iterator[Finding]:
    if not subject.cluster.self_fencing or subject.cluster.watchdog == "keepalive":
        return
    for server, inventory in _known(subject, inventories):
        if inventory.watchdog_users:
            yield finding(
                "watchdog.user", "error", subject.at("server", server),
                "{program} keeps the watchdog of {server}, which the cluster needs ({method}).",
                "Stop it, and keep it from starting at boot.",
                program=list(inventory.watchdog_users), server=server, method=subject.cluster.watchdog,
            )  # fmt: skip


LIVE_RULES: tuple[_Rule, ...] = (
    unasked,
    server_addresses,
    floating_addresses,
    nic_names,
    devices,
    same_sizes,
    shared_sizes,
    ports,
    clocks,
    watchdogs,
)
