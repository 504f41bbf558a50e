"""An arbiter child as a real process: the test is its supervisor, its daemon and the heartbeat child that it serves."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from agent.cli import clpdisknp
from agent.daemon.arbiter_keeper import MODULE
from agent.daemon.arbiter_settings import ArbiterSettings
from agent.daemon.confirmations import Confirmations
from agent.daemon.heartbeat_lan import steady
from tests.agent.daemon.heartbeat_lans import ChildProcess, Speaker
from tests.agent.daemon.shell import CLP_CONF
from tests.agent.waiting import PATIENCE_S, until
from tests.agent.witness.servers import SECRET

SERVERS = ["server1", "server2"]
INTERVAL_S, TIMEOUT_S = 0.05, 0.5


def witness_at(port: int, host: str = "127.0.0.1") -> dict[str, Any]:
    return {"name": "httpnp1", "type": "httpnp", "host": host, "port": port}


def disk_at(path: Path | str) -> dict[str, Any]:
    return {"name": "disknp1", "type": "disknp", "path": str(path)}


def make_disk(directory: Path) -> Path:
    """A prepared shared disk in a file."""
    conf = directory / "clp.conf"
    conf.write_bytes(CLP_CONF.replace(b"<name>c</name>", b"<name>demo</name>"))
    path = directory / "shared.img"
    with path.open("wb") as file:
        file.truncate(2 << 20)
    assert clpdisknp.main(["init", "--conf", str(conf), str(path)]) == 0
    return path


class ArbiterProcess(ChildProcess):
    def __init__(self, directory: Path, me: str, *arbiters: dict[str, Any], enter: Sequence[str] = (), **changes: Any):
        self.run = directory / me
        self.run.mkdir(exist_ok=True)
        self._enter = list(enter)
        given: dict[str, Any] = {
            "me": me, "cluster": "demo", "servers": SERVERS, "incarnation": 5, "interval_s": INTERVAL_S,
            "timeout_s": TIMEOUT_S, "secret": SECRET.hex(), "arbiters": list(arbiters),
            "socket": str(self.run / "arbiter.sock"), "confirm": str(self.run / "confirm.sock"), "run": str(self.run),
        }  # fmt: skip
        self.settings = ArbiterSettings(**{**given, **changes})
        self.heartbeat = Confirmations(self.settings.confirm, self.settings.incarnation)
        self.daemon: Speaker
        self.start()

    def start(self, service: str = "") -> None:
        self.spawn(self._enter, MODULE, self.settings._replace(service=service)._asdict())

    def connect(self, service: str = "online") -> Speaker:
        """As a daemon that says so; "" says nothing."""
        end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        end.connect(self.settings.socket)
        self.daemon = Speaker(end)
        if service:
            self.daemon.say(op="beat", service=service)
        return self.daemon

    def ask(self, name: str, counter: int, *members: str) -> None:
        proposer = SERVERS.index(self.settings.me)
        self.daemon.say(
            op="ask", name=name, epoch=[counter, proposer], members=list(members), voters=[*members, name],
            in_force=[0, 0],
        )  # fmt: skip

    def answer(self, name: str, counter: int, *members: str) -> dict[str, Any]:
        """Ask and wait for the answer."""
        before = len(self.daemon.of("answer"))
        self.ask(name, counter, *members)
        until(lambda: len(self.daemon.of("answer")) > before)
        return self.daemon.of("answer")[-1]

    def state(self, name: str) -> dict[str, Any]:
        return ([m for m in self.daemon.of("state") if m["name"] == name] or [{"ok": None, "detail": ""}])[-1]

    def confirmed(self, name: str, since: float) -> list[float]:
        """Sending times after `since` that were confirmed."""
        return [at for arbiter, at in self.heartbeat.read(steady()) if arbiter == name and at > since]

    def wait_confirmed(self, name: str, timeout_s: float = PATIENCE_S) -> float:
        since = steady()
        return float(until(lambda: self.confirmed(name, since), timeout_s)[0])

    def is_confirmed_for(self, name: str, seconds: float) -> bool:
        """Does anything come within this time? What was under way before does not count."""
        since = steady()
        while steady() < since + seconds:
            if self.confirmed(name, since):
                return True
        return False

    def close(self) -> None:
        super().close()
        self.heartbeat.socket.close()
        if hasattr(self, "daemon"):
            self.daemon.end.close()


@contextlib.contextmanager
def arbiter_process(directory: Path, me: str, *arbiters: dict[str, Any], **settings: Any) -> Iterator[ArbiterProcess]:
    it = ArbiterProcess(directory, me, *arbiters, **settings)
    try:
        yield it
    finally:
        it.close()
