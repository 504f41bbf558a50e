"""A small rtnetlink codec and socket: links, addresses and neighbours.

Written by hand because a library for all of netlink costs this agent more memory and start-up time than all of its own
drivers together (12 MiB and 0.4 s), and 20 times the time per call.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from collections.abc import Iterator, Mapping
from ipaddress import ip_address, ip_interface

import msgspec

from agent.ports import Address, Interface

TIMEOUT_S = 2.0
_RECEIVE_BYTES = 1 << 16
_DUMP_ATTEMPTS = 5

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")  # length, type
_LINK = struct.Struct("=BxHiII")  # family, device type, index, flags, change
_ADDRESS = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, index
_NEIGHBOUR = struct.Struct("=BxxxiHBB")  # family, index, state, flags, type
_ROUTE = struct.Struct("=BBBBBBBBI")  # family, lengths of target and source, tos, table, protocol, scope, type, flags
_CACHE = struct.Struct("=IIII")  # preferred, valid, created, updated

_ERROR, _DONE = 2, 3
_NEWLINK, _GETLINK = 16, 18
_NEWADDR, _DELADDR, _GETADDR = 20, 21, 22
_NEWROUTE, _GETROUTE = 24, 26
_NEWNEIGH, _DELNEIGH, _GETNEIGH = 28, 29, 30

_REQUEST, _ACK, _DUMP, _EXCLUSIVE, _REPLACE, _CREATE = 0x1, 0x4, 0x300, 0x200, 0x100, 0x400
_DUMP_INTERRUPTED = 0x10
_CAPPED, _ACK_TLVS = 0x100, 0x200

_IFLA_ADDRESS, _IFLA_IFNAME = 1, 3
_IFA_ADDRESS, _IFA_LOCAL, _IFA_CACHEINFO, _IFA_FLAGS = 1, 2, 6, 8
_RTA_DST, _RTA_OIF = 1, 4
_NDA_DST, _NDA_LLADDR = 1, 2
_IFA_F_NODAD = 0x02
_RTN_LOCAL = 2
_NUD_PERMANENT = 0x80
_FOREVER = 0xFFFFFFFF

# LOWER_UP is the carrier itself; RUNNING follows it by up to a second.
_IFF_UP, _IFF_LOWER_UP = 0x1, 0x10000
_ARPHRD_ETHER = 1
_SCOPE_LINK = 253

_SOL_NETLINK, _NETLINK_CAP_ACK, _NETLINK_EXT_ACK = 270, 10, 11


class NetlinkError(OSError):
    """The kernel refused; `strerror` is its own sentence where it has one."""


class Link(msgspec.Struct, frozen=True):
    index: int
    name: str
    mac: bytes  # b"" when it is no Ethernet address
    up: bool


class Neighbour(msgspec.Struct, frozen=True):
    index: int
    address: Address
    mac: bytes
    permanent: bool


def attribute(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(-length % 4)


def attributes(data: bytes) -> dict[int, bytes]:
    """Type -> value. Stops at the first one that does not fit, so that a short answer cannot mislead us."""
    found = {}
    offset = 0
    while offset + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size or offset + length > len(data):
            break
        found[kind & 0x3FFF] = data[offset + _ATTRIBUTE.size : offset + length]
        offset += length + -length % 4
    return found


def messages(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """(type, flags, sequence, body) of each message in one datagram."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, flags, sequence, _port = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size or offset + length > len(data):
            break
        yield kind, flags, sequence, data[offset + _HEADER.size : offset + length]
        offset += length + -length % 4


def _refusal(flags: int, body: bytes) -> NetlinkError | None:
    code = -int.from_bytes(body[:4], sys.byteorder, signed=True)
    if code == 0:
        return None
    text = os.strerror(code)
    if flags & _ACK_TLVS:
        length = _HEADER.size if flags & _CAPPED else _HEADER.unpack_from(body, 4)[0]
        spoken = attributes(body[4 + length + -length % 4 :]).get(1)
        if spoken:
            text = spoken.rstrip(b"\0").decode("utf-8", "replace")
    return NetlinkError(code, text)


