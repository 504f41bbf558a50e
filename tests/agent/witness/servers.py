"""A real `clpwitness` process, and a server of the cluster that speaks with it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import agent
from agent.wire import witness as wire
from agent.wire.epoch import Epoch

ROOT = str(Path(agent.__file__).resolve().parent.parent)
KEY = b"a cluster key of enough bytes"
SECRET = wire.derive_secret(KEY)
START_S = 20.0


class WitnessProcess:
    """clpwitness on a free port of this machine, or on `listen` behind `enter` (a command that enters a namespace)."""

    def __init__(self, directory: Path, listen: str = "127.0.0.1:0", enter: Sequence[str] = ()) -> None:
        self.state = directory / "witness"
        self.secrets = directory / "secrets"
        self.secrets.write_text(f"# of the test\ndemo {SECRET.hex()}\nother {bytes(32).hex()}\n")
        self.secrets.chmod(0o600)
        self._listen = listen
        self._enter = enter
        self.port = 0
        self.process: subprocess.Popen[str] | None = None
        self.start()

    def start(self) -> None:
        argv = [
            *self._enter, sys.executable, "-m", "agent.witness.server", "--listen", self._listen,
            "--state", str(self.state), "--secret-file", str(self.secrets),
        ]  # fmt: skip
        environment = {**os.environ, "PYTHONPATH": ROOT}
        self.process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, env=environment)
        found = re.search(r"port (\d+)", self.line())
        assert found
        self.port = int(found[1])
        # The same again after a restart.
        self._listen = f"{self._listen.rpartition(':')[0]}:{self.port}"

    def line(self) -> str:
        """The next line of its log."""
        assert self.process is not None
        assert self.process.stderr is not None
        assert select.select([self.process.stderr], [], [], START_S)[0], "clpwitness says nothing"
        return self.process.stderr.readline()

    def send(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(30)
        assert self.process.stderr is not None
        self.process.stderr.close()
        self.process = None
        return code

    def close(self) -> None:
        if self.process is not None:
            self.stop(signal.SIGKILL)


@contextlib.contextmanager
def witness_process(directory: Path, **settings: Any) -> Iterator[WitnessProcess]:
    it = WitnessProcess(directory, **settings)
    try:
        yield it
    finally:
        it.close()


class Speaker:
    """One server of the cluster, as far as the witness can tell."""

    def __init__(
        self, port: int, server: str, *, secret: bytes = SECRET, cluster: str = "demo", timeout_s: float = 1.0
    ) -> None:
        self.server = server
        self.timeout_s = timeout_s
        self.cluster = cluster
        self.life = ""
        self.seq = 0
        self.secret = secret
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def beat(self, service: str = "online") -> wire.Told:
        status, body = self.ask("beat", lambda: wire.encode_beat(wire.Beat(*self.head(), service)))
        assert status == 200, body
        return wire.decode_told(body)

    def propose(self, counter: int, *members: str) -> wire.Answer:
        voters = (*members, "witness1")
        status, body = self.ask(
            "propose", lambda: wire.encode_ask(wire.Ask(*self.head(), Epoch(counter, 0), members, voters))
        )
        assert status == 200, body
        return wire.decode_answer(body)

    def head(self) -> tuple[str, int, int, str, float]:
        self.seq += 1
        return self.server, 1, self.seq, self.life, self.timeout_s

    def ask(self, op: str, make: Any) -> tuple[int, bytes]:
        """Learns the witness' life on the way, as a server does."""
        status, body = self.post(op, make())
        if status == wire.OUTDATED_LIFE:
            self.life = wire.decode_error(body)[1]
            status, body = self.post(op, make())
        return status, body

    def post(self, op: str, body: bytes, cluster: str = "") -> tuple[int, bytes]:
        path = wire.path_of(cluster or self.cluster, op)
        signature = wire.sign_request(self.secret, path, body)
        self.connection.request("POST", path, body, {"Authorization": f"Openclp {signature}"})
        response = self.connection.getresponse()
        data = response.read()
        if response.status not in (401, 404, 413, 429):
            given = response.getheader(wire.SIGNATURE_HEADER, "")
            assert wire.is_reply(self.secret, signature, response.status, data, given)
        return response.status, data

    def close(self) -> None:
        self.connection.close()


def get(port: int, path: str, token: str = "") -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()
