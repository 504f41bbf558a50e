"""IPv6 neighbour discovery: unsolicited advertisements, and the question whether somebody has an address already."""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv6Address

import msgspec

from agent.drivers.packet import ETHERTYPE_IPV6, frame

_IPV6 = struct.Struct("!IHBB16s16s")
_MESSAGE = struct.Struct("!BBHI16s")  # type, code, checksum, flags, target
_ICMPV6 = 58
_SOLICITATION, _ADVERTISEMENT = 135, 136
_OVERRIDE = 0x20000000
_TARGET_MAC = 2
_ALL_NODES = IPv6Address("ff02::1")
_SOLICITED = IPv6Address("ff02::1:ff00:0")
_NOBODY = IPv6Address(0)
_ICMP6_FILTER = 1


class Advertisement(msgspec.Struct, frozen=True):
    target: IPv6Address
    mac: bytes  # b"" when it was not told


def announcement(mac: bytes, address: IPv6Address) -> bytes:
    """An unsolicited advertisement that overrides what the neighbours have stored."""
    option = bytes((_TARGET_MAC, 1)) + mac
    return _frame(mac, address, _ALL_NODES, _MESSAGE.pack(_ADVERTISEMENT, 0, 0, _OVERRIDE, address.packed) + option)


def probe(mac: bytes, address: IPv6Address) -> bytes:
    """The solicitation of duplicate address detection: from nobody, so that asking changes nobody's table."""
    return _frame(mac, _NOBODY, _group(address), _MESSAGE.pack(_SOLICITATION, 0, 0, 0, address.packed))


def parse(data: bytes) -> Advertisement | None:
    """From an ICMPv6 message as a raw socket gives it, without the IPv6 header."""
    if len(data) < _MESSAGE.size:
        return None
    kind, _code, _checksum, _flags, target = _MESSAGE.unpack_from(data)
    if kind != _ADVERTISEMENT:
        return None
    mac = b""
    options = data[_MESSAGE.size :]
    while len(options) >= 8 and (length := options[1] * 8):
        if options[0] == _TARGET_MAC and length == 8:
            mac = options[2:8]
        options = options[length:]
    return Advertisement(IPv6Address(target), mac)


def listener(nic: str) -> socket.socket:
    """A socket that hears the advertisements on one NIC and nothing else."""
    opened = socket.socket(socket.AF_INET6, socket.SOCK_RAW | socket.SOCK_NONBLOCK, _ICMPV6)
    try:
        blocked = bytearray(b"\xff" * 32)
        word = _ADVERTISEMENT >> 5
        mask = 0xFFFFFFFF & ~(1 << (_ADVERTISEMENT & 31))
        struct.pack_into("=I", blocked, word * 4, mask)
        opened.setsockopt(_ICMPV6, _ICMP6_FILTER, bytes(blocked))
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, nic.encode())
    except OSError:
        opened.close()
        raise
    return opened


def _group(address: IPv6Address) -> IPv6Address:
    """The multicast group in which the owner of an address is asked for."""
    return IPv6Address(int(_SOLICITED) | int(address) & 0xFFFFFF)


def checksum(data: bytes) -> int:
    """The Internet checksum."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data[: len(data) // 2 * 2]))
    if len(data) % 2:
        total += data[-1] << 8
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _frame(mac: bytes, source: IPv6Address, target: IPv6Address, message: bytes) -> bytes:
    pseudo = source.packed + target.packed + struct.pack("!II", len(message), _ICMPV6)
    message = message[:2] + struct.pack("!H", checksum(pseudo + message)) + message[4:]
    # Hop limit 255 proves to the receiver that the packet was born on this LAN.
    header = _IPV6.pack(6 << 28, len(message), _ICMPV6, 255, source.packed, target.packed)
    return frame(b"\x33\x33" + target.packed[-4:], mac, ETHERTYPE_IPV6, header + message)
