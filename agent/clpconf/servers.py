"""Servers, heartbeats and network partition resolution of clp.conf, with their rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from agent.clpconf.element import Element
from agent.clpconf.entry import Entry, has_name, instances, unique
from agent.clpconf.findings import Finding
from agent.clpconf.kinds import IP
from agent.clpconf.model import Device, Heartbeat, PartitionResolver, Server
from agent.clpconf.sections_common import COMMON, by_path
from agent.clpconf.sections_server import DEVICE_ID, SERVER

LAN_TYPES = ("lanhb", "lankhb")
MAX_SERVERS = 32
_SERVER = by_path(SERVER.params)
_PRIORITY = by_path(COMMON["heartbeat"])["priority"]
_RESOLVER_PRIORITY = by_path(COMMON["networkpartition"])["priority"]
_COMMON = frozenset(("comment", "priority", "device"))


def read_servers(root: Element, findings: list[Finding]) -> tuple[Server, ...]:
    """Sorted by priority."""
    elements = [element for element in root.named("server") if has_name(element, findings)]
    entries = [Entry(element, findings, frozenset(("device",))) for element in unique(elements, "server", findings)]
    servers = [_server(entry, alone=len(entries) == 1) for entry in entries]
    if not root.named("server"):
        remedy = 'Write <server name="..."><priority>0</priority>...</server> for each server.'
        text = "There is no server."
        findings.append(Finding("server.none", "error", "/root/server", text, remedy, root.line, root.column))
    if len(servers) > MAX_SERVERS:
        text = f"There are {len(servers)} servers; a cluster has at most {MAX_SERVERS}."
        findings.append(Finding("server.count", "error", "/root/server", text, "Remove some.", root.line, root.column))
    _check_priorities(entries, servers)
    return tuple(sorted(servers, key=lambda server: (server.priority, server.name)))


def _server(entry: Entry, *, alone: bool) -> Server:
    if entry.name != entry.name.lower():
        entry.find("server.case", "warning", f"The server name {entry.name} has upper case letters.",
                   "Use the host name in lower case.")  # fmt: skip
    if not entry.text("priority") and not alone:
        entry.find(
            "value.missing", "error", "The priority is missing.", "Write a whole number; 0 is the master.", "priority"
        )
    return Server(
        name=entry.name,
        priority=entry.get(_SERVER["priority"]),
        comment=entry.text("comment"),
        devices=_devices(entry),
        survive=entry.get(_SERVER["survive"]),
    )


def _devices(entry: Entry) -> tuple[Device, ...]:
    devices: dict[int, Device] = {}
    for element in entry.element.named("device"):
        part = Entry(element, entry.findings)
        number = element.attributes.get("id", "")
        try:
            device_id = DEVICE_ID.parse(number)
        except ValueError as error:
            part.find("value.syntax", "error", f'"{number[:60]}" cannot be the id of a device.', str(error))
            continue
        assert isinstance(device_id, int)
        if device_id in devices:
            part.find("device.duplicate", "error", f"Device {device_id} stands here twice.", "Give one another id.")
        devices.setdefault(device_id, _device(device_id, part))
    return tuple(devices[key] for key in sorted(devices))


def _device(device_id: int, part: Entry) -> Device:
    kind = part.text("type")
    info = part.text("info") or part.text(f"{kind}/info")
    return Device(id=device_id, type=kind, info=info, extend=part.text("extend") or part.text(f"{kind}/extend"))


def _check_priorities(entries: list[Entry], servers: list[Server]) -> None:
    used = Counter(server.priority for server in servers)
    for entry, server in zip(entries, servers, strict=True):
        if used[server.priority] > 1 and entry.text("priority"):
            text = f"Several servers have priority {server.priority}: who coordinates would not be certain."
            entry.find("server.priority", "error", text, "Give each server its own number.", "priority")


def read_heartbeats(
    root: Element, servers: tuple[Server, ...], findings: list[Finding], check_type: Callable[[Entry], None]
) -> tuple[Heartbeat, ...]:
    """Sorted by priority. `check_type` adds what the type's declaration says."""
    elements = unique(list(instances(root, "heartbeat", findings)), "heartbeat", findings)
    heartbeats = []
    for element in elements:
        entry = Entry(element, findings)
        check_type(entry)
        heartbeat = _heartbeat(entry)
        if entry.text("device"):
            _check_devices(entry, heartbeat, servers)
        else:
            entry.find("value.missing", "error", "The device is missing.", "Write the id of a device.", "device")
        heartbeats.append(heartbeat)
    if len(servers) > 1:
        _check_lan_count([heartbeat for heartbeat in heartbeats if heartbeat.type in LAN_TYPES], root, findings)
    return tuple(sorted(heartbeats, key=lambda heartbeat: (heartbeat.priority, heartbeat.name)))


