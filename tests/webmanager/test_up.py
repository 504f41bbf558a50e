"""manage.py up for real: it answers, it mends itself, and nothing is left when it goes."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.webmanager.stack import ROOT, free_port, start, until
from webmanager.supervisor import listen

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


class Up:
    def __init__(self, data: Path, *arguments: str) -> None:
        self.data = data
        self.ports = (free_port(), free_port())
        self.environment = {"OPENCLP_DATA": str(data), "REDIS_URL": "", "DATABASE_URL": "", "OPENCLP_DEMO": ""}
        self.log = data.parent / "up.txt"
        argv = [sys.executable, "manage.py", "up", "--ports", ",".join(map(str, self.ports)), *arguments]
        with self.log.open("w") as log:
            self.process = start(argv, self.environment, stdout=log, stderr=subprocess.STDOUT)

    def wait_ready(self) -> str:
        until(lambda: "Ctrl-C" in self.log.read_text() or self.process.poll() is not None, "the manager", 90)
        return self.log.read_text()

    def children(self) -> dict[str, int]:
        """What runs with this data directory, by the kernel's own list."""
        found = {}
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                pid = int(entry.name)
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                # The message server writes its title over its environment.
                ours = str(self.data).encode() in line + (entry / "environ").read_bytes()
                if pid != self.process.pid and ours and line:
                    found[line.decode()] = pid
        return found

    def child(self, word: str) -> int:
        return next((pid for line, pid in self.children().items() if word in line), 0)

    def status(self, port: int, path: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        finally:
            connection.close()

    def manage(self, *arguments: str) -> str:
        argv = [sys.executable, "manage.py", *arguments]
        return subprocess.run(
            argv,
            env={**os.environ, **self.environment},
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        ).stdout

    def end(self, number: int) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(60)


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


def test_up_answers_and_leaves_nothing(data):
    up = Up(data)
    try:
        said = up.wait_ready()
        assert f"http://127.0.0.1:{up.ports[0]}/" in said
        assert re.search(r"user admin, password \S{12,}", said)
        assert up.status(up.ports[0], "/login/") == 200
        assert up.status(up.ports[0], "/static/django_htmx/htmx-2.min.js") == 200
        assert up.status(up.ports[1], "/api/v1/groups") == 401
        assert data.stat().st_mode & 0o777 == 0o700
        assert (data / "secret.key").stat().st_mode & 0o777 == 0o600
        assert (data / "run" / "valkey.sock").stat().st_mode & 0o777 == 0o700
        entry = json.loads(up.manage("agent", "add", "server1", "--cluster", "c"))[0]
        assert (entry["node"], len(entry["secret"]) >= 43) == ("server1", True)
        assert "server1" in up.manage("agent", "list")
        assert "operator" in up.manage("user", "add", "bob", "--role", "operator")
    finally:
        up.end(signal.SIGTERM)
    assert up.process.returncode == 0
    assert up.children() == {}

    again = Up(data)
    try:
        assert "password" not in again.wait_ready()
    finally:
        again.end(signal.SIGINT)
    assert again.children() == {}


def test_second_manager_is_refused_dead_parts_are_started_again_and_a_kill_leaves_no_orphan(data):
    up = Up(data)
    try:
        up.wait_ready()
        second = Up(data)
        try:
            second.process.wait(60)
        finally:
            second.end(signal.SIGKILL)
        assert "runs already" in second.log.read_text()
        for word in ("webmanager.serve", "valkey"):
            pid = until(lambda w=word: up.child(w), f"the first {word}")
            os.kill(pid, signal.SIGKILL)
            until(lambda w=word, p=pid: up.child(w) not in (0, p), f"a new {word}", 30)
        until(lambda: "ended by signal 9; starting it again" in up.log.read_text(), "a note of it")
        assert up.status(up.ports[0], "/login/") == 200
    finally:
        up.end(signal.SIGKILL)
    until(lambda: not up.children(), f"the end of {up.children()}", 10)


@pytest.mark.long
def test_of_several_web_servers_and_workers_any_may_die(data):
    up = Up(data, "--web", "2", "--workers", "2")
    try:
        up.wait_ready()
        parts = until(lambda: found if len(found := servers(up)) == 2 else None, "two web servers", 30)
        workers = {line.split("--hostname ")[1].split()[0] for line in up.children() if "celery" in line}
        assert workers == {"worker@%h", "worker2@%h"}
        assert sum("--beat" in line for line in up.children() if "celery" in line) == 1
        os.kill(min(parts), signal.SIGKILL)
        assert up.status(up.ports[0], "/login/") == 200  # The other one takes it.
        until(lambda: len(servers(up)) == 2 and min(parts) not in servers(up), "its successor", 30)
    finally:
        up.end(signal.SIGTERM)
    assert up.children() == {}


def servers(up: Up) -> set[int]:
    found = set()
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            line, environment = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
            if b"webmanager.serve" in line and str(up.data).encode() in environment:
                found.add(int(entry.name))
    return found


def test_port_in_use_is_one_clear_line(data):
    taken = listen("127.0.0.1", 0)
    port = taken.getsockname()[1]
    up = Up(data, "--ports", f"{port},{port}")
    try:
        up.process.wait(60)
    finally:
        up.end(signal.SIGKILL)
        taken.close()
    said = up.log.read_text().strip()
    assert up.process.returncode == 1
    assert "\n" not in said
    assert f"Port {port} of 127.0.0.1" in said
    assert "--ports" in said


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "REDIS_URL",
            "redis://:hidden@127.0.0.1:1/0",
            "The message server of REDIS_URL (127.0.0.1:1/0) does not answer",
        ),
        ("DATABASE_URL", "postgres://u:hidden@127.0.0.1:1/x", "The database cannot be used"),
        ("DATABASE_URL", "mysql://u:hidden@127.0.0.1/x", "postgres://USER:PASSWORD@HOST/NAME"),
    ],
)
def test_wrong_servers_are_told_without_their_passwords(data, name, value, said):
    ports = f"{free_port()},{free_port()}"
    environment = {**os.environ, "OPENCLP_DATA": str(data), "REDIS_URL": "", "DATABASE_URL": "", name: value}
    argv = [sys.executable, "manage.py", "up", "--ports", ports]
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert said in done.stderr
    assert "hidden" not in done.stderr + done.stdout
