"""A real manager for the tests: message server, database, web servers; and agents that speak the documented frames."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from webmanager.demo.configuration import GroupPlan, Plan, clp_conf
from webmanager.supervisor import die_with_parent, find_redis, listen, worker_command

ROOT = Path(__file__).resolve().parents[2]
START_S = 180.0  # on a machine that is busy with much else
PASSWORD = "five-small-boats-42"
SERVERS = ("server1", "server2", "server3")


def until(condition: Callable[[], Any], what: str, limit_s: float = 60, step_s: float = 0.02) -> Any:
    end = time.monotonic() + limit_s
    while not (found := condition()):
        assert time.monotonic() < end, f"waited {limit_s} s in vain for {what}"
        time.sleep(step_s)
    return found


def start(argv: list[str], environment: dict[str, str], **more: Any) -> subprocess.Popen[Any]:
    # The tests' own leave to use the ORM on an event loop is not the server's.
    own = {name: value for name, value in os.environ.items() if name != "DJANGO_ALLOW_ASYNC_UNSAFE"}
    return subprocess.Popen(
        argv, env={**own, **environment}, cwd=ROOT, stdin=subprocess.DEVNULL, preexec_fn=die_with_parent, **more
    )


def stop(process: subprocess.Popen[Any]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Valkey:
    def __init__(self, directory: Path) -> None:
        self.path = directory / "valkey.sock"
        self._process: subprocess.Popen[Any] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.path}"

    def start(self) -> None:
        self.path.unlink(missing_ok=True)
        argv = [
            find_redis(),
            "--port",
            "0",
            "--unixsocket",
            str(self.path),
            "--dir",
            str(self.path.parent),
            "--save",
            "",
        ]
        self._process = start(argv, {}, stdout=subprocess.DEVNULL)
        until(self.path.exists, "the message server")

    def stop(self) -> None:
        if self._process is not None:
            stop(self._process)
            self._process = None


@contextlib.contextmanager
def valkey(directory: Path) -> Iterator[str]:
    server = Valkey(directory)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


class Workers:
    """Celery workers of the manager, the first with the clock. They are killed in the end: one may be at something
    that nobody waits for."""

    def __init__(self, environment: dict[str, str], directory: Path) -> None:
        self._environment = environment
        self._directory = directory
        self.processes: list[subprocess.Popen[Any]] = []

    def logs(self) -> list[Path]:
        return [self._directory / f"{name}.log" for name in ("worker", "worker2")[: len(self.processes)]]

    def start(self, count: int) -> Workers:
        """Also in the place of those that have ended."""
        (self._directory / "run").mkdir(exist_ok=True)
        for number, name in enumerate(("worker", "worker2")[:count]):
            if number < len(self.processes) and self.processes[number].poll() is None:
                continue
            with (self._directory / f"{name}.log").open("ab") as log:
                process = start(worker_command(self._directory, name), self._environment, stdout=log, stderr=log)
            self.processes[number : number + 1] = [process]
        return self

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
        self.processes = []


@dataclass
class Server:
    """A web server of the manager; two of them with the same environment are one manager. `count`: processes behind its
    port; whoever is free takes the next connection."""

    environment: dict[str, str]
    log: Path
    port: int = 0
    count: int = 1
    processes: list[subprocess.Popen[Any]] = field(default_factory=list)

    def start(self) -> Server:
        listener = listen("127.0.0.1", self.port)
        self.port = listener.getsockname()[1]
        argv = [sys.executable, "-m", "webmanager.serve", str(listener.fileno())]
        with self.log.open("ab") as log:
            more = {"pass_fds": (listener.fileno(),), "stdout": log, "stderr": log}
            self.processes = [start(argv, self.environment, **more) for _ in range(self.count)]
        listener.close()
        until(self.answers, f"the web server (see {self.log})", START_S)
        if self.count > 1:  # Each has started once it says so.
            until(lambda: self.log.read_text().count("startup complete") >= self.count, "all web servers", START_S)
        return self

    def answers(self) -> bool:
        assert self.processes
        assert all(process.poll() is None for process in self.processes), self.log.read_text()[-3000:]
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.call("GET", "/jsi18n/")[0] == 200
        return False

    def stop(self) -> None:
        for process in self.processes:
            stop(process)
        self.processes = []

    def kill(self) -> None:
        """The first of its processes."""
        process = self.processes.pop(0)
        process.send_signal(signal.SIGKILL)
        process.wait()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def call(
        self, method: str, path: str, *, user: str = "", password: str = PASSWORD, body: Any = None,
        headers: dict[str, str] | None = None, timeout: float = 30,
    ) -> tuple[int, Any, http.client.HTTPResponse]:  # fmt: skip
        """(status, decoded body, response)"""
        sent = dict(headers or {})
        if user:
            sent["Authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        if isinstance(body, dict | list):
            sent.setdefault("Content-Type", "application/json")
            body = json.dumps(body)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=sent)
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        is_json = (response.getheader("Content-Type") or "").startswith("application/json")
        return response.status, json.loads(text) if is_json else text, response

    async def everywhere(
        self, path: str, holds: Callable[[int, Any], Any] = lambda status, body: status == 200, *, user: str = "alice"
    ) -> None:
        """Until each of its processes answers so: one of them hears a little later what the others were told."""
        agreed: set[str] = set()
        end = time.monotonic() + 30
        while len(agreed) < len(self.processes):
            assert time.monotonic() < end, f"only {agreed} of {len(self.processes)} processes say it of {path}"
            status, body, response = await self.acall("GET", path, user=user)
            if holds(status, body):
                agreed.add(response.getheader("X-Openclp-Process") or "")
            else:
                await asyncio.sleep(0.02)

    async def acall(self, method: str, path: str, **more: Any) -> tuple[int, Any, http.client.HTTPResponse]:
        return await asyncio.to_thread(self.call, method, path, **more)


def config(name: str, groups: int = 2) -> bytes:
    plan = Plan(
        addresses={s: (f"10.1.0.{n}", f"10.2.0.{n}") for n, s in enumerate(SERVERS, 1)},
        groups=tuple(GroupPlan(f"failover{n}", f"10.3.0.{n}", SERVERS, port=8080) for n in range(1, groups + 1)),
        name=name,
        majority=False,
    )
    return clp_conf(plan)


def report(
    server: str, seq: int = 1, *, runs: tuple[str, ...] = (), epoch: tuple[int, int] = (1, 0), **more: Any
) -> dict:
    """What `server` says of itself when all is well; `runs`: groups that are online there."""
    others = [s for s in SERVERS if s != server]
    resources = {r: {"state": "Online"} for g in runs for r in (f"fip{g[-1]}", f"exec{g[-1]}")}
    return {
        "server": server, "incarnation": 1, "seq": seq, "promised": epoch, "epoch": epoch, "members": list(SERVERS),
        "coordinator": "server1", "groups": {g: {"state": "Online", "serial": 1, "epoch": epoch} for g in runs},
        "resources": resources,
        "paths": {o: {"lanhb1": {"state": "Normal"}, "lanhb2": {"state": "Normal"}} for o in others},
        **more,
    }  # fmt: skip


def note(number: int, text: str = "", **more: Any) -> dict[str, Any]:
    return {
        "id": f"server1:1:{number}", "time": 1_700_000_000.0 + number, "server": "server1", "module": "rc", "event": 10,
        "severity": "info", "kind": "group", "name": "failover1", "text": text or f"note {number}", **more,
    }  # fmt: skip


@dataclass
class FakeAgent:
    """A websocket client that sends what ARCHITECTURE.md section 5 says, no more."""

    socket: ClientConnection
    node: str
    cluster: str
    rev: int = 0
    ages: dict[str, float] = field(default_factory=dict)
    commands: list[dict[str, Any]] = field(default_factory=list)

    async def send(self, frame: Any) -> None:
        await self.socket.send(frame if isinstance(frame, str) else json.dumps(frame))

    async def hello(self, **changed: Any) -> None:
        data = config(self.cluster)
        await self.send({
            "type": "hello", "version": 1, "node": self.node, "cluster": self.cluster,
            "config": base64.b64encode(data).decode(), "config_hash": hashlib.sha256(data).hexdigest(), **changed,
        })  # fmt: skip

    async def snapshot(
        self, *reports: dict, age_s: float = 0.0, notes: tuple[dict, ...] = (), table: Any = None
    ) -> None:
        self.rev += 1
        known = {r["server"]: {"report": r, "age_s": 0.0 if r["server"] == self.node else age_s} for r in reports}
        self.ages = {server: entry["age_s"] for server, entry in known.items()}
        await self.send(
            {
                "type": "snapshot",
                "rev": self.rev,
                "at": time.time(),
                "reports": known,
                "table": table,
                "notes": list(notes),
            }
        )

    async def change(self, *reports: dict, notes: tuple[dict, ...] = (), **more: Any) -> None:
        self.rev += 1
        known = {r["server"]: {"report": r, "age_s": 0.0} for r in reports}
        self.ages |= dict.fromkeys(known, 0.0)
        await self.send(
            {"type": "change", "rev": self.rev, "at": time.time(), "reports": known, "notes": list(notes), **more}
        )

    async def alive(self, **ages: float) -> None:
        await self.send({"type": "alive", "rev": self.rev, "at": time.time(), "ages": ages})

    async def keep_alive(self) -> None:
        """As an agent without news does, from its snapshot on; until cancelled or closed."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                await asyncio.sleep(0.5)
                if self.rev:
                    await self.alive(**self.ages)

    async def command(self) -> dict[str, Any]:
        return json.loads(await asyncio.wait_for(self.socket.recv(), 30))

    async def result(self, key: str, code: int = 0, **more: Any) -> None:
        await self.send({"type": "result", "id": key, "answer": {"id": key, "code": code, **more}})

    async def closed(self) -> tuple[int, str]:
        await asyncio.wait_for(self.socket.wait_closed(), 30)
        return self.socket.close_code or 0, self.socket.close_reason or ""


