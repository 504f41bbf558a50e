"""Two links in one loop, and what each of them says to its engine."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from agent.mirrord.link import Link
from agent.mirrord.poller import Poller
from agent.mirrord.sealing import Frame
from agent.mirrord.settings import Connect, Settings
from tests.agent.waiting import PATIENCE_S

KEY = "5a" * 32
_NETS = itertools.count(1)  # each test has loopback addresses of its own


def settings_of(server: str, connects: tuple[Connect, ...], port: int, **more: Any) -> Settings:
    peer = {"server1": "server2", "server2": "server1"}[server]
    base = {"mirror": "md1", "cluster": "demo", "key": KEY, "data": "", "partition": "", "run": "/run", "boot": "b"}
    return Settings(**{**base, "server": server, "peer": peer, "connects": connects, "port": port, **more})


def connects_of(places: list[tuple[str, str]]) -> tuple[Connect, ...]:
    """Own and other address of each, best first."""
    return tuple(Connect(name=f"mdc{n}", own=own, peer=peer, priority=n) for n, (own, peer) in enumerate(places, 1))


class Recorder:
    """An engine that only remembers. `events`: ("up", mine, theirs), ("down", why)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.hellos = 0
        self.events: list[tuple[Any, ...]] = []
        self.frames: list[tuple[Any, ...]] = []
        self.notes: list[tuple[str, str]] = []
        self.is_up = False
        self.on_frame: Callable[[Frame], None] | None = None

    def hello(self) -> bytes:
        self.hellos += 1
        return f"{self.name} {self.hellos}".encode()

    def up(self, mine: bytes, theirs: bytes) -> None:
        assert not self.is_up, "up without down before"
        self.is_up = True
        self.events.append(("up", mine.decode(), theirs.decode()))

    def down(self, why: str) -> None:
        assert self.is_up, "down without up before"
        assert why
        self.is_up = False
        self.events.append(("down", why))

    def frame(self, frame: Frame) -> None:
        assert self.is_up, "a frame without a connection"
        self.frames.append((frame.kind, frame.seq, frame.epoch, frame.offset, bytes(frame.payload), frame.spare))
        if self.on_frame:
            self.on_frame(frame)

    def note(self, severity: str, text: str) -> None:
        assert severity in ("info", "warning", "error")
        self.notes.append((severity, text))

    @property
    def downs(self) -> list[str]:
        return [event[1] for event in self.events if event[0] == "down"]

    @property
    def ups(self) -> int:
        return sum(event[0] == "up" for event in self.events)


class Ends:
    """`one` (server1, which calls) and `other` (server2), with `paths` mirror connects. Each has a loop of its own, so
    that either can be asleep. `relayed`: what stands between the ends of each path."""

    def __init__(self, paths: int = 1, *, relayed: bool = False, steady_s: float = 10.0, **more: Any) -> None:
        self.pollers = Poller(threads=0), Poller(threads=0)
        self.port = free_port()
        self.relays: list[Relay] = []
        nets = [f"127.{os.getpid() % 250 + 1}.{next(_NETS) % 250 + 1}" for _ in range(paths)]
        there = [(f"{net}.1", f"{net}.3" if relayed else f"{net}.2") for net in nets]
        back = [(f"{net}.2", f"{net}.1") for net in nets]
        if places := more.pop("places", None):
            there, back = places, [(peer, own) for own, peer in places]
        if relayed:
            for net in nets:
                self.relays.append(Relay(self.pollers[1], (f"{net}.3", self.port), (f"{net}.2", self.port), f"{net}.1"))
        own = more.pop("own", {}), more.pop("others", {})
        self.settings = (
            settings_of("server1", connects_of(there), self.port, **{**more, **own[0]}),
            settings_of("server2", connects_of(back), self.port, **{**more, **own[1]}),
        )
        self.recorders = Recorder("server1"), Recorder("server2")
        self.one, self.other = (
            Link(poller, mine, hello=r.hello, up=r.up, down=r.down, frame=r.frame, note=r.note, steady_s=steady_s)
            for poller, mine, r in zip(self.pollers, self.settings, self.recorders, strict=True)
        )
        self.links = self.one, self.other

    def start(self) -> Ends:
        self.other.start()
        self.one.start()
        return self

    def until(self, claim: Callable[[], Any], *, asleep: int | None = None) -> None:
        """`asleep`: the number of an end that does nothing meanwhile."""
        awake = [poller for number, poller in enumerate(self.pollers) if number != asleep]
        deadline = time.monotonic() + PATIENCE_S
        while not claim():
            said = [(r.events, r.notes) for r in self.recorders]
            assert time.monotonic() < deadline, f"{claim} was not true within {PATIENCE_S:g} s: {said}"
            for poller in awake:
                poller.turn(0.002)

    def until_up(self) -> Ends:
        self.until(lambda: self.one.connected and self.other.connected)
        return self

    def until_used(self, name: str) -> None:
        self.until(lambda: all(link.figures()["path"] == name for link in self.links))

    def until_ready(self) -> None:
        """All paths."""
        self.until(lambda: all(path["state"] != "lost" for link in self.links for path in link.figures()["paths"]))

    def close(self) -> None:
        for link in self.links:
            link.stop()
        for relay in self.relays:
            relay.close()
        for poller in self.pollers:
            poller.close()


