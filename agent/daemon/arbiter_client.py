"""The daemon's end of the arbiter child: hands questions on, turns what comes back into events of the engine."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from typing import Any

from agent.engine.effects import AskArbiter
from agent.engine.events import ArbiterAnswer, Event, ResolverState
from agent.wire.epoch import Epoch
from agent.wire.peer import Ballot

_RETRY_S = 0.1  # the supervisor restarts a dead child at once
_MESSAGE_BYTES = 256 << 10
_BURST = 256  # messages taken in one turn of the loop


class ArbiterClient:
    """Keeps a connection to `arbiter.sock` for as long as run() runs. All callbacks come in the daemon's loop.

    A new child is told again what the old one was; a question that it takes with it is the engine's to repeat.
    """

    def __init__(self, path: str, *, event: Callable[[Event], None]) -> None:
        self._path = path
        self._event = event
        self._socket: socket.socket | None = None
        self._gone = asyncio.Event()
        self._beat: dict[str, Any] | None = None
        self._told: dict[str, ResolverState] = {}

    def beat(self, service: str) -> None:
        """What the beats to the arbiters say from now on."""
        beat = {"op": "beat", "service": service}
        if beat != self._beat:
            self._beat = beat
            self._send(beat)

    def ask(self, effect: AskArbiter) -> None:
        message = {
            "op": "ask", "name": effect.name, "epoch": list(effect.epoch), "members": list(effect.members),
            "voters": list(effect.voters), "in_force": list(effect.in_force),
        }  # fmt: skip
        self._send(message)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            if self._connect():
                await self._serve()
            await asyncio.sleep(_RETRY_S)

    def _connect(self) -> bool:
        end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        try:
            # A unix socket connects at once or not at all.
            end.connect(self._path)
        except OSError:
            end.close()
            return False
        self._socket = end
        self._gone.clear()
        return True

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        end = self._socket
        assert end is not None
        loop.add_reader(end, self._readable)
        try:
            if self._beat is not None:
                self._send(self._beat)
            await self._gone.wait()
        finally:
            loop.remove_reader(end)
            end.close()
            self._socket = None

    def _send(self, message: dict[str, Any]) -> None:
        if self._socket is None:
            return
        try:
            self._socket.send(json.dumps(message).encode())
        except OSError:
            # Gone, or stopped and about to be replaced: the new one is told from the beginning.
            self._gone.set()

    def _readable(self) -> None:
        for _ in range(_BURST):
            try:
                data = self._socket.recv(_MESSAGE_BYTES) if self._socket else b""
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._gone.set()
                return
            self._take(json.loads(data))

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "state":
            state = ResolverState(name=message["name"], ok=message["ok"], detail=message["detail"])
            old = self._told.get(state.name)
            self._told[state.name] = state
            if old is None or old.ok != state.ok:
                self._event(state)
        elif message["type"] == "answer":
            self._event(to_event(message))


def to_event(message: dict[str, Any]) -> ArbiterAnswer:
    ballots = tuple(Ballot(Epoch(*epoch), tuple(voters)) for epoch, voters in message["before"]["open"])
    return ArbiterAnswer(
        name=message["name"], epoch=Epoch(*message["epoch"]), granted=message["granted"],
        promised=Epoch(*message["promised"]), ballots=ballots, heard_s=message["heard_s"], detail=message["detail"],
    )  # fmt: skip
