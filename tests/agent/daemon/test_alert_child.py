"""clpaltd runs while there is something to tell, and only then; nothing is lost while it does not."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.clpconf.alert_settings import AlertSettings
from agent.daemon import alert_child, alert_rest
from agent.daemon.alert_child import AlertChild
from agent.daemon.alertd import LOG
from agent.daemon.journal import Journal
from agent.daemon.paths import Paths
from agent.daemon.running import RUNNING, Running, write_running
from agent.wire.alerts import Alert, Codec, Entry, Extent, Give, derive_key
from tests.agent.daemon.test_alertd import KEY, cluster, free_port, until

# The real one, impatient, and without the syslog of this machine.
CODE = """
import sys
from agent.alerts import sync
from agent.daemon import alertd
from agent.drivers import syslog
alertd.IDLE_S = sync.ASK_S = 0.3
syslog.send_local = lambda line: None
sys.exit(alertd.main())
"""


class Server:
    """server1 of two; the other one is the test."""

    def __init__(self, root: Path) -> None:
        self.places = Paths(*(str(root / part) for part in ("etc", "state", "run", "log")))
        self.places.make()
        self.cluster = cluster(("server1", "server2"), AlertSettings())
        write_running(Path(self.places.state) / RUNNING, Running(incarnation=1, config=b"", cluster=self.cluster))
        Path(self.places.key).write_bytes(KEY)
        Path(self.places.key).chmod(0o600)
        Path(self.places.server).write_text("server1")
        self.journal = Journal(Path(self.places.log), server="server1", incarnation=1, now=time.time)
        self.port = free_port()
        self.said: list[str] = []
        self.urgent = False

    @asynccontextmanager
    async def daemon(self, start_s: float = 0.0, *, dies: bool = False) -> AsyncIterator[AlertChild]:
        """`dies`: without a word of farewell."""
        child = AlertChild(
            self.places, self.cluster, "server1", KEY, say=self.said.append, is_urgent=lambda: self.urgent,
            start_s=start_s, port=self.port,
        )  # fmt: skip
        self.journal.written_to = child.written
        task = asyncio.create_task(child.run())
        try:
            yield child
        finally:
            self.journal.written_to = None
            task.cancel()
            await asyncio.wait((task,))
            if dies and child._process is not None:
                child._process.kill()
            await child.close()

    def write(self, text: str) -> None:
        self.journal.write(20, "server", "server1", text, module="pm")

    def has_told(self, text: str) -> bool:
        path = Path(self.places.log) / LOG
        return path.exists() and text in path.read_text("utf-8")

    def at_rest(self, child: AlertChild) -> bool:
        return child._process is None and not alert_rest.is_work_left(self.places)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    one = Server(tmp_path)
    for name, value in one.places._asdict().items():
        monkeypatch.setenv(f"OPENCLP_{name.upper()}", value)
    monkeypatch.delenv(alert_child.OFF, raising=False)
    monkeypatch.setattr(alert_child, "_COMMAND", (sys.executable, "-c", CODE))
    for name in ("CALM_S", "SOON_S", "SOON_SPREAD_S", "BEHIND_S", "FIRST_PAUSE_S"):
        monkeypatch.setattr(alert_child, name, 0.01)
    return one


@pytest.mark.slow
async def test_it_tells_ends_and_comes_again_when_something_is_written(server: Server):
    server.write("first")
    async with server.daemon() as child:
        await until(lambda: server.at_rest(child))
        assert server.has_told("first")

        server.write("second")
        await until(lambda: server.has_told("second"))
        await until(lambda: server.at_rest(child))
    assert not server.said


@pytest.mark.slow
async def test_what_a_killed_daemon_left_is_told_by_the_next_one_and_last_words_at_the_end(server: Server):
    async with server.daemon() as child:
        await until(lambda: server.at_rest(child))
        server.journal.written_to = None
        server.write("unheard")
        assert not server.has_told("unheard")

    assert server.has_told("unheard")  # By close().
    async with server.daemon(dies=True) as child:
        await until(lambda: child._process)
        os.kill(child._process.pid if child._process else 0, signal.SIGKILL)
    server.write("killed")
    async with server.daemon() as child:
        await until(lambda: server.at_rest(child))

        assert server.has_told("killed")


@pytest.mark.slow
async def test_one_that_is_killed_comes_again(server: Server):
    async with server.daemon() as child:
        first = await until(lambda: child._process)
        first.kill()
        await until(lambda: child._process not in (None, first))
        await until(lambda: server.at_rest(child))
    assert len(server.said) == 1
    assert "Code -9" in server.said[0]


@pytest.mark.slow
async def test_a_datagram_of_another_server_brings_it_and_is_not_lost(server: Server):
    alert = Alert("server2:1:1", time.time(), "server2", "pm", 20, "error", "server", "server2", "From afar.")
    give = Give(Extent("server2", 1, 1, 1), (Entry(1, alert),))
    codec = Codec("c1", "server2", derive_key(KEY), ("server1", "server2"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.7.2", 0))
        async with server.daemon() as child:
            await until(lambda: server.at_rest(child))
            sock.sendto(codec.seal(give, time.time()), ("127.0.7.1", server.port))
            await until(lambda: server.has_told("From afar."))
            await until(lambda: server.at_rest(child))


def lives(child: AlertChild, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Counted, not lived."""
    counted: list[float] = []

    async def live() -> tuple[int, str]:
        counted.append(time.monotonic())
        alert_rest.write(child._places, alert_rest.look(child._places))
        return 0, ""

    monkeypatch.setattr(child, "_live", live)
    return counted


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_stranger_cannot_have_it_started(server: Server, monkeypatch: pytest.MonkeyPatch):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        async with server.daemon() as child:
            counted = lives(child, monkeypatch)
            await until(lambda: counted)
            heard = child._codec.refused
            sock.sendto(b"CLPALT\0\1" + b"x" * 40, ("127.0.7.1", server.port))
            await until(lambda: child._codec.refused > heard)
            await turns()

            assert len(counted) == 1


