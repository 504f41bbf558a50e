"""Two real mirror processes on addresses of the loopback, files as disks, FUSE and loop device: needs root.

`Mirror` plays the agents of both servers: it carries the questions, orders and attaches as they would.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from agent.mirrord.holder import Holder, cleanup
from agent.mirrord.settings import Connect, Settings

LIMIT_S = 30.0
_ROOT = Path(__file__).parents[3]


class Server:
    def __init__(self, mirror: Mirror, name: str, peer: str, size: int, **changes: Any) -> None:
        self.mirror, self.name = mirror, name
        self.directory = mirror.directory / name
        self.directory.mkdir()
        self.data, partition = self.directory / "data", self.directory / "cluster"
        for path, length in ((self.data, size), (partition, 1 << 20)):
            with open(path, "wb") as file:
                file.truncate(length)
        own, other = mirror.address(name), mirror.address(peer)
        self.settings = Settings(
            mirror="md1", cluster="test", server=name, peer=peer, key="5a" * 32, data=str(self.data),
            partition=str(partition), run=str(self.directory), boot="boot1",
            connects=(Connect(name="mdc1", own=own, peer=other),), **changes,
        )  # fmt: skip
        self.file = self.directory / "md1.json"
        self.holder = Holder(self.settings)
        self.process: subprocess.Popen[bytes] | None = None
        self.control: socket.socket | None = None
        self.events: list[dict[str, Any]] = []
        self.state: dict[str, Any] = {}
        self.ids = 0
        self.since = 1

    # ---- the process ----
    def start(self, **changes: Any) -> None:
        self.settings = msgspec.structs.replace(self.settings, **changes)
        self.file.write_bytes(msgspec.json.encode(self.settings))
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(
                [
                    *self.mirror.within(self.name), sys.executable, *self.mirror.options, "-m", "agent.mirrord.main",
                    str(self.file),
                ],
                cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.control = None

    def connect(self) -> bool:
        if self.control is not None:
            return True
        if self.process is None:
            return False
        end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        try:
            end.connect(self.settings.control)
        except OSError:
            end.close()
            return False
        self.control = end
        self.mirror.view(self)
        return True

    def end(self, number: int = signal.SIGKILL) -> None:
        if self.process is not None:
            os.kill(self.process.pid, signal.SIGCONT)
            self.process.send_signal(number)
            self.process.wait(LIMIT_S)
            self.process = None
        if self.control is not None:
            self.control.close()
            self.control = None
        self.state = {}

    def pause(self, on: bool) -> None:
        os.kill(self.process.pid, signal.SIGSTOP if on else signal.SIGCONT)

    # ---- orders ----
    def order(self, op: str, **fields: Any) -> str:
        self.ids += 1
        name = f"{op}{self.ids}"
        self.control.send(json.dumps({"op": op, "id": name, **fields}).encode())
        return name

    def read(self) -> None:
        while self.control is not None:
            try:
                data = self.control.recv(1 << 16)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self.control.close()
                self.control = None
                return
            event = json.loads(data)
            if event["type"] == "state":
                self.state = event
            else:
                self.events.append(event)
                self.mirror.heard(self, event)

    def told(self, kind: str, name: str = "") -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind and event.get("id", "") == name]

    # ---- the device ----
    def attach(self) -> str:
        self.holder.start(self.state["size"])
        self.mirror.until(lambda: (held := self.holder.held()) is not None and held.owner)
        return self.holder.attach()

    def take_away(self) -> None:
        """However it stands."""
        if self.holder.held() is not None:
            self.holder.abort()
            self.holder.detach(lazy=True)
            self.holder.end()
        cleanup(self.settings)

    def image(self) -> bytes:
        return self.data.read_bytes()

    def log(self) -> str:
        return (self.directory / "log").read_text()


class Mirror:
    def __init__(self, directory: Path, size: int, options: tuple[str, ...] = (), **changes: Any) -> None:
        self.directory = directory
        self.options = options
        self._net = 16 + os.getpid() % 200, os.getpid() // 200 % 250
        self.epoch = 1
        self.holding: Server | None = None
        self.cut = False  # the cluster carries nothing
        self.a = Server(self, "a", "b", size, **changes)
        self.b = Server(self, "b", "a", size, **changes)

    def address(self, name: str) -> str:
        return f"127.{self._net[0]}.{self._net[1]}.{1 if name == 'a' else 2}"

    def within(self, name: str) -> tuple[str, ...]:
        """What the command of a server's process begins with; of benches that give each a network of its own."""
        return ()

    def heard(self, server: Server, event: dict[str, Any]) -> None:
        other = self.b if server is self.a else self.a
        if self.cut or other.control is None:
            return
        if event["type"] == "ask_outdated":
            other.order("outdate", generation=event["generation"], epoch=event["epoch"])
        elif event["type"] == "told":
            other.order("outdated", generation=event["generation"])

    def view(self, server: Server, permitted: tuple[int, int] | None = None, since: int = 0) -> None:
        server.since = since or server.since
        server.order("view", permitted=permitted, since=(server.since, 0))

    def turn(self, wait_s: float = 0.02) -> None:
        ends = []
        for server in (self.a, self.b):
            if server.process is not None and server.connect() and server.control is not None:
                ends.append(server.control)
        select.select(ends, [], [], wait_s)
        for server in (self.a, self.b):
            server.read()

    def until(self, condition: Callable[[], Any], limit_s: float = LIMIT_S) -> None:
        deadline = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < deadline, self.story()
            self.turn()

    def story(self) -> str:
        return "\n".join(f"{one.name}: {one.state}\n{one.log()[-3000:]}" for one in (self.a, self.b))

    # ---- what the agents do ----
    def start(self) -> None:
        self.a.start()
        self.b.start()
        self.until(lambda: self.a.state and self.b.state)

    def equal(self) -> bool:
        return all(server.state.get("in_sync") for server in (self.a, self.b))

    def construct(self, *, full: bool = False) -> None:
        name = self.a.order("construct", full=full)
        self.until(lambda: self.a.told("done", name))
        self.until(self.equal)

    def activate(self, server: Server, *, again: bool = False, alone: bool = False, force: bool = False) -> None:
        if not again:
            self.epoch += 1
        self.holding = server
        name = server.order("activate", epoch=(self.epoch, 0), since=(server.since, 0), alone=alone, force=force)
        self.until(lambda: server.told("activated", name) or server.told("refused", name))
        assert server.told("activated", name), server.told("refused", name)

    def deactivate(self, server: Server) -> None:
        name = server.order("deactivate")
        self.until(lambda: server.told("deactivated", name))
        self.holding = None

    def close(self) -> None:
        for server in (self.a, self.b):
            server.take_away()
            server.end()
