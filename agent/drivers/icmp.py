"""Ping: one echo request and its answer."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time
from ipaddress import IPv4Address, IPv6Address

import msgspec

from agent.drivers.ndp import checksum
from agent.ports import Address

_ECHO = struct.Struct("!BBHHH")  # type, code, checksum, identifier, sequence
_TOKEN_BYTES = 16
_SOL_RAW, _ICMP_FILTER, _ICMP6_FILTER = 255, 1, 1


class _Family(msgspec.Struct, frozen=True):
    family: int
    protocol: int
    request: int
    reply: int


_V4 = _Family(socket.AF_INET, socket.IPPROTO_ICMP, 8, 0)
_V6 = _Family(socket.AF_INET6, socket.IPPROTO_ICMPV6, 128, 129)


def request(address: Address, identifier: int, token: bytes) -> bytes:
    kind = _of(address).request
    packet = _ECHO.pack(kind, 0, 0, identifier, 1) + token
    # The kernel fills in the checksum of ICMPv6, which covers addresses that it chooses.
    return packet if address.version == 6 else packet[:2] + struct.pack("!H", checksum(packet)) + packet[4:]


def answers(data: bytes, address: Address, token: bytes) -> bool:
    """Is this the answer to our request? Raw IPv4 sockets give the IP header too."""
    if address.version == 4 and data and data[0] >> 4 == 4:
        data = data[(data[0] & 0xF) * 4 :]
    return len(data) >= _ECHO.size and data[0] == _of(address).reply and data[_ECHO.size :][:_TOKEN_BYTES] == token


async def ping(address: Address, timeout_s: float) -> float | None:
    """Round trip in seconds; None when no answer came, or no route leads there."""
    token = os.urandom(_TOKEN_BYTES)
    packet = request(address, int.from_bytes(token[:2], "big"), token)
    loop = asyncio.get_running_loop()
    with _open(address) as opened:
        begun = time.monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                opened.connect((str(address), 0))
                await loop.sock_sendall(opened, packet)
                while not answers(await loop.sock_recv(opened, 256), address, token):
                    pass
        except OSError:
            # Also TimeoutError. Whatever the network says instead of an answer, it is no answer.
            return None
        return time.monotonic() - begun


def _of(address: IPv4Address | IPv6Address) -> _Family:
    return _V4 if address.version == 4 else _V6


def _open(address: Address) -> socket.socket:
    family = _of(address)
    try:
        # Needs no privilege where net.ipv4.ping_group_range allows it, and hears only its own answers.
        return socket.socket(family.family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, family.protocol)
    except PermissionError:
        opened = socket.socket(family.family, socket.SOCK_RAW | socket.SOCK_NONBLOCK, family.protocol)
    try:
        if address.version == 4:
            opened.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", 0xFFFFFFFF & ~(1 << family.reply)))
        else:
            blocked = [0xFFFFFFFF] * 8
            blocked[family.reply >> 5] &= ~(1 << (family.reply & 31))
            opened.setsockopt(family.protocol, _ICMP6_FILTER, struct.pack("=8I", *blocked))
    except OSError:
        opened.close()
        raise
    return opened
