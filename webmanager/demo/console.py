"""The manager beside the demo: started, made known to the agents, asked over REST, and stopped with its children."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from webmanager.demo.bed import MANAGEMENT, ROOT, SWITCH_HOST, Bed
from webmanager.demo.faults import WITNESS_PORT
from webmanager.demo.machine import BedError, until
from webmanager.demo.relay import Relay

HOST = "127.0.0.1"
START_S = 120.0  # the first start makes the database, on a slow machine
STOP_S = 15.0
COMMAND_S = 60.0
TAIL = 40  # lines of its output that an error shows


class Console:
    """`data`: its directory; `demo`: where it finds the demo's state and socket; `say` gets what it prints later on."""

    def __init__(self, data: Path, demo: Path, ports: tuple[int, int], say: Callable[[str], None]) -> None:
        self.ports = ports
        self.user = ""
        self.password = ""
        self._say = say
        own = {"OPENCLP_DATA": str(data), "OPENCLP_DEMO": str(demo), "PYTHONUNBUFFERED": "1"}
        self._environment = {**os.environ, **own}
        self._lines: list[str] = []
        self._ready = False
        self._relays: list[Relay] = []
        # It must not outlive the demo, whatever ends that; and Ctrl-C is for the demo alone.
        guard = [setpriv, "--pdeathsig", "TERM"] if (setpriv := shutil.which("setpriv")) else []
        up = [sys.executable, str(ROOT / "manage.py"), "up", "--host", HOST, "--ports", ",".join(map(str, ports))]
        self._process = subprocess.Popen(
            [*guard, *up],
            env=self._environment, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, start_new_session=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, name="console", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines = [*self._lines, line.rstrip()][-TAIL:]
            # `manage.py up` says them once, at its first start.
            if found := re.search(r"user(?:name)?\W+(\w+)\b.*?password\W+(\S+)", line, re.IGNORECASE):
                self.user, self.password = found.groups()
            if self._ready:
                self._say(line.rstrip())

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.ports[0]}/"

    @property
    def pid(self) -> int:
        """Of `manage.py up`."""
        return self._process.pid

    def close(self) -> None:
        """SIGTERM, and SIGKILL to its whole session when that does not do."""
        for relay in self._relays:
            relay.close()
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join(5)

    def wait_ready(self) -> None:
        def answering() -> bool:
            if self._process.poll() is not None:
                self._reader.join(2)
                raise BedError("the manager ended:\n" + "\n".join(self._lines))
            with contextlib.suppress(OSError, http.client.HTTPException):
                return self._get("/login/", {})[0] < 500
            return False

        until(answering, f"an answer of the manager on {HOST}:{self.ports[0]}", START_S, 0.1)
        until(lambda: bool(self.password), "user and password from the manager", 10, 0.1)
        self._ready = True

    def admit(self, bed: Bed, cluster: str) -> dict[str, str]:
        """Opens the agents' way to the manager; server -> content of its manager.json."""
        at = bed.address(SWITCH_HOST, MANAGEMENT)
        self._relays.append(Relay(bed.switch.listen(at, self.ports[0]), HOST, self.ports[0]))
        url = f"ws://{at}:{self.ports[0]}/ws/agent/"
        waiting = {server: self._start_adding(server, cluster, url) for server in bed.servers}
        files = {}
        for server, process in waiting.items():
            out, err = process.communicate(timeout=COMMAND_S)
            if process.returncode != 0:
                raise BedError(f"the manager did not take {server} as an agent: {err.strip()}")
            files[server] = out
        return files

    def witness(self, bed: Bed, introduction: str) -> None:
        """The manager is the cluster's witness, at the address where one is looked for."""
        done = subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), "witness", "add"],
            env=self._environment, cwd=ROOT, text=True, input=introduction, capture_output=True, timeout=COMMAND_S,
            check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise BedError(f"the manager did not become the witness: {done.stderr.strip()}")
        self._relays.append(Relay(bed.switch.listen(bed.witness, WITNESS_PORT), HOST, self.ports[0]))

    def _start_adding(self, server: str, cluster: str, url: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), "agent", "add", server, "--cluster", cluster, "--url", url],
            env=self._environment, cwd=ROOT, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def rest(self, path: str) -> Any:
        """GET /api/v1/<path> as the generated user."""
        secret = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        status, body = self._get(f"/api/v1/{path}", {"Authorization": f"Basic {secret}"})
        if status != 200:
            raise BedError(f"GET /api/v1/{path} gave {status}: {body[:300]}")
        return json.loads(body)

    def _get(self, path: str, headers: dict[str, str]) -> tuple[int, str]:
        connection = http.client.HTTPConnection(HOST, self.ports[0], timeout=10)
        try:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            return response.status, response.read(1_000_000).decode(errors="replace")
        finally:
            connection.close()
