"""A stand-in agent: a real unix socket that speaks the documented protocol, with a status that the test gives."""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.clpconf import model
from agent.wire.epoch import Epoch
from agent.wire.report import GroupReport, MonitorReport, PathReport, Report, ResourceReport
from agent.wire.status import build_status

Json = dict[str, Any]
STEP = model.Activation(timeout_s=60, retry=0)


class StandIn:
    """Answers status and watch from `views`, ask from `answer`; remembers what it was asked."""

    def __init__(self, path: Path, status: Json) -> None:
        self.views: dict[str, Json] = {"": status}
        self.asked: list[Json] = []
        self.seen: list[Json] = []
        self.answer: Callable[[Json], list[Json]] = lambda request: [_done(request, 0)]
        self.configuration: Callable[[Json], Json] = lambda step: {"ok": False, "error": "There is none."}
        self.look: Callable[[], Json] | None = None  # the view of here, at each request
        self.notes: list[Json] = []
        self.raw: bytes | None = None
        self._changes: queue.Queue[Json | None] = queue.Queue()
        self._path = path
        self._clients: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.listen()

    def listen(self) -> None:
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(self._path))
        self._server.listen()
        self._start(self._accept, self._server)

    def change(self, status: Json) -> None:
        self.views[""] = status
        self._changes.put(status)

    def die(self) -> None:
        """The socket file stays, as after kill -9."""
        for one in (self._server, *self._clients):
            with contextlib.suppress(OSError):  # It is closed already.
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._changes.put(None)

    def close(self) -> None:
        self.die()
        for thread in self._threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in self._threads)

    def _start(self, target: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments)
        thread.start()
        self._threads.append(thread)

    def _accept(self, server: socket.socket) -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            self._clients.append(client)
            self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        try:
            with client, client.makefile("rb") as lines:
                for line in lines:
                    for reply in self._replies(json.loads(line)):
                        client.sendall(reply)
        except (OSError, ValueError):
            return

    def _replies(self, request: Json) -> Iterator[bytes]:
        self.seen.append(request)
        if self.raw is not None:
            yield self.raw
        elif request["op"] == "ask":
            self.asked.append({**request["request"], "via": request.get("via", "")})
            yield from map(_line, self.answer(request["request"]))
        elif request["op"] == "configuration":
            yield _line(self.configuration(request["configuration"]))
        elif request["op"] == "events":
            yield _line({"ok": True, "notes": self.notes})
        elif self.look is not None and not request.get("via"):
            yield _line({"ok": True, "status": self.look()})
        elif (view := self.views.get(request.get("via", ""))) is None:
            yield _line({"ok": False, "error": f"{request['via']} does not answer."})
        else:
            yield _line({"ok": True, "status": view})
            while request["op"] == "watch" and (changed := self._changes.get(timeout=30)) is not None:
                yield _line({"ok": True, "status": changed})


def _line(reply: Json) -> bytes:
    return json.dumps(reply).encode() + b"\n"


def _done(request: Json, code: int, reason: str = "", text: str = "") -> Json:
    return {"ok": code == 0, "answer": {"id": request["id"], "code": code, "reason": reason, "text": text}}


@pytest.fixture
def answered() -> Callable[..., Json]:
    """The last line to an `ask`: answered(request, code, reason, text)."""
    return _done


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This server is server1; nothing of the machine's own installation is touched."""
    for name in ("ETC", "STATE", "RUN", "LOG"):
        (tmp_path / name.lower()).mkdir()
        monkeypatch.setenv(f"OPENCLP_{name}", str(tmp_path / name.lower()))
    (tmp_path / "etc" / "server").write_text("server1\n")
    return tmp_path


@pytest.fixture
def agent(home: Path, status: Json) -> Iterator[StandIn]:
    stand_in = StandIn(home / "run" / "agent.sock", status)
    yield stand_in
    stand_in.close()


@pytest.fixture
def cluster() -> model.Cluster:
    names = ("server1", "server2")
    return model.Cluster(
        name="cluster",
        servers=(
            model.Server(name="server1", priority=0, comment="Primary server"),
            model.Server(name="server2", priority=1, comment="Secondary server"),
        ),
        heartbeats=(model.Heartbeat(name="lankhb1", type="lankhb", priority=0, device=0),),
        resolvers=(model.PartitionResolver(name="httpnp1", type="httpnp", priority=0, device=10),),
        groups=(
            model.Group(name="failover1", comment="Group for HTTP", resources=("md1", "exec-mariadb1"), policy=names),
            model.Group(name="container-recovery", resources=("exec2",), policy=("server2", "server1")),
        ),
        resources=tuple(
            model.Resource(name=name, type="exec", activation=STEP, deactivation=STEP)
            for name in ("md1", "exec-mariadb1", "exec2")
        ),
        monitors=(
            model.Monitor(name="userw1", type="userw", comment="User mode monitor"),
            model.Monitor(name="mdnw1", type="mdnw"),
        ),
    )


@pytest.fixture
def reports() -> dict[str, Report]:
    """failover1 runs on server1, container-recovery on server2."""
    return {
        name: Report(
            server=name,
            incarnation=1,
            seq=1,
            epoch=Epoch(2, 0),
            members=("server1", "server2"),
            coordinator="server1",
            groups={group: GroupReport(state="Online")},
            resources={resource: ResourceReport(state="Online") for resource in resources},
            monitors={"userw1": MonitorReport(state="Normal"), "mdnw1": MonitorReport(state="Normal")},
            paths={peer: {"lankhb1": PathReport(state="Normal", worst_gap_ms=1.0)}},
        )
        for name, peer, group, resources in (
            ("server1", "server2", "failover1", ("md1", "exec-mariadb1")),
            ("server2", "server1", "container-recovery", ("exec2",)),
        )
    }


@pytest.fixture
def make_status(cluster: model.Cluster) -> Callable[..., Json]:
    """make_status(reports, ages): what an agent of server1 shows."""

    def make(reports: dict[str, Report], ages: dict[str, float] | None = None) -> Json:
        sources = {name: (report, (ages or {}).get(name, 0.1), "server1") for name, report in reports.items()}
        return build_status(cluster, sources, None, 3.0)

    return make


@pytest.fixture
def status(make_status: Callable[..., Json], reports: dict[str, Report]) -> Json:
    return make_status(reports)
