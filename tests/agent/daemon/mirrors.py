"""A mirror process that a test plays: it speaks the control protocol, and says what the test wants it to say."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.daemon.mirror import Mirror, Standing
from agent.drivers.message_sockets import listen, messages
from agent.mirrord.settings import Settings
from agent.wire.epoch import Epoch
from agent.wire.mirror import MirrorState

EPOCH = Epoch(7, 1 << 40 | 3)
SINCE = Epoch(4, 0)
TOGETHER = Standing(epoch=Epoch(7, 1), since=SINCE, peer_is_here=True, held=EPOCH)
ALONE = Standing(epoch=Epoch(8, 1), since=SINCE, peer_is_gone=True, held=EPOCH)


class StandInMirror:
    """`answers`: op -> what it says to an order of it; None: nothing."""

    def __init__(self, path: str) -> None:
        self.state = MirrorState(server="server1", peer="server2", color="GREEN", relation="equal", constructed=True,
                                 size=1 << 20)  # fmt: skip
        self.orders: list[dict[str, Any]] = []
        self.answers: dict[str, Callable[[dict[str, Any]], dict[str, Any] | None]] = {
            "activate": lambda _: self.active(), "deactivate": lambda _: self.inactive(),
            "construct": lambda _: self.constructed(),
        }  # fmt: skip
        self._path = path
        self._listener: socket.socket | None = None
        self._ends: list[socket.socket] = []

    def up(self) -> None:
        self._listener = listen(self._path)
        asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def down(self) -> None:
        """As when it is killed."""
        loop = asyncio.get_running_loop()
        for end in (*self._ends, *([self._listener] if self._listener else [])):
            loop.remove_reader(end)
            end.close()
        self._ends.clear()
        self._listener = None

    def _accept(self) -> None:
        assert self._listener is not None
        end, _ = self._listener.accept()
        end.setblocking(False)
        self._ends.append(end)
        asyncio.get_running_loop().add_reader(end, self._hear, end)
        self._tell(end, {"type": "hello", "version": 1, "pid": os.getpid(), "mirror": "md1"})
        self._tell(end, self._said())

    def _hear(self, end: socket.socket) -> None:
        for order in messages(end):
            if order is None:
                asyncio.get_running_loop().remove_reader(end)
                self._ends.remove(end)
                end.close()
                return
            self.orders.append(order)
            answer = self.answers.get(order["op"], lambda _: {"type": "done"})(order)
            if answer is not None:
                self.say({**answer, "id": order.get("id", "")})

    def _said(self) -> dict[str, Any]:
        return {"type": "state", **msgspec.to_builtins(self.state)}

    def _tell(self, end: socket.socket, message: dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):  # It asked one thing, and has gone.
            end.send(json.dumps(message).encode())

    def say(self, message: dict[str, Any]) -> None:
        for end in list(self._ends):
            self._tell(end, message)

    def now(self, **changes: Any) -> None:
        self.state = msgspec.structs.replace(self.state, **changes)
        self.say(self._said())

    def active(self) -> dict[str, Any]:
        self.now(active=True, mode="mirrored")
        return {"type": "activated"}

    def inactive(self) -> dict[str, Any]:
        self.now(active=False, mode="off")
        return {"type": "deactivated"}

    def constructed(self) -> dict[str, Any]:
        self.now(constructed=True, relation="equal")
        return {"type": "done"}

    def of(self, op: str) -> list[dict[str, Any]]:
        return [order for order in self.orders if order["op"] == op]


class StandInHolder:
    def __init__(self) -> None:
        self.did: list[str] = []

    def start(self, size: int) -> None:
        self.did.append("start")

    def attach(self) -> str:
        self.did.append("attach")
        return "/dev/loop7"

    def detach(self, *, lazy: bool = False) -> None:
        self.did.append("detach lazily" if lazy else "detach")

    def abort(self) -> None:
        self.did.append("abort")

    def end(self) -> None:
        self.did.append("end")


def settings(run: Path, name: str = "md1") -> Settings:
    return Settings(mirror=name, cluster="c", server="server1", peer="server2", key="00", data="/d", partition="/p",
                    run=str(run), boot="b")  # fmt: skip


class Bench:
    """One mirror of the daemon, its process and its device."""

    def __init__(self, root: Path) -> None:
        self.notes: list[tuple[Any, ...]] = []
        self.said: list[dict[str, Any]] = []
        self.holder = StandInHolder()
        settled = settings(root)
        self.process = StandInMirror(settled.control)
        self.mirror = Mirror(
            settled, root, self.holder, said=lambda _, message: self.said.append(message),
            note=lambda *words: self.notes.append(words),
        )  # fmt: skip

    def noted(self, number: int) -> list[tuple[Any, ...]]:
        return [note for note in self.notes if note[0] == number]

    async def connected(self) -> None:
        await self.until(lambda: self.mirror.state is not None)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.005)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    found = Bench(tmp_path)
    found.process.up()
    client = asyncio.ensure_future(found.mirror.client.run())
    await found.connected()
    yield found
    client.cancel()
    await asyncio.gather(client, return_exceptions=True)
    found.process.down()
