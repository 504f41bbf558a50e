"""Real LANs and real ports for the tests of drivers and types."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import shlex
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agent.drivers.network import KernelNetwork
from agent.ports import Nic, Place
from tests.agent.netns import NetworkNamespace
from tests.agent.waiting import until

CLONE_NEWNET = 0x40000000


@pytest.fixture(name="wait_until")
def _wait_until() -> Callable[..., Any]:
    return until


class Node(NetworkNamespace):
    def __init__(self) -> None:
        super().__init__()
        self.network = KernelNetwork()

    def ip(self, *words: str) -> Any:
        told = self.sh(shlex.join(("ip", "-json", *words)))
        return json.loads(told) if told.strip() else None

    def run(self, work: Callable[[KernelNetwork], Coroutine[Any, Any, Any]]) -> Any:
        """Run it with this node's network, inside its namespace."""
        with self.entered():
            return asyncio.run(work(self.network))

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """This thread inside the namespace."""
        with open("/proc/thread-self/ns/net") as before, open(self.path) as there:
            _set_namespace(there.fileno())
            try:
                yield
            finally:
                _set_namespace(before.fileno())

    def nic(self, name: str = "eth0") -> Nic:
        nics = self.run(lambda network: network.nics())
        return next(n for n in nics if n.name == name)

    def neighbour(self, address: str) -> str:
        """MAC that this node has stored for an address."""
        found = [n for n in self.ip("neigh", "show", "dev", "eth0") or [] if n["dst"] == address]
        return found[0].get("lladdr", "") if found else ""

    def close(self) -> None:
        self.network.close()
        super().close()


def _set_namespace(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


@dataclass
class Lan:
    """server: 10.77.0.1 fd77::1, peer: 10.77.0.2 fd77::2, on one cable."""

    server: Node
    peer: Node


@pytest.fixture
def lan() -> Iterator[Lan]:
    with contextlib.ExitStack() as stack:
        server, peer = Node(), Node()
        stack.callback(server.close)
        stack.callback(peer.close)
        # Unlike numbers: the kernel takes a veth whose peer has its own number for a NIC with a lazy carrier (1 s).
        ends = ("index", "11", "type", "veth", "peer", "name", "eth0", "index", "12", "netns", str(peer.pid))
        server.ip("link", "add", "eth0", *ends)
        for number, node in enumerate((server, peer), 1):
            node.ip("address", "add", f"10.77.0.{number}/24", "dev", "eth0")
            node.ip("address", "add", f"fd77::{number}/64", "dev", "eth0", "nodad")
            node.ip("link", "set", "eth0", "up")
        # Not only the carrier: IPv6 hears nothing before the kernel has seen it.
        until(lambda: all(n.ip("link", "show", "eth0")[0]["operstate"] == "UP" for n in (server, peer)))
        yield Lan(server, peer)


@dataclass
class TestPorts:
    """ports.Ports with what the test brings."""

    __test__ = False

    network: Any = None
    processes: Any = None
    scripts: str = ""
    place: Place = field(default_factory=lambda: Place("demo", "server1", "failover1", "exec1", True, 1))
    event: str = "START"
    factor: str = ""
    announce: bool = True
    facts: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def remember(self, key: str, value: str) -> None:
        self.facts[key] = value

    def recall(self, key: str) -> str | None:
        return self.facts.get(key)

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def make_ports() -> type[TestPorts]:
    return TestPorts


@pytest.fixture
def write_script() -> Callable[..., Path]:
    def write(path: Path, text: str, mode: int = 0o755) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.chmod(path, mode)
        return path

    return write
