"""Speaking with a mirror process: a connection that stays, for its words; one for each order, for its answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import msgspec

from agent.daemon.child_client import ChildClient
from agent.wire.mirror import MirrorState

ANSWER_S = 10.0  # for what a mirror process does at once
_STATE_S = 2.0
_MESSAGE_BYTES = 256 << 10
_UCRED = struct.Struct("3i")

Message = dict[str, Any]


class MirrorGoneError(Exception):
    """The mirror process does not answer: it has ended, or is being started anew."""


class MirrorClient(ChildClient):
    """`said` takes whatever it says; what holds of the view is told again to each new process."""

    def __init__(self, path: str, said: Callable[[Message], None], connected: Callable[[bool], None]) -> None:
        super().__init__(path, connected=connected)
        self._said = said

    @property
    def is_connected(self) -> bool:
        return self._socket is not None

    def view(self, permitted: list[int] | None, since: list[int], until: float) -> None:
        self._say({"op": "view", "permitted": permitted, "since": since, "until": until})

    def send(self, message: Message) -> None:
        self._send(message)

    def _take(self, message: Message) -> None:
        self._said(message)


class Conversation:
    """Orders on a connection of their own. What the mirror tells everybody comes here too."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, path: str) -> AsyncIterator[Conversation]:
        """MirrorGoneError: nobody listens."""
        end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        try:
            try:
                end.connect(path)
            except BlockingIOError:
                raise TimeoutError(f"{path} is asked too much") from None  # It lives, and does not listen now.
            except OSError as error:
                raise MirrorGoneError(error.strerror or str(error)) from error
            yield cls(end)
        finally:
            end.close()

    def send(self, message: Message) -> None:
        try:
            self._end.send(json.dumps(message).encode(), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError as error:
            raise MirrorGoneError(error.strerror or str(error)) from error

    async def next(self) -> Message:
        try:
            data = await asyncio.get_running_loop().sock_recv(self._end, _MESSAGE_BYTES)
            message = json.loads(data) if data else None
        except (OSError, ValueError) as error:
            raise MirrorGoneError(str(error)) from error
        if not isinstance(message, dict):
            raise MirrorGoneError("the connection was closed")
        return message

    async def answer(self, key: str) -> Message:
        """To the order of this id: activated, deactivated, refused, done or failed."""
        while True:
            message = await self.next()
            if message.get("id") == key:
                return message


async def order(path: str, op: str, limit_s: float = ANSWER_S, **fields: Any) -> Message:
    """One order and its answer. MirrorGoneError, TimeoutError."""
    key = uuid4().hex
    async with asyncio.timeout(limit_s), Conversation.open(path) as talk:
        talk.send({"op": op, "id": key, **fields})
        return await talk.answer(key)


async def look(path: str, limit_s: float = _STATE_S) -> MirrorState | None:
    """Its state, None when it does not answer."""
    with contextlib.suppress(MirrorGoneError, TimeoutError):
        async with asyncio.timeout(limit_s), Conversation.open(path) as talk:
            while True:
                if (state := state_of(await talk.next())) is not None:
                    return state
    return None


def listener_of(path: str) -> int:
    """Number of the process that listens there, 0 for none."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK) as end:
        try:
            end.connect(path)
        except OSError:
            return 0
        pid, _, _ = _UCRED.unpack(end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return int(pid)


def state_of(message: Message) -> MirrorState | None:
    """None: it is another message, or none that we understand."""
    if message.get("type") != "state":
        return None
    with contextlib.suppress(msgspec.ValidationError):
        return msgspec.convert(message, MirrorState, strict=False)
    return None