async def test_not_while_a_failover_is_at_hand(server: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(alert_child, "_LOOK_S", 0.01)
    server.urgent = True
    looked = 0

    def is_urgent() -> bool:
        nonlocal looked
        looked += 1
        return server.urgent

    async with server.daemon() as child:
        counted = lives(child, monkeypatch)
        child._is_urgent = is_urgent
        await until(lambda: looked > 2)
        assert not counted

        server.urgent = False
        await until(lambda: counted)


async def test_news_can_wait_what_is_wrong_cannot(server: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(alert_child, "CALM_S", 1e6)
    async with server.daemon() as child:
        counted = lives(child, monkeypatch)
        server.journal.write(1, "server", "server1", "server1", module="nm")
        assert server.journal.notes[-1].severity == "info"
        await turns()
        assert not counted

        server.write("heartbeat")
        await until(lambda: counted)


async def test_not_right_after_the_daemon(server: Server, monkeypatch: pytest.MonkeyPatch):
    async with server.daemon(start_s=1e6) as child:
        counted = lives(child, monkeypatch)
        server.write("heartbeat")
        await until(lambda: child._sockets)
        await turns()
        assert not counted
        monkeypatch.setenv(alert_child.OFF, "none")  # Nothing at the end.


def test_only_a_rest_that_saw_all_is_believed(tmp_path: Path):
    places = Paths(*[str(tmp_path)] * 4)
    events = Path(places.events)
    events.write_text("half a li")

    assert alert_rest.is_work_left(places)
    alert_rest.write(places, alert_rest.look(places))
    assert not alert_rest.is_work_left(places)
    events.write_text("half a line\n")
    assert alert_rest.is_work_left(places)
    alert_rest.write(places, alert_rest.look(places))
    events.rename(tmp_path / "events.jsonl.1")
    events.write_text("other line\n")
    assert alert_rest.is_work_left(places)
    assert alert_rest.take_away(places)
    assert not alert_rest.take_away(places)
