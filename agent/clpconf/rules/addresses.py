"""Rules for addresses: those of the servers, and the floating ones."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network

from agent.clpconf.findings import Finding
from agent.clpconf.model import Resource
from agent.clpconf.rules.subject import Address, Rule, Subject, address, finding

_IP = "parameters/ip"
_FLOATING = ("fip", "awsvip")
_LARGE_BITS, _SMALL_BITS, _IPV6_BITS = 16, 24, 64

Network = IPv4Network | IPv6Network


def _floating(subject: Subject, *types: str) -> Iterator[tuple[Resource, Address]]:
    """Each floating address with its resource, those of single servers included."""
    for resource in subject.resources_of(*types):
        texts = dict.fromkeys([resource.values.get(_IP, ""), *(o.get(_IP, "") for o in resource.overrides.values())])
        for text in texts:
            found = address(text)
            if found is not None:
                yield resource, found


def floating_address_twice(subject: Subject) -> Iterator[Finding]:
    first: dict[Address, str] = {}
    for resource, ip in _floating(subject, *_FLOATING):
        other = first.setdefault(ip, resource.name)
        if other != resource.name:
            yield finding(
                "fip.duplicate", "error", subject.at("resource", resource.name, _IP),
                "{name} and {other} have the same floating address {ip}.", "Give each its own address.",
                name=resource.name, other=other, ip=str(ip),
            )  # fmt: skip


def floating_address_of_server(subject: Subject) -> Iterator[Finding]:
    owners = {ip: server for server, ip in _server_addresses(subject)}
    for resource, ip in _floating(subject, *_FLOATING):
        if ip in owners and not ip.is_loopback:
            yield finding(
                "fip.server", "error", subject.at("resource", resource.name, _IP),
                "{ip} of {name} is an address of server {server}: both would answer for it.",
                "Choose an address that no server has set in its operating system.",
                ip=str(ip), name=resource.name, server=owners[ip],
            )  # fmt: skip


def floating_address_kind(subject: Subject) -> Iterator[Finding]:
    for resource, ip in _floating(subject, *_FLOATING):
        if _unreachable(ip):
            yield finding(
                "fip.kind", "error", subject.at("resource", resource.name, _IP),
                "{ip} of {name} cannot be reached by clients.", "Write a free address of the network of the clients.",
                ip=str(ip), name=resource.name,
            )  # fmt: skip
        elif ip.version == 6 and ip.is_link_local and not ip.scope_id:
            yield finding(
                "fip.scope", "error", subject.at("resource", resource.name, _IP),
                "The link-local address {ip} of {name} exists on each network once: it must name its NIC.",
                "Write the NIC behind it, for example {ip}%eth0.", ip=str(ip), name=resource.name,
            )  # fmt: skip


def floating_address_outside(subject: Subject) -> Iterator[Finding]:
    """Only a note, one for each network: the file tells no prefix, and LANs without heartbeats are unknown here."""
    networks: dict[str, set[Network]] = {}
    for server, ip in _server_addresses(subject):
        if not ip.is_loopback:
            networks.setdefault(server, set()).add(_network(ip))
    told: set[Network] = set()
    for resource, ip in _floating(subject, "fip"):
        servers = [name for name in subject.servers_of(resource.name) if name in networks]
        apart = next((name for name in servers if _network(ip) not in networks[name]), "")
        if apart and not (_unreachable(ip) or ip.is_link_local or _network(ip) in told):
            told.add(_network(ip))
            yield finding(
                "fip.network", "note", subject.at("resource", resource.name, _IP),
                "No address of {server} in this file looks like the network of {ip} of {name}.",
                "Check for a slip of the keys; the live check (clpcfctrl --compcheck) asks the servers.",
                server=apart, ip=str(ip), name=resource.name,
            )  # fmt: skip


def server_address_twice(subject: Subject) -> Iterator[Finding]:
    """Two servers with one address. What one heartbeat alone shows, the reader has found already."""
    owners: dict[Address, tuple[str, int]] = {}
    for server in subject.cluster.servers:
        for device in server.devices:
            ip = address(device.info) if device.type in ("lan", "mdc") else None
            if ip is None or ip.is_loopback:
                continue
            other, number = owners.setdefault(ip, (server.name, device.id))
            if other != server.name and number != device.id:
                yield finding(
                    "device.address", "error", subject.at("server", server.name, f"device@{device.id}"),
                    "Servers {other} and {server} have the same address {ip}.", "Give each server its own address.",
                    other=other, server=server.name, ip=str(ip),
                )  # fmt: skip


def _server_addresses(subject: Subject) -> Iterator[tuple[str, Address]]:
    for server in subject.cluster.servers:
        for device in server.devices:
            ip = address(device.info) if device.type in ("lan", "mdc") else None
            if ip is not None:
                yield server.name, ip


def _unreachable(ip: Address) -> bool:
    return ip.is_loopback or ip.is_multicast or ip.is_unspecified or str(ip) == "255.255.255.255"


def _network(ip: Address) -> Network:
    """As large as it may well be: private ranges of class A and B are rarely cut into less than a /16."""
    bits = _IPV6_BITS if ip.version == 6 else _SMALL_BITS if ip.packed[0] > 172 else _LARGE_BITS
    return ip_network((ip.packed, bits), strict=False)


RULES: tuple[Rule, ...] = (
    floating_address_twice,
    floating_address_of_server,
    floating_address_kind,
    floating_address_outside,
    server_address_twice,
)
