"""The machine's network: NICs, addresses, announcements, neighbours and pings."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address

from agent.drivers import arp, ndp
from agent.drivers.icmp import ping
from agent.drivers.netlink import Netlink
from agent.drivers.packet import FrameSender, mac_text
from agent.ports import Address, DriverError, Interface, Nic, nic_for

_READY_LIMIT_S = 2.0  # for the kernel to make an added IPv6 address usable
_READY_STEP_S = 0.001
_ASKED_S = 1.0  # so long "nobody has it" is an answer
_STRANGER_S, _SURE_S = 10.0, 0.3
_LATE_S, _TRIES = 0.002, 3
_KNOWN_S = 1.0  # so long the NICs count as known for pinning
_UNKNOWN_MAC = "an unknown MAC"


class KernelNetwork:
    """Implements `ports.Network` by rtnetlink and raw frames. One object per process; its sockets are kept."""

    def __init__(self) -> None:
        self._netlink = Netlink()
        self._frames = FrameSender()
        self._arp = arp.ArpListener()
        # (index of the NIC, address) -> MAC of a server of this cluster, as its authenticated heartbeats told it.
        self._pinned: dict[tuple[int, Address], bytes] = {}
        self._known: Sequence[Nic] = ()
        self._known_until = 0.0  # monotonic
        self._free: dict[tuple[int, Address], float] = {}  # when nobody answered for the address (monotonic)
        self._strangers: dict[tuple[int, Address], float] = {}  # when somebody did

    def close(self) -> None:
        self._netlink.close()
        self._frames.close()
        self._arp.close()

    async def nics(self) -> Sequence[Nic]:
        with _refusals("cannot read the network interfaces"):
            links = self._netlink.links()
            owned: dict[int, list[Interface]] = {}
            for index, address in self._netlink.addresses():
                owned.setdefault(index, []).append(address)
        return [Nic(x.name, x.index, tuple(owned.get(x.index, ())), x.up, x.mac) for x in links]

    async def add_address(self, nic: Nic, address: Interface) -> None:
        with _refusals(f"cannot add {address} to {nic.name}", fine=errno.EEXIST):
            self._netlink.add_address(nic.index, address)
        if address.version == 6:
            await self._usable(nic, address)

    async def remove_address(self, nic: Nic, address: Interface) -> None:
        with _refusals(f"cannot remove {address} from {nic.name}", fine=errno.EADDRNOTAVAIL):
            self._netlink.remove_address(nic.index, address)

    async def announce(self, nic: Nic, address: Address) -> None:
        if nic.mac:
            sent = arp.announcement(nic.mac, address) if address.version == 4 else ndp.announcement(nic.mac, address)
            with _refusals(f"cannot announce {address} on {nic.name}"):
                self._frames.send(nic.name, sent)

    async def in_use(self, nic: Nic, address: Address, timeout_s: float) -> str | None:
        if not nic.mac or timeout_s <= 0:
            return None
        key = (nic.index, address)
        if time.monotonic() < self._free.pop(key, -_ASKED_S) + _ASKED_S:
            return None
        return await self._ask(nic, address, timeout_s)

    async def ask_early(self, nic: Nic, address: Address, timeout_s: float) -> bool:
        if nic.mac and timeout_s > 0:
            if await self._ask(nic, address, timeout_s) is not None:
                return False
            self._free[nic.index, address] = time.monotonic()
        return True

    def take(self, nic: Nic, address: Interface, announcements: int) -> None:
        with _refusals(f"cannot take {address} on {nic.name}"):
            self._netlink.add_address(nic.index, address)
            if nic.mac and isinstance(address.ip, IPv4Address):
                sent = arp.announcement(nic.mac, address.ip)
                for _frame in range(announcements):
                    self._frames.send(nic.name, sent)

    async def _ask(self, nic: Nic, address: Address, timeout_s: float) -> str | None:
        """Again when this process itself was late: an answer may have come, and not have been read in time."""
        if time.monotonic() < self._strangers.get((nic.index, address), -_STRANGER_S) + _STRANGER_S:
            timeout_s = max(timeout_s, _SURE_S)  # Somebody had it a moment ago.
        found = None
        for _try in range(_TRIES):
            start = time.monotonic()
            found = await self._ask_once(nic, address, timeout_s)
            if found is not None:
                self._strangers[nic.index, address] = time.monotonic()
            if found is not None or time.monotonic() < start + timeout_s + _LATE_S:
                break
        return found

    async def _ask_once(self, nic: Nic, address: Address, timeout_s: float) -> str | None:
        friends = {mac for (index, _address), mac in self._pinned.items() if index == nic.index}
        friends.update(link.mac for link in self._netlink.links() if link.mac)
        asked = arp.probe(nic.mac, address) if address.version == 4 else ndp.probe(nic.mac, address)
        with _refusals(f"cannot ask on {nic.name} who has {address}"), contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s), self._claims(nic, address) as claims:
                self._frames.send(nic.name, asked)
                # Once more, so that a single lost frame does not hide an owner.
                again = asyncio.get_running_loop().call_later(timeout_s / 2, self._send_quietly, nic.name, asked)
                try:
                    async for mac in claims:
                        if mac not in friends:
                            return mac_text(mac) or _UNKNOWN_MAC
                finally:
                    again.cancel()
        return None

    async def ping(self, address: Address, timeout_s: float) -> float | None:
        with _refusals(f"cannot ping {address}"):
            return await ping(address, timeout_s)

    async def pin_neighbour(self, address: Address, mac: bytes, nic: str = "") -> None:
        """Keep the way to a server of this cluster out of the neighbour table's timers and limits."""
        found = await self._nic(address, nic)
        if found is not None and found.mac:
            with _refusals(f"cannot pin the neighbour {address} on {found.name}"):
                self._netlink.pin_neighbour(found.index, address, mac)
            self._pinned[found.index, address] = mac

    async def unpin_neighbours(self) -> None:
        """Leave the neighbour table as a machine without a cluster has it."""
        for index, address in list(self._pinned):
            with contextlib.suppress(OSError):
                self._netlink.remove_neighbour(index, address)
            del self._pinned[index, address]

    async def _usable(self, nic: Nic, address: Interface) -> None:
        """The kernel takes packets for a new IPv6 address only some 10 ms after it has agreed to the address.

        Whoever learns of the address before loses his first packet, and with it a second.
        """
        with _refusals(f"cannot use {address} on {nic.name}"):
            for _step in range(round(_READY_LIMIT_S / _READY_STEP_S)):
                if self._netlink.is_local(nic.index, address.ip):
                    return
                await asyncio.sleep(_READY_STEP_S)
        raise DriverError(f"{address} on {nic.name} did not become usable within {_READY_LIMIT_S:g} s; is its link up?")

    async def _nic(self, address: Address, name: str) -> Nic | None:
        """Of a neighbour. When a large cluster starts, many are asked for at once."""
        found, now = None, time.monotonic()
        if now < self._known_until:
            found = _one_of(self._known, address, name)
        if found is None:
            self._known, self._known_until = await self.nics(), now + _KNOWN_S
            found = _one_of(self._known, address, name)
        return found

    def _send_quietly(self, nic: str, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self._frames.send(nic, data)

    @contextlib.asynccontextmanager
    async def _claims(self, nic: Nic, address: Address) -> AsyncIterator[AsyncIterator[bytes]]:
        if isinstance(address, IPv4Address):
            with self._arp.claims(nic.name, address) as queue:
                yield _each(queue)
        else:
            with ndp.listener(nic.name) as opened:
                yield _advertised(opened, address)


def _one_of(nics: Sequence[Nic], address: Address, name: str) -> Nic | None:
    return next((n for n in nics if n.name == name), None) if name else nic_for(nics, address)


async def _each(queue: asyncio.Queue[bytes]) -> AsyncIterator[bytes]:
    while True:
        yield await queue.get()


async def _advertised(opened: socket.socket, address: IPv6Address) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    while True:
        heard = ndp.parse(await loop.sock_recv(opened, 512))
        if heard is not None and heard.target == address:
            yield heard.mac


@contextlib.contextmanager
def _refusals(what: str, fine: int = 0) -> Iterator[None]:
    """The kernel's refusal as a sentence; `fine` is the error that says: it is so already."""
    try:
        yield
    except TimeoutError:
        raise
    except OSError as error:
        if not fine or error.errno != fine:
            raise DriverError(f"{what}: {error.strerror or error}") from error
