"""Two whole agents (supervisor, heartbeat child, daemon, engine) in namespaces, asked over their control sockets."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent.daemon.heartbeat_lans import ROOT, Lans, address
from tests.agent.daemon.shell import CLP_CONF
from tests.agent.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.slow]

FLOATING = "10.78.1.200"
# The service is the start script itself; it ends with its group.
START = "#!/bin/sh\nexec sleep 1000\n"
STOP = "#!/bin/sh\nexit 0\n"


def configuration() -> bytes:
    text = CLP_CONF.decode()
    for number in (1, 2):
        for lan in (0, 1):
            text = text.replace(f"10.0.{lan}.{number}<", f"{address(number - 1, lan)}<")
    text = text.replace("</root>", "<openclp><startupwait>30</startupwait><grace>4</grace></openclp></root>")
    resources = (
        '<exec name="exec1"><parameters><act><sync>0</sync></act></parameters></exec>'
        f'<types name="fip"/><fip name="fip1"><parameters><ip>{FLOATING}</ip></parameters></fip>'
    )
    text = text.replace('<exec name="exec1"/>', resources)
    text = text.replace('<resource name="exec@exec1"/>', '<resource name="fip@fip1"/><resource name="exec@exec1"/>')
    return text.encode()


class Agent:
    """One server: its directories and its clpd."""

    def __init__(self, root: Path, lans: Lans, number: int, key: str = "a key of more than enough bytes") -> None:
        self.name = f"server{number + 1}"
        self.root = root / self.name
        self.node = lans.nodes[number]
        scripts = self.root / "etc/scripts/failover1/exec1"
        scripts.mkdir(parents=True)
        for name, text in (("start.sh", START), ("stop.sh", STOP)):
            (scripts / name).write_text(text)
            (scripts / name).chmod(0o755)
        (self.root / "etc/clp.conf").write_bytes(configuration())
        (self.root / "etc/server").write_text(self.name)
        (self.root / "etc/cluster.key").write_text(key)
        (self.root / "etc/cluster.key").chmod(0o600)
        self.clpd: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        places = {f"OPENCLP_{name.upper()}": str(self.root / name) for name in ("etc", "state", "run", "log")}
        command = [*self.node.enter, sys.executable, "-m", "agent.daemon.supervisor"]
        environ = {**os.environ, **places, "PYTHONPATH": ROOT}
        with (self.root / "out").open("ab") as out:
            self.clpd = subprocess.Popen(command, env=environ, stdout=out, stderr=out, start_new_session=True)

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """The last line of the answer; {} while no daemon listens."""
        with socket.socket(socket.AF_UNIX) as sock, contextlib.suppress(OSError):
            sock.settimeout(20)
            sock.connect(str(self.root / "run/agent.sock"))
            sock.sendall(json.dumps(request).encode() + b"\n")
            with sock.makefile("rb") as lines:
                while line := lines.readline():
                    answer: dict[str, Any] = json.loads(line)
                    if "progress" not in answer:
                        return answer
        return {}

    def where(self) -> str:
        """The server on which the group is online, as this server sees it."""
        group = self.ask({"op": "status"}).get("status", {}).get("groups", {}).get("failover1", {})
        return str(group["current"]) if group.get("status") == "Online" else ""

    def members(self) -> list[str]:
        return self.ask({"op": "status"}).get("status", {}).get("cluster", {}).get("members", [])

    def epoch(self, server: str) -> str:
        return str(self.ask({"op": "status"})["status"]["servers"][server]["epoch"])

    def processes(self, part: str) -> list[int]:
        """Of this namespace, whose command line holds `part`."""
        here = os.stat(f"/proc/{self.node.pid}/ns/net").st_ino
        found = []
        for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
            with contextlib.suppress(OSError):
                command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
                if part in command and os.stat(f"/proc/{pid}/ns/net").st_ino == here:
                    found.append(pid)
        return found

    def floating(self) -> bool:
        return FLOATING in self.node.sh("ip -4 address")

    def notes(self) -> list[str]:
        place = self.root / "log/events.jsonl"
        return [f"{n['module']}:{n['event']}" for n in map(json.loads, place.read_text().splitlines())]

    def kill(self) -> None:
        for part in ("agent.daemon", "from agent.daemon.heartbeat", "sleep 1000"):
            for pid in self.processes(part):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if self.clpd is not None:
            self.clpd.wait(20)


@pytest.fixture
def lans() -> Iterator[Lans]:
    made = Lans(2)
    yield made
    made.close()


@pytest.fixture
def agents(tmp_path: Path, lans: Lans) -> Iterator[list[Agent]]:
    made = [Agent(tmp_path, lans, number) for number in (0, 1)]
    try:
        yield made
    finally:
        for agent in made:
            agent.kill()


def bring_up(agents: list[Agent]) -> None:
    for agent in agents:
        agent.start()
    until(lambda: all(a.members() == ["server1", "server2"] for a in agents), 30)
    until(lambda: all(a.where() for a in agents), 30)
    if agents[0].where() != "server1":
        move(agents[1], "server1")


def move(agent: Agent, to: str) -> None:
    request = {"op": "group_move", "target": "failover1", "server": to}
    answer = agent.ask({"op": "ask", "request": request, "wait_s": 15})
    assert answer["ok"], answer
    until(lambda: agent.where() == to)


def test_killed_daemon_is_replaced_and_what_it_ran_goes_on(agents: list[Agent]):
    one, two = agents
    bring_up(agents)
    (service,) = one.processes("sleep 1000")
    (daemon,) = one.processes("agent.daemon.main")

    os.kill(daemon, signal.SIGKILL)

    until(lambda: one.processes("agent.daemon.main") not in ([], [daemon]))
    until(lambda: "cp:11" in one.notes(), 15)
    # What the other one knows of it is new, not what the dead daemon told last.
    until(lambda: one.where() == two.where() == "server1", 15)
    until(lambda: one.epoch("server1") == two.epoch("server1") != "0.0", 15)
    assert one.processes("sleep 1000") == [service]
    assert one.floating()
    assert not two.floating()
    assert "rc:60" not in two.notes()
    assert one.notes().count("rc:30") == 2  # Each of the two resources was activated once in its life.


def test_each_agent_answers_for_the_other(agents: list[Agent]):
    bring_up(agents)
    own = agents[1].ask({"op": "status"})["status"]["servers"]["server2"]
    answer = until(lambda: (a := agents[0].ask({"op": "status", "via": "server2"})) and a["ok"] and a)

    assert answer["status"]["servers"]["server2"]["source"] == own["source"] == "server2"
    request = {"op": "ask", "via": "server2", "wait_s": 15}
    moved = agents[0].ask({**request, "request": {"op": "group_move", "target": "failover1", "server": "server2"}})
    assert moved["ok"], moved
    assert agents[0].where() == "server2"


def test_stopped_service_hands_its_group_over_and_leaves_nothing(agents: list[Agent]):
    one, two = agents
    bring_up(agents)
    assert one.clpd is not None

    one.clpd.send_signal(signal.SIGTERM)

    assert one.clpd.wait(30) == 0
    until(lambda: two.where() == "server2")
    assert not one.floating()
    assert one.processes("agent.daemon") + one.processes("sleep 1000") == []
    assert "Traceback" not in (one.root / "log/agent.log").read_text()
    assert "Traceback" not in (one.root / "out").read_text()
    until(lambda: two.ask({"op": "status"})["status"]["servers"]["server1"]["status"] == "Offline")


def test_agent_that_was_wholly_killed_puts_down_what_it_left(agents: list[Agent]):
    """The address is still there when clpd starts again, while the group runs elsewhere."""
    one, two = agents
    bring_up(agents)
    one.kill()
    assert one.floating()
    until(lambda: two.where() == "server2", 15)

    one.start()

    until(lambda: one.members() == ["server1", "server2"], 30)
    assert not one.floating()
    assert two.floating()
    assert one.where() == "server2"
    assert "cp:34" in one.notes()


def test_daemon_that_cannot_come_back_loses_its_groups_to_another_server(agents: list[Agent]):
    one, two = agents
    bring_up(agents)
    (one.root / "etc/cluster.key").unlink()
    (daemon,) = one.processes("agent.daemon.main")

    os.kill(daemon, signal.SIGKILL)

    until(lambda: two.where() == "server2", 60)
    assert not one.floating()
    assert one.processes("sleep 1000") == []
    assert "cp:13" in one.notes()
    for place in ("out", "log/agent.log"):
        assert "cluster.key is missing" in (one.root / place).read_text()
