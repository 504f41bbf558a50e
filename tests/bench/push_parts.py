"""The processes of bench push: message server, database, web server, clients; what they take and what they tell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.webmanager import stack
from webmanager.demo.machine import BedError
from webmanager.supervisor import listen

_LIMIT_S = 300
_SETTLE_S = 120.0
_REST = 0.3  # of a core, with all that agents and browsers say each second
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Client:
    """A process of push_clients: connected, begun, ended."""

    what: str
    task: dict[str, Any]
    process: subprocess.Popen[str] = field(init=False)

    def __post_init__(self) -> None:
        argv = [sys.executable, "-m", "tests.bench.push_clients", self.what]
        self.process = subprocess.Popen(argv, cwd=stack.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._say(json.dumps(self.task))

    def _say(self, line: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def _hear(self) -> str:
        assert self.process.stdout
        if not (line := self.process.stdout.readline()):
            raise BedError(f"the {self.what} of the bench failed; their error is above")
        return line

    def ready(self) -> Client:
        self._hear()
        return self

    def go(self) -> None:
        self._say("go")

    def through(self) -> Client:
        """What it had to do is done."""
        self._hear()
        return self

    def answer(self) -> dict[str, Any]:
        self._say("end")
        found: dict[str, Any] = json.loads(self._hear())
        self.process.wait(_LIMIT_S)
        return found

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()


@dataclass
class Web:
    """A web server and what it costs."""

    process: subprocess.Popen[Any]
    port: int
    also: Sequence[int] = ()  # processes whose processor time belongs to it

    def cpu_s(self) -> float:
        return sum(map(_cpu_s, (self.process.pid, *self.also)))

    def memory_mb(self) -> float:
        rows = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines()
        return sum(int(row.split()[1]) for row in rows if row.startswith("Pss:")) / 1024

    def settle(self, least_s: float = 0.5) -> None:
        """A server that is behind is given time to arrive: what it loses is not what it has not done yet."""
        end = time.monotonic() + _SETTLE_S
        time.sleep(least_s)
        while time.monotonic() < end:
            before = self.cpu_s()
            time.sleep(1)
            if self.cpu_s() - before < _REST:
                return

    def get(self, path: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=_LIMIT_S) as answer:
            return dict(json.load(answer))


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


@dataclass
class Ground:
    """What all servers of one run share."""

    directory: Path
    environment: dict[str, str]
    redis_pid: int
    prepared: dict[str, Any]

    def agents(self, *clusters: str) -> list[list[str]]:
        return [one for one in self.prepared["agents"] if one[0] in clusters]

    @contextmanager
    def web(self, *argv: str) -> Iterator[Web]:
        """`argv`: a module and its words; the socket's number follows."""
        listener = listen("127.0.0.1", 0)
        port, log = listener.getsockname()[1], self.directory / f"{argv[0]}.log"
        fd = listener.fileno()
        with log.open("ab") as file:
            words = [sys.executable, "-m", *argv, str(fd)]
            process = stack.start(words, self.environment, pass_fds=(fd,), stdout=file, stderr=file)
        listener.close()
        try:
            web = Web(process, port, (self.redis_pid,))
            stack.until(lambda: _answers(web, log), f"the web server (see {log})", _LIMIT_S)
            yield web
        finally:
            stack.stop(process)

    @contextmanager
    def clients(self, *wanted: tuple[str, dict[str, Any]]) -> Iterator[list[Client]]:
        """Started one after the other: each is connected before the next begins."""
        with ExitStack() as kept:
            made = []
            for what, task in wanted:
                made.append(Client(what, task))
                kept.callback(made[-1].close)
                made[-1].ready()
            yield made


def _answers(web: Web, log: Path) -> bool:
    if web.process.poll() is not None:
        raise BedError(f"the web server ended: {log.read_text()[-2000:]}")
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{web.port}/jsi18n/", timeout=5).close()
    except urllib.error.HTTPError:
        return True  # The stock one has no such page.
    except OSError:
        return False
    return True


@contextmanager
def ground(clusters: dict[str, Sequence[str]]) -> Iterator[Ground]:
    """`clusters`: name -> its nodes."""
    with tempfile.TemporaryDirectory(prefix="bench-push-") as name:
        directory = Path(name)
        with _valkey(directory) as (url, pid):
            environment = {
                "OPENCLP_DATA": name, "REDIS_URL": url, "DATABASE_URL": f"sqlite://{directory}/openclp.sqlite3",
                "OPENCLP_SECRET_KEY": "of-a-bench-" + "x" * 40, "DJANGO_SETTINGS_MODULE": "tests.webmanager.quick",
                "OPENCLP_DEMO": "",
            }  # fmt: skip
            wanted = json.dumps([[cluster, node] for cluster, nodes in clusters.items() for node in nodes])
            done = subprocess.run(
                [sys.executable, "-m", "tests.bench.push_prepare"], env=os.environ | environment, cwd=stack.ROOT,
                input=wanted, stdout=subprocess.PIPE, text=True, timeout=_LIMIT_S, check=True,
            )  # fmt: skip
            yield Ground(directory, environment, pid, json.loads(done.stdout))


@contextmanager
def _valkey(directory: Path) -> Iterator[tuple[str, int]]:
    path = directory / "valkey.sock"
    argv = [stack.find_redis(), "--port", "0", "--unixsocket", str(path), "--dir", str(directory), "--save", ""]
    process = stack.start(argv, {}, stdout=subprocess.DEVNULL)
    try:
        stack.until(path.exists, "the message server")
        yield f"unix://{path}", process.pid
    finally:
        stack.stop(process)
