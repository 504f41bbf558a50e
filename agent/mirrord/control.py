"""The control socket of a mirror process: orders come, events go to all who listen. Nothing here waits for anybody."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable
from typing import Any

import msgspec

from agent.drivers.message_sockets import bind
from agent.mirrord.orders import order_of
from agent.mirrord.poller import Poller

VERSION = 1
MESSAGE_BYTES = 64 << 10
MOST_CLIENTS = 32
_ROOM_BYTES = 1 << 20  # of what a client has not read yet
_A_TURN = 32


class Control:
    """`take` gets each order, `state` is asked for who has just come. Who reads too slowly is let go: he comes again
    and finds the state of then."""

    def __init__(
        self,
        poller: Poller,
        path: str,
        mirror: str,
        take: Callable[[Any], None],
        state: Callable[[], dict[str, Any]],
        decode: Callable[[bytes], Any] = order_of,
    ) -> None:
        self._poller, self._path, self._mirror = poller, path, mirror
        self._take, self._state, self._decode = take, state, decode
        self._clients: dict[int, socket.socket] = {}
        self._encoder = msgspec.json.Encoder()
        self._listener = bind(path, socket.SOCK_SEQPACKET)
        self._listener.listen(16)
        poller.watch(self._listener.fileno(), self._accept)

    def _accept(self) -> None:
        try:
            end, _ = self._listener.accept()
        except OSError:
            return
        if len(self._clients) >= MOST_CLIENTS:
            end.close()
            return
        end.setblocking(False)
        with contextlib.suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ROOM_BYTES)
        self._clients[end.fileno()] = end
        self._poller.watch(end.fileno(), lambda: self._hear(end))
        self._send(end, {"type": "hello", "version": VERSION, "pid": os.getpid(), "mirror": self._mirror})
        self._send(end, self._state())

    def _hear(self, end: socket.socket) -> None:
        for _ in range(_A_TURN):
            if end.fileno() not in self._clients:
                return
            try:
                data = end.recv(MESSAGE_BYTES)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._drop(end)
                return
            try:
                order = self._decode(data)
            except ValueError as error:
                self._send(end, {"type": "failed", "id": _id_of(data), "why": f"The order is not understood: {error}."})
                continue
            self._take(order)

    def tell(self, message: dict[str, Any]) -> None:
        """To all."""
        for end in list(self._clients.values()):
            self._send(end, message)

    def _send(self, end: socket.socket, message: dict[str, Any]) -> None:
        try:
            end.send(self._encoder.encode(message), socket.MSG_NOSIGNAL)
        except OSError:
            self._drop(end)

    def _drop(self, end: socket.socket) -> None:
        if self._clients.pop(end.fileno(), None) is not None:
            self._poller.unwatch(end.fileno())
            end.close()

    def close(self) -> None:
        for end in list(self._clients.values()):
            self._drop(end)
        self._poller.unwatch(self._listener.fileno())
        self._listener.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)


def _id_of(data: bytes) -> str:
    """Of an order that is not understood, so that its sender knows which one."""
    try:
        message = msgspec.json.decode(data)
    except ValueError:
        return ""
    name = message.get("id", "") if isinstance(message, dict) else ""
    return name if isinstance(name, str) else ""