def _heartbeat(entry: Entry) -> Heartbeat:
    return Heartbeat(
        name=entry.name,
        type=entry.element.name,
        priority=entry.get(_PRIORITY),
        device=entry.read("device", DEVICE_ID, 0),
        values=entry.values(_COMMON),
    )


def _check_lan_count(lan: list[Heartbeat], root: Element, findings: list[Finding]) -> None:
    if not lan:
        remedy = 'Write <lanhb name="lanhb1"> with priority and device below <heartbeat>.'
        text = "There is no LAN heartbeat: the servers could not hear each other."
        findings.append(Finding("heartbeat.none", "error", "/root/heartbeat", text, remedy, root.line, root.column))
    elif len({heartbeat.device for heartbeat in lan}) == 1:
        remedy = "Add a LAN heartbeat over a second network."
        text = "Only one network carries heartbeats: if it fails, each server takes the others for dead."
        findings.append(Finding("heartbeat.single", "warning", "/root/heartbeat", text, remedy, root.line, root.column))


def _check_devices(entry: Entry, heartbeat: Heartbeat, servers: Iterable[Server]) -> None:
    lan = heartbeat.type in LAN_TYPES
    seen: dict[str, str] = {}
    for server in servers:
        device = server.device(heartbeat.device)
        if device is None:
            text = f"Server {server.name} has no device {heartbeat.device}, which {heartbeat.name} uses."
            remedy = f'Write <device id="{heartbeat.device}"> at this server.'
            entry.find("heartbeat.device", "error" if lan else "warning", text, remedy, "device")
        elif lan and device.type != "lan":
            text = f'Device {device.id} of server {server.name} has type "{device.type}", not lan.'
            entry.find("heartbeat.device", "error", text, "Name a device of type lan.", "device")
        elif lan:
            _check_address(entry, server, device, seen)


def _check_address(entry: Entry, server: Server, device: Device, seen: dict[str, str]) -> None:
    try:
        address = str(IP.parse(device.info))
    except ValueError as error:
        text = f'Device {device.id} of server {server.name} has no IP address ("{device.info[:60]}").'
        entry.find("heartbeat.address", "error", text, str(error), "device")
        return
    other = seen.setdefault(address, server.name)
    if other != server.name:
        text = f"Servers {other} and {server.name} have the same address {address} for {entry.name}."
        entry.find("heartbeat.address", "error", text, "Give each server its own address.", "device")


def read_resolvers(
    root: Element, findings: list[Finding], check_type: Callable[[Entry], None]
) -> tuple[PartitionResolver, ...]:
    """Sorted by priority."""
    resolvers = []
    for element in unique(list(instances(root, "networkpartition", findings)), "resolver", findings):
        entry = Entry(element, findings)
        check_type(entry)
        resolver = PartitionResolver(
            name=entry.name,
            type=element.name,
            priority=entry.get(_RESOLVER_PRIORITY),
            device=entry.read("device", DEVICE_ID, 0),
            values=entry.values(_COMMON),
        )
        resolvers.append(resolver)
    return tuple(sorted(resolvers, key=lambda resolver: (resolver.priority, resolver.name)))