class Netlink:
    """One kept socket. rtnetlink answers within the call, so these calls may run inside an event loop."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._sequence = 0

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def links(self) -> list[Link]:
        found = []
        for kind, body in self._dump(_GETLINK, _LINK.pack(0, 0, 0, 0, 0)):
            if kind == _NEWLINK:
                _family, device, index, flags, _change = _LINK.unpack_from(body)
                values = attributes(body[_LINK.size :])
                mac = values.get(_IFLA_ADDRESS, b"") if device == _ARPHRD_ETHER else b""
                name = values.get(_IFLA_IFNAME, b"").rstrip(b"\0").decode("utf-8", "replace")
                up = flags & _IFF_UP != 0 and flags & _IFF_LOWER_UP != 0
                found.append(Link(index, name, mac, up))
        return found

    def addresses(self) -> list[tuple[int, Interface]]:
        """(index of the link, address with its prefix)."""
        found = []
        for kind, body in self._dump(_GETADDR, _ADDRESS.pack(0, 0, 0, 0, 0)):
            if kind == _NEWADDR:
                family, prefix, _flags, _scope, index = _ADDRESS.unpack_from(body)
                values = attributes(body[_ADDRESS.size :])
                packed = values.get(_IFA_LOCAL) or values.get(_IFA_ADDRESS)
                if packed and family in (socket.AF_INET, socket.AF_INET6):
                    found.append((index, ip_interface((packed, prefix))))
        return found

    def add_address(self, index: int, address: Interface) -> None:
        """Without the kernel's duplicate detection (IPv6), which would keep the address unusable for a second."""
        values = {_IFA_LOCAL: address.packed, _IFA_ADDRESS: address.packed}
        if address.version == 6:
            # Preferred for 0 s: never the source of connections that this server opens itself.
            values[_IFA_CACHEINFO] = _CACHE.pack(0, _FOREVER, 0, 0)
            values[_IFA_FLAGS] = struct.pack("=I", _IFA_F_NODAD)
        self._ask(_NEWADDR, _CREATE | _EXCLUSIVE, self._address_body(index, address), values)

    def remove_address(self, index: int, address: Interface) -> None:
        self._ask(_DELADDR, 0, self._address_body(index, address), {_IFA_LOCAL: address.packed})

    def is_local(self, index: int, address: Address) -> bool:
        """Would a packet for the address, arriving on this NIC, be taken by this machine?"""
        values = {_RTA_DST: address.packed}
        if address.is_link_local:
            values[_RTA_OIF] = struct.pack("=I", index)
        body = _ROUTE.pack(_family(address), address.max_prefixlen, 0, 0, 0, 0, 0, 0, 0)
        try:
            answers = self._ask(_GETROUTE, 0, body, values)
        except NetlinkError as error:
            if error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
                return False
            raise
        return any(kind == _NEWROUTE and _ROUTE.unpack_from(answer)[7] == _RTN_LOCAL for kind, answer in answers)

    def neighbours(self) -> list[Neighbour]:
        found = []
        for kind, body in self._dump(_GETNEIGH, _NEIGHBOUR.pack(0, 0, 0, 0, 0)):
            if kind == _NEWNEIGH:
                family, index, state, _flags, _type = _NEIGHBOUR.unpack_from(body)
                values = attributes(body[_NEIGHBOUR.size :])
                if _NDA_DST in values and family in (socket.AF_INET, socket.AF_INET6):
                    mac = values.get(_NDA_LLADDR, b"")
                    found.append(Neighbour(index, ip_address(values[_NDA_DST]), mac, bool(state & _NUD_PERMANENT)))
        return found

    def pin_neighbour(self, index: int, address: Address, mac: bytes) -> None:
        body = _NEIGHBOUR.pack(_family(address), index, _NUD_PERMANENT, 0, 0)
        self._ask(_NEWNEIGH, _CREATE | _REPLACE, body, {_NDA_DST: address.packed, _NDA_LLADDR: mac})

    def remove_neighbour(self, index: int, address: Address) -> None:
        body = _NEIGHBOUR.pack(_family(address), index, 0, 0, 0)
        self._ask(_DELNEIGH, 0, body, {_NDA_DST: address.packed})

    @staticmethod
    def _address_body(index: int, address: Interface) -> bytes:
        scope = _SCOPE_LINK if address.is_link_local and address.version == 6 else 0
        return _ADDRESS.pack(_family(address), address.network.prefixlen, 0, scope, index)

    def _ask(self, kind: int, flags: int, body: bytes, values: Mapping[int, bytes]) -> list[tuple[int, bytes]]:
        body += b"".join(attribute(k, v) for k, v in values.items())
        return self._exchange(kind, _REQUEST | _ACK | flags, body)[0]

    def _dump(self, kind: int, body: bytes) -> list[tuple[int, bytes]]:
        for _attempt in range(_DUMP_ATTEMPTS):
            answer, whole = self._exchange(kind, _REQUEST | _DUMP, body)
            if whole:
                return answer
        # The table changed under each of our readings; what we have is right but perhaps not all.
        return answer

    def _exchange(self, kind: int, flags: int, body: bytes) -> tuple[list[tuple[int, bytes]], bool]:
        """Answers, and whether they are all of one moment."""
        opened = self._open()
        self._sequence = sequence = (self._sequence + 1) & 0xFFFFFFFF
        opened.send(_HEADER.pack(_HEADER.size + len(body), kind, flags, sequence, 0) + body)
        answers: list[tuple[int, bytes]] = []
        whole = True
        while True:
            try:
                data = opened.recv(_RECEIVE_BYTES)
            except TimeoutError:
                self.close()
                raise NetlinkError(errno.ETIMEDOUT, f"The kernel did not answer within {TIMEOUT_S:g} s.") from None
            for answer_kind, answer_flags, answer_sequence, answer in messages(data):
                if answer_sequence != sequence:
                    continue
                whole = whole and not answer_flags & _DUMP_INTERRUPTED
                if answer_kind == _DONE:
                    return answers, whole
                if answer_kind == _ERROR:
                    if refusal := _refusal(answer_flags, answer):
                        raise refusal
                    return answers, whole
                answers.append((answer_kind, answer))

    def _open(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
            self._socket.settimeout(TIMEOUT_S)
            self._socket.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
            self._socket.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
            self._socket.bind((0, 0))
        return self._socket


def _family(address: Address | Interface) -> int:
    return socket.AF_INET if address.version == 4 else socket.AF_INET6
