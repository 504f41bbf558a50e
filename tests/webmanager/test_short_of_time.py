"""A manager that got no processor for a while takes nobody for silent who was only not heard by it."""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from tests.webmanager import stack
from tests.webmanager.stack import report
from tests.webmanager.test_reducer import frame, reducer
from webmanager import consumers, memory
from webmanager.consumers import AgentConsumer
from webmanager.hub import Ears
from webmanager.sockets import WebSocket


def test_ears_know_how_long_they_have_not_listened():
    ears = Ears()
    assert ears.deaf_s(100.0) == 0.0
    ears.tick(100.0)
    assert ears.deaf_s(101.1) == 0.0
    assert ears.deaf_s(111.25) == 10.0  # before the late tick has come
    ears.tick(111.25)
    assert ears.deaf_s(111.25) == 10.0
    for second in range(1, 10):  # Time in which the sockets are read.
        ears.tick(111.25 + second)
    assert ears.deaf_s(120.25) == 1.0
    ears.tick(121.25)
    assert ears.deaf_s(121.25) == 0.0


def test_servers_are_not_silent_while_nobody_listened():
    r = reducer("server1")
    r.feed("server1", frame("snapshot", 1, *(report(server) for server in stack.SERVERS)), 1)
    r.refresh(1)
    r.deaf_s = 60.0
    assert not r.turned_stale(60)
    assert r.refresh(60) == []
    r.deaf_s = 0.0
    assert r.turned_stale(60)


class Clock:
    """The loop of a connection: its time, and the timers that it was asked for."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, call: Callable[[], None]) -> None:
        self.timers.append((self.now + delay, call))

    def pass_to_next(self) -> None:
        self.now, call = self.timers.pop(0)
        call()


class Pipe(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    def write(self, data: Any) -> None:
        pass

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


@pytest.fixture
async def connection() -> WebSocket:
    """That has just been pinged."""
    config = uvicorn.Config("none:none", interface="asgi3", ws_ping_interval=5, ws_ping_timeout=10)
    config.loaded, config.loaded_app = True, None
    made = WebSocket(config, ServerState(), {}, Clock())  # type: ignore[arg-type]
    made.transport = Pipe()
    made.conn.state = made.conn.state.OPEN
    made.send_keepalive_ping()
    return made


def test_who_says_nothing_at_all_is_given_up_after_a_second_look(connection: WebSocket):
    connection.loop.pass_to_next()
    assert not connection.transport.is_closing()
    connection.loop.pass_to_next()
    assert connection.transport.is_closing()


def test_who_speaks_is_kept_without_a_pong(connection: WebSocket):
    connection.loop.now += 3
    connection.data_received(b"")
    connection.loop.pass_to_next()
    connection.loop.pass_to_next()  # the next ping
    assert not connection.transport.is_closing()


def test_who_is_not_being_read_is_kept(connection: WebSocket):
    connection.read_paused = True
    connection.loop.pass_to_next()
    connection.loop.pass_to_next()
    assert not connection.transport.is_closing()


async def test_a_slow_database_is_no_late_hello(monkeypatch: pytest.MonkeyPatch):
    one = AgentConsumer()
    one.agent = None
    asked: list[str] = []
    one._deadline = asyncio.get_running_loop().call_later(3600, asked.append, "too late")

    def begins(text: str) -> Any:
        asked.append("cancelled" if one._deadline and one._deadline.cancelled() else "still due")
        raise consumers.frames.FrameError("enough")

    monkeypatch.setattr(consumers.frames, "decode", begins)
    with pytest.raises(consumers.frames.FrameError):
        await one._hello("{}")
    assert asked == ["cancelled"]


def test_what_was_freed_is_given_back():
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.free.argtypes = [ctypes.c_void_p]
    pieces = [libc.malloc(60_000) for _ in range(400)]
    top = libc.malloc(60_000)  # stays: below it nothing goes back by itself
    for piece in pieces:
        libc.free(piece)
    try:
        assert memory.idle_bytes() > 20_000_000
        assert memory.give_back()
    finally:
        libc.free(ctypes.c_void_p(top))
