"""ARP: gratuitous announcements, and the question whether somebody has an IPv4 address already."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address

import msgspec

from agent.drivers.packet import BROADCAST, ETHERTYPE_ARP, frame, payload_of

_ARP = struct.Struct("!HHBBH6s4s6s4s")
_ETHERNET, _IPV4, _REQUEST = 1, 0x0800, 1
_NOBODY = bytes(6)
_IDLE_BYTES = 1  # The kernel's smallest: the socket is kept, and hears the whole LAN while nobody reads it.
_BUSY_BYTES = 1 << 18
_STALE_LIMIT = 256
_PACKET_OUTGOING = 4


class Arp(msgspec.Struct, frozen=True):
    operation: int
    sender_mac: bytes
    sender: IPv4Address
    target_mac: bytes
    target: IPv4Address


def announcement(mac: bytes, address: IPv4Address) -> bytes:
    """Gratuitous ARP in request form: moves also entries younger than the neighbours' lock time (1 s)."""
    return _request(mac, address, address)


def probe(mac: bytes, address: IPv4Address) -> bytes:
    """A question with no sender address, so that asking changes nobody's table."""
    return _request(mac, IPv4Address(0), address)


def _request(mac: bytes, sender: IPv4Address, target: IPv4Address) -> bytes:
    body = _ARP.pack(_ETHERNET, _IPV4, 6, 4, _REQUEST, mac, sender.packed, _NOBODY, target.packed)
    return frame(BROADCAST, mac, ETHERTYPE_ARP, body)


def parse(data: bytes) -> Arp | None:
    body = payload_of(data, ETHERTYPE_ARP)
    if body is None or len(body) < _ARP.size:
        return None
    hardware, protocol, mac_length, length, operation, *rest = _ARP.unpack_from(body)
    if (hardware, protocol, mac_length, length) != (_ETHERNET, _IPV4, 6, 4):
        return None
    sender_mac, sender, target_mac, target = rest
    return Arp(operation, sender_mac, IPv4Address(sender), target_mac, IPv4Address(target))


class ArpListener:
    """Hears who claims an address on a NIC. One kept socket, read only while somebody waits."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._waiting: dict[tuple[str, IPv4Address], list[asyncio.Queue[bytes]]] = {}

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    @contextlib.contextmanager
    def claims(self, nic: str, address: IPv4Address) -> Iterator[asyncio.Queue[bytes]]:
        """The MACs of all who claim the address from now on."""
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        if not self._waiting:
            self._begin()
        self._waiting.setdefault((nic, address), []).append(queue)
        try:
            yield queue
        finally:
            waiting = self._waiting[nic, address]
            waiting.remove(queue)
            if not waiting:
                del self._waiting[nic, address]
            if not self._waiting:
                self._end()

    def _begin(self) -> None:
        if self._socket is None:
            kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK
            self._socket = socket.socket(socket.AF_PACKET, kind, socket.htons(ETHERTYPE_ARP))
        # A claim from before the question, perhaps of the server that just crashed, must not count.
        for _packet in range(_STALE_LIMIT):
            try:
                self._socket.recv(64)
            except BlockingIOError:
                break
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUSY_BYTES)
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    def _end(self) -> None:
        assert self._socket is not None
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _IDLE_BYTES)

    def _read(self) -> None:
        assert self._socket is not None
        for _packet in range(_STALE_LIMIT):
            try:
                data, (nic, _protocol, direction, *_rest) = self._socket.recvfrom(64)
            except OSError:
                # Nothing left, or a NIC went down under us: whoever waits has a time limit.
                return
            packet = parse(data) if direction != _PACKET_OUTGOING else None
            if packet is not None:
                for queue in self._waiting.get((nic, packet.sender), ()):
                    queue.put_nowait(packet.sender_mac)
