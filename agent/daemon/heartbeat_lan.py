"""One LAN path of the heartbeat child: its socket, true receive times and own hardware address; nothing waits here."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping

PACKETS_A_TURN = 512  # a flood must not keep us from judging and beating
REOPEN_S = 1.0

_SO_TIMESTAMPNS = 35  # Not named by the socket module; the same number on x86-64 and arm64.
_IP_FREEBIND = 15
_IPV6_FREEBIND = 78
_SIOCGIFHWADDR = 0x8927
_ARPHRD_ETHER = 1
_CS6 = 0xC0  # network control: switches that know classes serve it first
_PRIORITY = 6  # the highest that needs no privilege
_RECEIVE_BYTES = 256 << 10
_PACKET_BYTES = 2048
_STAMP = struct.Struct("@ll")
_ANCILLARY_BYTES = socket.CMSG_SPACE(_STAMP.size)
# Errors after which the same socket serves again as soon as the LAN does.
_PASSING = frozenset(
    (
        errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTUNREACH,
        errno.EHOSTDOWN, errno.EPERM, errno.EACCES, errno.ECONNREFUSED, errno.EINTR, errno.EMSGSIZE,
    )
)  # fmt: skip


def steady() -> float:
    """CLOCK_BOOTTIME: never set, and it counts what the machine slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class ReceiveClock:
    """Turns the kernel's receive times (wall clock) into steady times.

    The wall clock may be set while packets wait. Then their times mean nothing, and `now` is taken instead: too late
    is safe for the lease of the sender, too early is not. A time is never before the drain that did not find it.
    """

    def __init__(self, wall: Callable[[], float] = time.time, boot: Callable[[], float] = steady) -> None:
        self._wall = wall
        self._boot = boot
        self.now = boot()
        self._offset = wall() - self.now
        self._oldest = self.now
        self._jumped = False

    def begin(self) -> float:
        """Just before all sockets are drained."""
        self._oldest = self.now
        for _ in range(3):  # Preempted between the two clocks, we would believe in a jump.
            before = self._boot()
            wall = self._wall()
            self.now = self._boot()
            if self.now - before < 0.001:
                break
        offset = wall - self.now
        # NTP slews by at most 0.05 %.
        self._jumped = abs(offset - self._offset) > 0.002 + 0.001 * (self.now - self._oldest)
        self._offset = offset
        return self.now

    def steady(self, stamp_s: float | None) -> float:
        if stamp_s is None or self._jumped:
            return self.now
        return min(max(stamp_s - self._offset, self._oldest), self.now)


