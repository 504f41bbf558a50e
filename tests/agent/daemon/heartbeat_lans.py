"""Three network namespaces on two real LANs, and heartbeat children in them; used by the heartbeat tests."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import agent
from agent.daemon import spawn, supervisor
from agent.daemon.heartbeat_lan import steady
from agent.daemon.heartbeat_settings import Settings
from agent.wire.heartbeat import derive_key
from tests.agent.netns import NetworkNamespace
from tests.agent.waiting import PATIENCE_S, until

ROOT = str(Path(agent.__file__).resolve().parent.parent)
SERVERS = ["server1", "server2", "server3"]
LANS = ["lanhb1", "lanhb2"]
KEY = derive_key(b"a test key of enough bytes").hex()


class Namespace(NetworkNamespace):
    def python(self, script: str, *arguments: str) -> None:
        subprocess.run([*self.enter, sys.executable, "-c", script, *arguments], check=True, timeout=20)


class Lans:
    def __init__(self, count: int) -> None:
        self.switch = Namespace()
        self.nodes = [Namespace() for _ in range(count)]
        for lan in range(len(LANS)):
            self.switch.sh(f"ip link add br{lan} type bridge; ip link set br{lan} up")
            for number, node in enumerate(self.nodes):
                self.switch.sh(
                    f"ip link add p{lan}{number} type veth peer name eth{lan} netns {node.pid};"
                    f"ip link set p{lan}{number} master br{lan} up"
                )
                node.sh(f"ip address add {address(number, lan)}/24 dev eth{lan}; ip link set eth{lan} up")

    def close(self) -> None:
        for namespace in (*self.nodes, self.switch):
            namespace.close()

    def pull(self, lan: int, number: int) -> None:
        self.switch.sh(f"ip link set p{lan}{number} down")

    def plug(self, lan: int, number: int) -> None:
        self.switch.sh(f"ip link set p{lan}{number} up")

    def mac(self, lan: int, number: int) -> str:
        found = json.loads(self.nodes[number].sh(f"ip -json link show eth{lan}"))
        return str(found[0]["address"])

    def lose(self, percent: int) -> None:
        """On the way in, on every LAN of every node."""
        for node in self.nodes:
            for lan in range(len(LANS)):
                node.sh(
                    f"nft add table netdev loss{lan};"
                    f"nft 'add chain netdev loss{lan} in {{ type filter hook ingress device eth{lan} priority 0; }}';"
                    f"nft 'add rule netdev loss{lan} in numgen random mod 100 < {percent} drop'"
                )


def address(number: int, lan: int) -> str:
    return f"10.78.{lan}.{number + 1}"


class Speaker:
    """One end of a message socket, with the time at which each message came."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self.end.setblocking(False)
        self.got: list[tuple[float, dict[str, Any]]] = []
        self.closed = False
        self.up_at = 0.0  # when all heard all: before then, peers count as lost that had not started yet

    def say(self, **message: Any) -> None:
        self.end.send(json.dumps(message).encode())

    def read(self, wait_s: float = 0.0) -> None:
        while not self.closed and select.select([self.end], [], [], wait_s)[0]:
            wait_s = 0.0
            try:
                data = self.end.recv(1 << 18)
            except OSError:
                data = b""
            if data:
                self.got.append((steady(), json.loads(data)))
            else:
                self.closed = True

    def verdicts(self, *kinds: str, since: float = 0.0) -> list[tuple[float, str, dict[str, Any]]]:
        self.read()
        return [
            (at, name, fields)
            for at, message in self.got
            if message["type"] == "verdicts" and at >= since
            for name, fields in message["items"]
            if not kinds or name in kinds
        ]

    def of(self, kind: str) -> list[dict[str, Any]]:
        self.read()
        return [message for _, message in self.got if message["type"] == kind]


class ChildProcess:
    """A child of clpd's, this test being its supervisor."""

    control: Speaker
    pid = 0

    def spawn(self, enter: Sequence[str], module: str, settings: Mapping[str, Any]) -> None:
        """Returns when it speaks."""
        command = [*enter, *spawn.child_command(module, ROOT)]
        self.pid, control = spawn.start_child(command, os.environ, settings, {}, death_signal=signal.SIGKILL)
        self.control = Speaker(control)
        until(lambda: self.control.of("alive"))

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, timeout_s: float = PATIENCE_S) -> int:
        """Its exit code."""
        code: list[int] = []

        def ended() -> bool:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            code.extend([os.waitstatus_to_exitcode(status)] if pid else [])
            return bool(pid)

        until(ended, timeout_s)
        self.pid = 0
        return code[0]

    def kill(self) -> None:
        if self.pid:
            self.signal(signal.SIGKILL)
            self.wait()

    def close(self) -> None:
        self.kill()
        self.control.end.close()


class Child(ChildProcess):
    """A heartbeat child in a namespace, this test being perhaps its daemon, too."""

    def __init__(self, node: Namespace, run: Path, number: int, **changes: Any) -> None:
        self.node = node
        self.number = number
        self.server = SERVERS[number]
        self.socket = str(run / f"{self.server}.sock")
        given: dict[str, Any] = {
            "me": self.server, "cluster": "demo", "servers": SERVERS, "paths": LANS, "key": KEY,
            "addresses": {s: {p: address(n, k) for k, p in enumerate(LANS)} for n, s in enumerate(SERVERS)},
            "interval_s": 0.1, "timeout_s": 0.5, "grace_s": 1.0, "majority": True, "incarnation": 5,
            "socket": self.socket, "fence": "report", "release": ["/bin/true"],
        }  # fmt: skip
        self.settings = Settings(**{**given, **changes})._asdict()
        self.start()

    def start(self) -> None:
        self.spawn(self.node.enter, supervisor.CHILD, self.settings)

    def daemon(self, service: str = "online", *, holding: bool = False) -> Speaker:
        end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        end.connect(self.socket)
        speaker = Speaker(end)
        self.beat(speaker, service, holding=holding)
        return speaker

    def beat(self, daemon: Speaker, service: str, *, counter: int = 1, holding: bool = False) -> None:
        daemon.say(op="beat", epoch=[counter, 0], service=service, members=SERVERS, holding=holding)


@contextlib.contextmanager
def three_children(run: Path, **changes: Any) -> Iterator[tuple[Lans, list[Child], list[Speaker]]]:
    """All hear all on all paths, a daemon at each."""
    with contextlib.ExitStack() as stack:
        lans = Lans(3)
        stack.callback(lans.close)
        children = []
        for number, node in enumerate(lans.nodes):
            children.append(Child(node, run, number, **changes))
            stack.callback(children[-1].close)
        daemons = [child.daemon() for child in children]
        for daemon in daemons:
            stack.callback(daemon.end.close)
            until(lambda d=daemon: _up(d))
        for daemon in daemons:
            daemon.up_at = steady()
        yield lans, children, daemons


def _up(daemon: Speaker) -> bool:
    """Both peers online, all four paths up, and the lease held."""
    heard = {v["server"] for _, _, v in daemon.verdicts("PeerHeard") if v["service"] == "online"}
    paths = {(v["server"], v["heartbeat"]): v["ok"] for _, _, v in daemon.verdicts("PathChanged")}
    lease = [name for _, name, _ in daemon.verdicts("LeaseHeld", "LeaseLost")]
    return len(heard) == 2 and list(paths.values()) == [True] * 4 and lease[-1:] == ["LeaseHeld"]