def free_port() -> int:
    """Nobody listens there on any address of this machine at the moment."""
    with socket.socket() as end:
        end.bind(("0.0.0.0", 0))
        return int(end.getsockname()[1])


class Relay:
    """Stands between: `server1` calls it at `near`, it calls server2 from the address of server1. It can keep silent in
    either direction, change what passes, and remembers it."""

    def __init__(self, poller: Poller, near: tuple[str, int], far: tuple[str, int], own: str) -> None:
        self.poller, self._far, self._own = poller, far, own
        self.passes = {"there": True, "back": True}
        self.change: Callable[[str, bytes], bytes] = lambda way, data: data
        self.seen: list[tuple[str, bytes]] = []
        self.open = True
        self._door = socket.create_server(near)
        self._door.setblocking(False)
        self._ends: list[socket.socket] = []
        poller.watch(self._door.fileno(), self._called)

    def _called(self) -> None:
        near, _ = self._door.accept()
        far = socket.socket()
        far.bind((self._own, 0))
        far.connect(self._far)
        for way, one, other in (("there", near, far), ("back", far, near)):
            one.setblocking(False)
            self._ends.append(one)
            self.poller.watch(one.fileno(), partial(self._move, way, one, other))

    def _move(self, way: str, one: socket.socket, other: socket.socket) -> None:
        if not self.passes[way]:
            self.poller.unwatch(one.fileno())  # As a network that has swallowed it: not even an end comes through.
            return
        try:
            data = one.recv(1 << 20)
        except OSError:
            data = b""
        if not data:
            self.poller.unwatch(one.fileno())
            with contextlib.suppress(OSError):
                other.shutdown(socket.SHUT_WR)
            return
        self.seen.append((way, data))
        other.setblocking(True)
        with contextlib.suppress(OSError):
            other.sendall(self.change(way, data))
        other.setblocking(False)

    def cut(self, *ways: str) -> None:
        for way in ways or ("there", "back"):
            self.passes[way] = False

    def heal(self) -> None:
        """For new connections; those that were cut stay silent, as their packets were lost."""
        self.passes = {"there": True, "back": True}

    def close(self) -> None:
        self.poller.unwatch(self._door.fileno())
        self._door.close()
        for end in self._ends:
            self.poller.unwatch(end.fileno())
            end.close()


Make = Callable[..., Ends]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Ends] = []

    def make(*args: Any, **more: Any) -> Ends:
        made.append(Ends(*args, **more))
        return made[-1].start()

    yield make
    for ends in made:
        ends.close()
