"""Ethernet frames: the kept socket that sends them.

Closing a packet socket waits for the kernel's RCU (16 ms measured), so one is kept instead of one per announcement.
"""

from __future__ import annotations

import socket
import struct

ETHERTYPE_ARP = 0x0806
ETHERTYPE_IPV6 = 0x86DD
BROADCAST = b"\xff" * 6

_ETHERNET = struct.Struct("!6s6sH")


def frame(target: bytes, source: bytes, ethertype: int, payload: bytes) -> bytes:
    """Padded to the shortest length that Ethernet allows."""
    return (_ETHERNET.pack(target, source, ethertype) + payload).ljust(60, b"\0")


def payload_of(data: bytes, ethertype: int) -> bytes | None:
    """What the frame carries when it is of this type."""
    if len(data) < _ETHERNET.size or _ETHERNET.unpack_from(data)[2] != ethertype:
        return None
    return data[_ETHERNET.size :]


def mac_text(mac: bytes) -> str:
    return mac.hex(":")


class FrameSender:
    """Sends on any NIC. Protocol 0: it receives nothing, so nothing piles up in it."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    def send(self, nic: str, data: bytes) -> None:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        self._socket.sendto(data, (nic, 0))

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
