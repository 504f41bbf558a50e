"""fip: a floating IP address that follows its failover group.

The address is added with a host prefix (/32, /128) to the NIC in whose network it lies. So it changes no route, is not
lost with the NIC's first address, and is never the source of connections that the server opens itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import IPv6Address, ip_address, ip_interface

from agent.clpconf.schema import IP, Param, TypeSpec, Values, integer
from agent.ports import Address, DriverError, Interface, Nic, Ports, nic_for
from agent.resources import ResourceType

# One lost frame must not cost the clients their service; the daemon repeats the burst after 1, 2 and 3 s.
_BURST = 3

SPEC = TypeSpec(
    "fip",
    "Floating IP resource",
    params=(
        Param(
            "parameters/ip", "IP address", IP, required=True,
            help="Not in use outside the cluster, not set in the operating system, and in a network of each server. "
            "An IPv6 link-local address names its NIC: fe80::10%eth0.",
        ),
        Param(
            "parameters/probe", "Time to ask for another owner", integer(0, 5000), default=5, unit="ms",
            help="Before the address is taken, the LAN is asked whether somebody has it. The question is a part of the "
            "outage at each failover. A LAN answers within 5 ms; 0 does not ask.",
            source="openclp",
        ),
    ),
    activation_retry=5,
    help="An address that the clients use, whichever server runs the group.",
    family="Network",
)  # fmt: skip


async def activate(values: Values, ports: Ports) -> None:
    address, scope = _address(values)
    nics = await ports.network.nics()
    nic = _nic(nics, address, scope, ports.place.server)
    _refuse_fixed(nics, address)
    # A left-over on another NIC would answer there for what is served here.
    await _remove(ports, [n for n in nics if n is not nic], address)
    stranger = await ports.network.in_use(nic, address, _probe_s(values))
    if stranger is not None:
        await _remove(ports, [nic], address)
        raise DriverError(
            f"address {address} is in use by {stranger} on the LAN of {nic.name}; free it there or choose another one"
        )
    if _host(address) not in nic.addresses:
        await ports.network.add_address(nic, _host(address))
    if ports.announce:
        await _announce(ports, nic, address)


async def prepare(values: Values, ports: Ports) -> Callable[[], None] | None:
    """Look at the NICs and ask who has the address, so that nothing is left but to take it."""
    address, scope = _address(values)
    nics = await ports.network.nics()
    nic = _nic(nics, address, scope, ports.place.server)
    free = await ports.network.ask_early(nic, address, _probe_s(values))
    if not free or address.version == 6 or any(own.ip == address for n in nics for own in n.addresses):
        return None
    return partial(ports.network.take, nic, _host(address), _BURST)


async def deactivate(values: Values, ports: Ports) -> None:
    address, _scope = _address(values)
    nics = await ports.network.nics()
    await _remove(ports, nics, address)
    for nic, own in _fixed(nics, address):
        ports.note(f"{own} stays on {nic.name}: the operating system has set it, not the cluster")


async def active(values: Values, ports: Ports) -> bool:
    address, _scope = _address(values)
    return any(_host(address) in nic.addresses for nic in await ports.network.nics())


async def announce(values: Values, ports: Ports) -> None:
    address, _scope = _address(values)
    for nic in await ports.network.nics():
        if _host(address) in nic.addresses:
            await _announce(ports, nic, address)


async def _announce(ports: Ports, nic: Nic, address: Address) -> None:
    for _frame in range(_BURST):
        await ports.network.announce(nic, address)


async def _remove(ports: Ports, nics: Sequence[Nic], address: Address) -> None:
    for nic in nics:
        if _host(address) in nic.addresses:
            await ports.network.remove_address(nic, _host(address))


def _address(values: Values) -> tuple[Address, str]:
    """The address, and the NIC that it names (IPv6 link-local only)."""
    address = ip_address(str(values["parameters/ip"]))
    if isinstance(address, IPv6Address) and address.scope_id:
        return IPv6Address(address.packed), address.scope_id
    return address, ""


def _probe_s(values: Values) -> float:
    probe = values["parameters/probe"]
    assert isinstance(probe, int)
    return probe / 1000


def _host(address: Address) -> Interface:
    return ip_interface(address)


def _nic(nics: Sequence[Nic], address: Address, scope: str, server: str) -> Nic:
    nic = next((n for n in nics if n.name == scope), None) if scope else nic_for(nics, address)
    if nic is None and scope:
        raise DriverError(f"{server} has no network interface {scope}; correct the address {address}%{scope}")
    if nic is None:
        networks = sorted({str(own.network) for n in nics for own in n.addresses if _is_lan(own, address)})
        raise DriverError(
            f"no network interface of {server} is in the network of {address} (it has "
            f"{', '.join(networks) or 'none'}); give one an address there, or correct parameters/ip"
        )
    if not nic.up:
        raise DriverError(f"{nic.name} has no link, so {address} could not be reached; check its cable and switch")
    return nic


def _is_lan(own: Interface, address: Address) -> bool:
    host = own.network.prefixlen == own.max_prefixlen
    return own.version == address.version and not host and not own.is_loopback


def _fixed(nics: Sequence[Nic], address: Address) -> list[tuple[Nic, Interface]]:
    """Where the operating system has the address for good, with the prefix of a network."""
    return [(n, own) for n in nics for own in n.addresses if own.ip == address and own != _host(address)]


def _refuse_fixed(nics: Sequence[Nic], address: Address) -> None:
    for nic, own in _fixed(nics, address):
        raise DriverError(
            f"the operating system has set {own} on {nic.name}; remove it from its network configuration",
            retryable=False,
        )


TYPE = ResourceType(SPEC, activate, deactivate, active, announce, prepare)
