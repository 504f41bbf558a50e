"""clpaltd as a whole: what the daemon notes reaches syslog, mail, traps, webhooks, commands, and other servers."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.clpconf.alert_settings import AlertSettings, Mail, MailServer, Metrics, Override, TrapReceiver
from agent.clpconf.model import Cluster, Device, Heartbeat, Server
from agent.daemon import alertd
from agent.daemon.alertd import AlertDaemon
from agent.daemon.journal import Journal
from agent.daemon.paths import Paths
from agent.drivers import syslog
from agent.wire.alerts import Told

pytestmark = pytest.mark.slow
KEY = b"k" * 32
WAIT_S = 20.0


def cluster(names: tuple[str, ...], alerts: AlertSettings) -> Cluster:
    servers = tuple(
        Server(name=name, priority=n, devices=(Device(id=0, type="lan", info=f"127.0.7.{n + 1}"),))
        for n, name in enumerate(names)
    )
    return Cluster(
        name="c1", servers=servers, alerts=alerts,
        heartbeats=(Heartbeat(name="lanhb1", type="lanhb", priority=0, device=0),),
    )  # fmt: skip


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Running:
    """Servers in one loop, each with its own directories."""

    def __init__(self, root: Path, names: tuple[str, ...], alerts: AlertSettings) -> None:
        self.cluster = cluster(names, alerts)
        self.port = free_port()
        self.places = {
            name: Paths(*(str(root / name / part) for part in ("etc", "state", "run", "log"))) for name in names
        }
        self.journals: dict[str, Journal] = {}
        self.running: dict[str, tuple[AlertDaemon, asyncio.Event, asyncio.Task[None]]] = {}
        for name, places in self.places.items():
            places.make()
            self.journals[name] = Journal(Path(places.log), server=name, incarnation=1, now=time.time)

    def start(self, *names: str) -> None:
        for name in names or tuple(self.places):
            daemon = AlertDaemon(self.places[name], self.cluster, name, KEY, port=self.port)
            stop = asyncio.Event()
            self.running[name] = daemon, stop, asyncio.create_task(daemon.run(stop))

    async def stop(self, *names: str) -> None:
        for name in names or tuple(self.running):
            _, stop, task = self.running.pop(name)
            stop.set()
            await task

    def log(self, name: str) -> str:
        path = Path(self.places[name].log) / alertd.LOG
        return path.read_text("utf-8") if path.exists() else ""

    def daemon(self, name: str) -> AlertDaemon:
        return self.running[name][0]


async def until(done: Callable[[], Any]) -> Any:
    async with asyncio.timeout(WAIT_S):
        while not (found := done()):
            await asyncio.sleep(0.01)
    return found


def told_of(daemon: AlertDaemon, count: int) -> list[Told] | None:
    told = [entry.told for _, entry in daemon.store.since(0) if entry.told is not None]
    return told if len(told) >= count else None


class Smtp(threading.Thread):
    """Takes mails as a mail server does, without encryption; `refuse`: so many are turned away first."""

    def __init__(self, refuse: int = 0, features: tuple[str, ...] = ()) -> None:
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        self.refuse = refuse
        self.features = features
        self.mails: list[str] = []
        self.heard: list[str] = []

    def run(self) -> None:
        while True:
            try:
                link, _ = self.listener.accept()
            except OSError:
                return
            with link, link.makefile("rwb", 0) as file:
                self.serve(file)

    def serve(self, file: Any) -> None:
        file.write(b"220 here\r\n")
        while line := file.readline().decode().strip():
            self.heard.append(line)
            word = line.split()[0].upper()
            if word == "EHLO":
                lines = ["here", *self.features]
                replies = [f"250{'-' if n < len(lines) - 1 else ' '}{one}\r\n" for n, one in enumerate(lines)]
                file.write("".join(replies).encode())
            elif word == "MAIL" and self.refuse:
                self.refuse -= 1
                file.write(b"451 not now\r\n")
            elif word == "DATA":
                file.write(b"354 go\r\n")
                mail = b""
                while (part := file.readline()) not in (b".\r\n", b""):
                    mail += part
                self.mails.append(mail.decode())
                file.write(b"250 ok\r\n")
            elif word == "QUIT":
                file.write(b"221 bye\r\n")
                return
            else:
                file.write(b"250 ok\r\n")


@pytest.fixture
def smtp() -> Iterator[Smtp]:
    server = Smtp()
    server.start()
    yield server
    server.listener.close()


@pytest.fixture(autouse=True)
def own_syslog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """In place of /dev/log."""
    path = tmp_path / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path))
        sock.setblocking(False)
        send = syslog.send_local
        monkeypatch.setattr(syslog, "send_local", lambda line: send(line, path))
        yield sock


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twins are awaited for a shorter time."""
    monkeypatch.setattr("agent.alerts.telling.GATHER_S", 0.1)


