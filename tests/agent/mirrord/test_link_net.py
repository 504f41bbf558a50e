"""Links of processes in network namespaces: cables that are cut, processes that are stopped and killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.agent.mirrord.link_pair import connects_of, settings_of
from tests.agent.netns import NetworkNamespace
from tests.agent.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[3]


class Side:
    def __init__(self, net: NetworkNamespace, server: str, places: list[tuple[str, str]], **more: Any) -> None:
        self.net = net
        settings = settings_of(server, connects_of(places), 29051, **more)
        self.words = [*net.enter, sys.executable, "-m", "tests.agent.mirrord.link_end",
                      msgspec.json.encode(settings).decode()]  # fmt: skip
        self.events: list[dict[str, Any]] = []
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self.words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self._rest = b""

    def order(self, **order: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")

    def look(self) -> list[dict[str, Any]]:
        assert self._process.stdout is not None
        while data := self._process.stdout.read(1 << 16):
            *lines, self._rest = (self._rest + data).split(b"\n")
            self.events += [json.loads(line) for line in lines]
        return self.events

    def ask(self) -> dict[str, Any]:
        """Its figures."""
        known = sum("tell" in event for event in self.look())
        self.order(tell=True)
        until(lambda: sum("tell" in event for event in self.look()) > known)
        return next(event for event in reversed(self.events) if "tell" in event)

    def changes(self) -> list[str]:
        return [key for event in self.look() for key in event if key in ("up", "down")]

    @property
    def path(self) -> str:
        """In use, "" if none is."""
        told = [event for event in self.look() if "up" in event or "down" in event]
        return str(told[-1].get("up", "")) if told else ""

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


Pair = tuple[Side, Side]


@pytest.fixture
def pair() -> Iterator[Callable[..., Pair]]:
    """Two servers on two cables."""
    with contextlib.ExitStack() as stack:
        one, other = NetworkNamespace(), NetworkNamespace()
        stack.callback(one.close)
        stack.callback(other.close)
        for n in (1, 2):
            one.sh(f"ip link add c{n} type veth peer name c{n} netns {other.pid}")
            for number, net in enumerate((one, other), 1):
                net.sh(f"ip address add 10.88.{n}.{number}/24 dev c{n}; ip link set c{n} up")

        def make(**more: Any) -> Pair:
            more = {"keepalive_s": 0.2, "silent_s": 1.5, **more}
            there = [(f"10.88.{n}.1", f"10.88.{n}.2") for n in (1, 2)]
            sides = (
                Side(one, "server1", there, **more),
                Side(other, "server2", [(b, a) for a, b in there], **more),
            )
            for side in sides:
                stack.callback(side.close)
            until(lambda: all(side.path == "mdc1" for side in sides))
            until(lambda: all(path["state"] != "lost" for path in sides[0].ask()["tell"]["paths"]))
            return sides

        yield make


def drop(net: NetworkNamespace, device: str) -> None:
    """What comes there is lost."""
    net.sh(f"""nft 'add table ip cut
        add chain ip cut input {{ type filter hook input priority 0; }}
        add rule ip cut input iif {device} drop'""")


def flows(sides: Pair) -> None:
    """Until new frames go both ways, in order (the end of each checks that)."""
    before = [side.ask() for side in sides]
    paths = [one["tell"]["path"] for one in before]
    until(lambda: all(new["got"] > old["got"] or new["tell"]["path"] not in paths
                      for new, old in zip([side.ask() for side in sides], before, strict=True)))  # fmt: skip


@pytest.mark.parametrize("fault", ["cable", "one way", "other way"])
def test_traffic_goes_over_to_the_other_cable_and_back(pair: Callable[..., Pair], fault: str) -> None:
    one, other = sides = pair()
    for side in sides:
        side.order(pump=4096)
    flows(sides)
    if fault == "cable":
        one.net.sh("ip link set c1 down")
    else:
        drop((one if fault == "one way" else other).net, "c1")
    until(lambda: one.path == other.path == "mdc2")
    flows(sides)

    if fault == "cable":
        one.net.sh("ip link set c1 up")
    else:
        (one if fault == "one way" else other).net.sh("nft delete table ip cut")
    until(lambda: one.path == other.path == "mdc1")
    flows(sides)
    for side in sides:
        assert side.changes() == ["up", "down"] * side.changes().count("down") + ["up"]


def test_a_stopped_side_costs_little_memory_and_comes_back(pair: Callable[..., Pair]) -> None:
    one, other = sides = pair()
    for side in sides:
        side.order(pump=1 << 20)
    flows(sides)
    before = one.ask()["memory_kb"]
    other.signal(signal.SIGSTOP)
    until(lambda: one.path == "")
    after = one.ask()
    assert after["memory_kb"] - before < 8 << 10
    assert after["tell"]["queued"] == 0

    other.signal(signal.SIGCONT)
    until(lambda: one.path == other.path != "")
    flows(sides)


def test_a_killed_side_is_met_again(pair: Callable[..., Pair]) -> None:
    one, other = sides = pair()
    for victim, witness in ((one, other), (other, one)):
        for side in sides:
            side.order(pump=65536)
        flows(sides)
        known = len(witness.changes())
        victim.close()
        until(lambda witness=witness, known=known: "down" in witness.changes()[known:])  # type: ignore[misc]
        victim.events.clear()
        victim.start()
        until(lambda: one.path == other.path != "")