@contextlib.asynccontextmanager
async def agent(server: Server, cluster: str, node: str, secret: str):
    uri = f"ws://{server.host}/ws/agent/"
    header = {"Authorization": f"Bearer {node}:{secret}"}
    async with connect(uri, additional_headers=header, proxy=None, compression=None) as connection:
        one = FakeAgent(connection, node, cluster)
        beating = asyncio.create_task(one.keep_alive())
        try:
            yield one
        finally:
            beating.cancel()


@dataclass
class Browser:
    """A console's tab: applies what it is told and checks the numbering."""

    socket: ClientConnection
    rev: int = -1
    status: Any = None
    events: list[dict] = field(default_factory=list)
    agents: dict = field(default_factory=dict)
    messages: list[dict] = field(default_factory=list)

    @property
    def newest(self) -> dict[str, Any]:
        return self.messages[-1] if self.messages else {}

    async def read(self, limit_s: float = 30) -> dict[str, Any]:
        from agent.wire.status import apply

        message = json.loads(await asyncio.wait_for(self.socket.recv(), limit_s))
        self.messages.append(message)
        if message["type"] == "snapshot":
            self.rev, self.status, self.events = message["rev"], message["status"], message["events"]
            self.agents = message["agents"]
        elif message["type"] == "change":
            assert message["rev"] == self.rev + 1
            self.rev, self.status = message["rev"], apply(self.status, message["changes"])
            self.events = [*self.events, *message["events"]]
            self.agents = message.get("agents", self.agents)
        elif message["type"] == "alive":
            assert message["rev"] == self.rev
            self.agents = message["agents"]
        return message

    async def until(self, condition: Callable[[Browser], Any], what: str, limit_s: float = 30) -> Any:
        async def wait() -> Any:
            while not (found := condition(self)):
                await self.read(limit_s)
            return found

        try:
            return await asyncio.wait_for(wait(), limit_s)
        except TimeoutError:
            raise AssertionError(f"waited {limit_s} s in vain for {what}; newest: {self.messages[-3:]}") from None

    async def closed(self) -> tuple[int, str]:
        await asyncio.wait_for(self.socket.wait_closed(), 30)
        return self.socket.close_code or 0, self.socket.close_reason or ""


@contextlib.asynccontextmanager
async def browser(server: Server, cluster: str, cookie: str, *, origin: str | None = None, **more: Any):
    uri = f"ws://{server.host}/ws/console/?cluster={cluster}"
    async with connect(
        uri, origin=origin or f"http://{server.host}", additional_headers={"Cookie": f"openclp_session={cookie}"},
        proxy=None, compression=None, **more,
    ) as connection:  # fmt: skip
        yield Browser(connection)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
