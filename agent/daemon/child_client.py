"""The daemon's end of a child of the supervisor: keeps the connection, says again what holds, takes what comes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable
from typing import Any

from agent.drivers.message_sockets import messages

_RETRY_S = 0.1  # the supervisor restarts a dead child at once
_MESSAGE_BYTES = 256 << 10
_BURST = 256  # messages taken in one turn of the loop


class ChildClient:
    """Keeps a connection to the child's socket for as long as run() runs. All callbacks come in the daemon's loop.

    `alive_s`: so often the child is told that the daemon lives; None where it does not ask.
    """

    def __init__(
        self, path: str, *, alive_s: float | None = None, connected: Callable[[bool], None] = lambda _: None
    ) -> None:
        self._path = path
        self._alive_s = alive_s
        self._connected = connected
        self._socket: socket.socket | None = None
        self._gone = asyncio.Event()
        self._beat: dict[str, Any] | None = None  # said again to each new child

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            end = self._connect()
            if end is not None:
                await self._serve(end)
            await asyncio.sleep(_RETRY_S)

    def _connect(self) -> socket.socket | None:
        end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        try:
            # A unix socket connects at once or not at all.
            end.connect(self._path)
        except OSError:
            end.close()
            return None
        return end

    async def _serve(self, end: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._socket = end
        self._gone.clear()
        loop.add_reader(end, self._readable, end)
        try:
            self._connected(True)
            if self._beat is not None:
                self._send(self._beat)
            while not self._gone.is_set():
                if self._alive_s is not None:
                    self._send({"op": "alive"})
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._gone.wait(), self._alive_s)
        finally:
            loop.remove_reader(end)
            end.close()
            self._socket = None
            self._connected(False)

    def _say(self, beat: dict[str, Any]) -> None:
        """What holds from now on, whoever the child is."""
        self._beat = beat
        self._send(beat)

    def _send(self, message: dict[str, Any]) -> None:
        if self._socket is None:
            return
        try:
            self._socket.send(json.dumps(message).encode())
        except BlockingIOError:
            self._not_taken()
        except OSError:
            self._gone.set()

    def _not_taken(self) -> None:
        """The child is stopped and about to be replaced: the new one is told from the beginning."""
        self._gone.set()

    def _readable(self, end: socket.socket) -> None:
        for message in messages(end, _BURST, _MESSAGE_BYTES):
            if message is None:
                self._gone.set()
                return
            self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        raise NotImplementedError