def mail_to(port: int) -> Mail:
    server = MailServer(host="127.0.0.1", port=port, sender="cluster@example.com")
    return Mail(to=("root@example.com",), by_command=False, servers=(server,), subject="ACME", timeout_s=5.0)


async def test_an_alert_goes_to_each_receiver_once_and_to_all_logs(
    tmp_path: Path, smtp: Smtp, own_syslog: socket.socket
):
    traps = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    traps.bind(("127.0.0.1", 0))
    posted: list[tuple[str, bytes]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append((self.headers["Authorization"], self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    hook = HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=hook.serve_forever, daemon=True).start()
    alerts = AlertSettings(
        mail=mail_to(smtp.port), traps=(TrapReceiver(host="127.0.0.1", port=traps.getsockname()[1], community="c1"),),
        webhooks=(f"http://127.0.0.1:{hook.server_port}/hook",), webhook_token="secret",
    )  # fmt: skip
    bed = Running(tmp_path, ("server1", "server2"), alerts)
    bed.start()

    # Both survivors of server3 say the same, each with its own reason.
    for name, reason in (("server1", "silent for 3.01 s"), ("server2", "silent for 3.07 s")):
        bed.journals[name].write(2, "server", "server3", "server3", reason, module="nm")
    await until(lambda: smtp.mails and posted)
    trap = await asyncio.get_running_loop().run_in_executor(None, traps.recv, 4096)
    await until(lambda: all(bed.log(name).count("nm:2") == 2 for name in bed.places))
    told = await until(lambda: told_of(bed.daemon("server2"), 3))
    await bed.stop()

    hook.shutdown()
    hook.server_close()
    assert len(smtp.mails) == 1
    assert "Subject: ACME [c1] WARN: Server server3 is down: silent for 3.01 s." in smtp.mails[0]
    assert "rcpt TO:<root@example.com>" in smtp.heard
    assert len(posted) == 1
    assert posted[0][0] == "Bearer secret"
    assert json.loads(posted[0][1])["module"] == "nm"
    assert b"Server server3 is down" in trap
    traps.setblocking(False)
    with pytest.raises(BlockingIOError):
        traps.recv(4096)
    traps.close()
    assert b"WARN [nm:2] Server server3 is down" in own_syslog.recv(4096)
    assert sorted((one.channel, one.by, len(one.ids)) for one in told) == [
        ("mail", "server1", 2), ("trap", "server1", 2), ("webhook", "server1", 2),
    ]  # fmt: skip


async def test_a_server_that_was_away_has_all_alerts_when_it_is_back(tmp_path: Path):
    bed = Running(tmp_path, ("server1", "server2", "server3"), AlertSettings())
    bed.start("server1", "server2")
    for number in range(200):
        bed.journals["server1"].write(9, "monitor", f"w{number}", f"w{number}", "server1", "x" * 100, module="rm")
    await until(lambda: bed.log("server2").count("rm:9") == 200)
    await bed.stop("server1")

    bed.start("server3")
    await until(lambda: bed.log("server3").count("rm:9") == 200)
    await bed.stop()


async def test_what_was_written_while_nobody_followed_is_told_after_the_next_start(tmp_path: Path, smtp: Smtp):
    bed = Running(tmp_path, ("server1",), AlertSettings(mail=mail_to(smtp.port)))
    bed.start()
    bed.journals["server1"].write(20, "server", "server1", "first", module="pm")
    await until(lambda: len(smtp.mails) == 1)
    await bed.stop()

    bed.journals["server1"].write(20, "server", "server1", "second", module="pm")
    bed.start()
    await until(lambda: len(smtp.mails) == 2)
    await bed.stop()

    assert ["first" in smtp.mails[0], "second" in smtp.mails[1]] == [True, True]


async def test_mail_that_is_refused_waits_and_goes_later(tmp_path: Path, smtp: Smtp, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("agent.daemon.alert_delivery.FIRST_PAUSE_S", 0.05)
    smtp.refuse = 1
    bed = Running(tmp_path, ("server1",), AlertSettings(mail=mail_to(smtp.port)))
    bed.start()
    bed.journals["server1"].write(20, "server", "server1", "heartbeat", module="pm")
    await until(lambda: smtp.mails and "alert:2" in bed.log("server1"))
    await bed.stop()

    assert "Process heartbeat has died" in smtp.mails[0]
    assert "alert:1   Alerts cannot be sent by mail: No mail server took the mail: 127.0.0.1 port" in bed.log("server1")
    assert bed.journals["server1"].total == 1


async def test_when_the_writer_cannot_tell_the_first_living_server_does(
    tmp_path: Path, smtp: Smtp, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("agent.alerts.telling.TAKE_OVER_S", 0.5)
    bed = Running(tmp_path, ("server1", "server2"), AlertSettings(mail=mail_to(smtp.port)))
    bed.start("server1")
    without_mail = msgspec.structs.replace(bed.cluster.alerts, mail=mail_to(1))
    bed.cluster = msgspec.structs.replace(bed.cluster, alerts=without_mail)
    bed.start("server2")
    bed.journals["server2"].write(20, "server", "server2", "heartbeat", module="pm")
    await until(lambda: smtp.mails)
    await until(lambda: not bed.daemon("server2").store.waits())
    await bed.stop()

    assert "Process heartbeat has died" in smtp.mails[0]


async def test_clp_conf_says_where_a_message_goes_and_what_runs(tmp_path: Path, smtp: Smtp):
    made = tmp_path / "made"
    command = f"sh -c 'echo \"$CLP_ALERT_MODULE $1\" >{made}' x '%%MSG%%'"
    overrides = {"pm:20": Override(channels=("script",), commands=(command,))}
    bed = Running(tmp_path, ("server1",), AlertSettings(mail=mail_to(smtp.port), overrides=overrides))
    bed.start()
    bed.journals["server1"].write(20, "server", "server1", "$(id)", "a; b", module="pm")
    await until(lambda: made.exists() and made.read_text())
    await bed.stop()

    assert made.read_text() == "pm Process $(id) has died: a; b.\n"
    assert not smtp.mails
    assert "pm:20" not in bed.log("server1")


async def test_metrics_are_offered_where_clp_conf_says(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = int(sock.getsockname()[1])
    bed = Running(tmp_path, ("server1",), AlertSettings(metrics=Metrics(port=port)))
    bed.start()
    await until(lambda: bed.daemon("server1").metrics and bed.daemon("server1").metrics._server)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = (await reader.read()).decode()
    writer.close()
    await bed.stop()

    assert answer.startswith("HTTP/1.1 200 OK\r\n")
    assert 'openclp_agent_up{cluster="c1",server="server1"} 0\n' in answer
    assert 'openclp_alerts_waiting{cluster="c1",server="server1",channel="mail"} 0\n' in answer


async def test_what_is_not_signed_with_the_clusters_key_changes_nothing(tmp_path: Path):
    bed = Running(tmp_path, ("server1", "server2"), AlertSettings())
    bed.start("server1")
    stranger = AlertDaemon(bed.places["server2"], bed.cluster, "server2", b"z" * 32, port=bed.port)
    stop = asyncio.Event()
    task = asyncio.create_task(stranger.run(stop))
    bed.journals["server2"].write(20, "server", "server2", "heartbeat", module="pm")
    await until(lambda: bed.daemon("server1")._codec.refused)
    stop.set()
    await task
    await bed.stop()

    assert "pm:20" not in bed.log("server1")