class LanPath:
    """Our end of one heartbeat resource. `failing` is the reason why it cannot send now, "" when it can."""

    def __init__(
        self,
        index: int,
        name: str,
        own: str,
        peers: Mapping[int, str],
        port: int,
        closing: Callable[[socket.socket], None],
    ) -> None:
        """`closing` is told of each socket before it is closed."""
        self.index = index
        self.name = name
        self.own = own
        self.senders = {canonical(address): server for server, address in peers.items()}
        self.hardware_of: dict[int, bytes] = {}  # of the peers, as their packets told
        self.hardware = bytes(6)
        self.socket: socket.socket | None = None
        self.failing = "not opened yet"
        self._port = port
        self._closing = closing
        self._peers = dict(peers)
        self._targets: dict[int, tuple[object, ...]] = {}
        self._retry_at = 0.0

    def open(self, now: float) -> bool:
        """Try again, at most once a second. True: there is a new socket."""
        if self.socket is not None or now < self._retry_at:
            return False
        self._retry_at = now + REOPEN_S
        try:
            family, own = _resolve(self.own, self._port)
            scope = f"%{own[3]}" if len(own) > 3 and own[3] else ""
            self._targets = {peer: _resolve(ip + scope, self._port)[1] for peer, ip in self._peers.items()}
            self.socket = _bound(family, own)
        except OSError as error:
            self.failing = self._why_not_bound(error)
            return False
        self.failing = ""
        self.hardware = own_hardware(self.own)
        return True

    def send(self, data: bytes) -> None:
        """One packet to each peer. What does not go out is not kept: the next beat says it better."""
        if self.socket is None:
            return
        failing = ""
        for target in self._targets.values():
            try:
                self.socket.sendto(data, socket.MSG_DONTWAIT, target)
            except OSError as error:
                failing = f"cannot send from {self.own}: {error.strerror}"
                if error.errno not in _PASSING:
                    self.close()
                    self.failing = failing
                    return
        if self.failing and not failing:
            self.hardware = own_hardware(self.own)  # The device came back, perhaps it is another one.
        self.failing = failing

    def drain(self, clock: ReceiveClock) -> Iterator[tuple[str, bytes, float]]:
        """(source address, data, steady receive time) of all that waits."""
        assert self.socket is not None
        for _ in range(PACKETS_A_TURN):
            try:
                data, ancillary, _, source = self.socket.recvmsg(_PACKET_BYTES, _ANCILLARY_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno not in _PASSING:
                    self.close()
                    self.failing = f"cannot receive at {self.own}: {error.strerror}"
                return
            stamp = None
            for level, kind, value in ancillary:
                if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(value) == _STAMP.size:
                    seconds, nanoseconds = _STAMP.unpack(value)
                    stamp = seconds + nanoseconds * 1e-9
            yield source[0].split("%")[0], data, clock.steady(stamp)

    def close(self) -> None:
        if self.socket is not None:
            self._closing(self.socket)
            self.socket.close()
            self.socket = None

    def _why_not_bound(self, error: OSError) -> str:
        if error.errno == errno.EADDRINUSE:
            return (
                f"UDP port {self._port} of {self.own} is taken by another process, perhaps a second agent: "
                f"see ss -ulpn sport = :{self._port}"
            )
        return f"cannot use the address {self.own}: {error.strerror or error}"


def canonical(address: str) -> str:
    """The one spelling in which the kernel reports it, without scope."""
    plain = address.split("%")[0]
    family = socket.AF_INET6 if ":" in plain else socket.AF_INET
    return socket.inet_ntop(family, socket.inet_pton(family, plain))


def own_hardware(address: str) -> bytes:
    """Hardware address of the device that carries our address, zeros when that is not certain.

    From /proc and the one ioctl that does not wait for the lock that a take-over of addresses holds; netlink does.
    Not from /sys: it shows the network namespace that mounted it, which may be another one.
    """
    try:
        device = _device_v6(address) if ":" in address else _device_v4(address)
        request = struct.pack("@16sH14x8x", device.encode(), 0)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
            kind, hardware = struct.unpack_from("@16xH6s", fcntl.ioctl(end, _SIOCGIFHWADDR, request))
    except (OSError, ValueError):
        return bytes(6)
    return bytes(hardware) if kind == _ARPHRD_ETHER else bytes(6)


def _device_v4(address: str) -> str:
    """The device of the most narrow connected route around the address; two of them raise ValueError."""
    own = struct.unpack("=I", socket.inet_aton(address))[0]
    found: dict[str, int] = {}
    with open("/proc/net/route", encoding="ascii") as file:
        for line in file.readlines()[1:]:
            device, target, gateway, *_, mask = line.split()[:8]
            if gateway == "00000000" and mask != "00000000" and own & int(mask, 16) == int(target, 16):
                found[device] = max(found.get(device, 0), int(mask, 16).bit_count())
    narrowest = [device for device, bits in found.items() if bits == max(found.values())]
    if len(narrowest) != 1:
        raise ValueError(f"{len(narrowest)} devices may carry {address}")
    return narrowest[0]


def _device_v6(address: str) -> str:
    wanted = socket.inet_pton(socket.AF_INET6, address.split("%")[0]).hex()
    with open("/proc/net/if_inet6", encoding="ascii") as file:
        devices = [line.split()[5] for line in file if line.startswith(wanted)]
    if "%" in address:
        devices = [device for device in devices if device == address.split("%")[1]]
    if len(devices) != 1:
        raise ValueError(f"{len(devices)} devices carry {address}")
    return devices[0]


def _resolve(address: str, port: int) -> tuple[int, tuple[object, ...]]:
    try:
        found = socket.getaddrinfo(address.encode(), port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror as error:
        raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL)) from error
    return found[0][0], found[0][4]


def _bound(family: int, own: tuple[object, ...]) -> socket.socket:
    end = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        # Bound although the address may be missing now: when it comes back, the same socket serves again.
        if family == socket.AF_INET6:
            end.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            end.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
            end.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, _CS6)
        else:
            end.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
            end.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, _CS6)
        end.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, _PRIORITY)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
        end.bind(own)
    except OSError:
        end.close()
        raise
    return end
