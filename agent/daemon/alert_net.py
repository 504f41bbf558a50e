"""The sockets of the alerts: one on each LAN heartbeat's address (UDP 29003), to every other server over every path."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Mapping, Sequence

from agent.daemon.peers import Path
from agent.wire.alerts import PORT

_DATAGRAM_BYTES = 65535
_BURST = 64  # datagrams taken in one turn of the loop
_SILENT_S = 12.0  # a path that was not heard for so long is not trusted alone
_IPV6_FREEBIND = 78
_IP_FREEBIND = 15


class AlertNet:
    """Sending never waits: what the network does not take is said again by the mind."""

    def __init__(
        self, ways: Mapping[str, Sequence[Path]], own: Sequence[str], receive: Callable[[bytes], str], port: int = PORT
    ) -> None:
        """`own`: addresses of this server. `receive` returns the sender, "" for rubbish."""
        self._ways = ways
        self._own = own
        self._receive = receive
        self._port = port
        self._sockets: dict[str, socket.socket] = {}
        self._heard: dict[str, tuple[str, float]] = {}  # peer -> own address at which it was heard, when
        self.complaints: list[str] = []

    def start(self, given: Mapping[str, socket.socket] | None = None) -> None:
        """An address whose port is taken is left out with a complaint; the others do. `given`: bound already."""
        loop = asyncio.get_running_loop()
        inherited = dict(given or {})
        for address in dict.fromkeys(self._own):
            try:
                sock = self._sockets[address] = (
                    inherited.pop(address) if address in inherited else bind(address, self._port)
                )
            except OSError as error:
                self.complaints.append(f"Alerts cannot use {address} port {self._port} (UDP): {error.strerror}.")
                continue
            loop.add_reader(sock, self._readable, address, sock)
        for sock in inherited.values():
            sock.close()

    def close(self) -> None:
        loop = asyncio.get_running_loop()
        for sock in self._sockets.values():
            loop.remove_reader(sock)
            sock.close()
        self._sockets.clear()

    def send(self, peer: str, data: bytes) -> None:
        """Over the path on which the peer was heard last; over all when it is silent there."""
        address, at = self._heard.get(peer, ("", 0.0))
        sure = time.monotonic() - at < _SILENT_S
        for way in self._ways.get(peer, ()):
            sock = self._sockets.get(way.local)
            if sock is not None and (not sure or way.local == address):
                with contextlib.suppress(OSError):
                    sock.sendto(data, (way.remote, self._port))

    def _readable(self, address: str, sock: socket.socket) -> None:
        for _ in range(_BURST):
            try:
                data = sock.recv(_DATAGRAM_BYTES)
            except OSError:  # Also what an earlier datagram met: nobody listens there.
                return
            peer = self._receive(data)
            if peer:
                self._heard[peer] = (address, time.monotonic())


def bind(address: str, port: int) -> socket.socket:
    """A socket for one address, also while it is absent. OSError when another program has the port."""
    six = ":" in address
    sock = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        if six:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        sock.bind((address, port))
    except OSError:
        sock.close()
        raise
    return sock
