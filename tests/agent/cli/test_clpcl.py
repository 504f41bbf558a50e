"""clpcl: starting and stopping the service here, there and everywhere; starting the agent itself."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.cli import clpcl
from agent.wire.peer import Request
from agent.wire.report import Report

Json = dict[str, Any]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = clpcl.main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def wishes(agent: Any) -> list[tuple[str, str]]:
    """Every request is one that an agent can decode."""
    return [(r.op, r.target) for r in (msgspec.convert(request, Request) for request in agent.asked)]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("-s", [("server_start", "server1")]),
        ("-t", [("server_stop", "server1")]),
        ("-r", [("server_stop", "server1"), ("server_start", "server1")]),
        ("-t -h server2", [("server_stop", "server2")]),
        ("-s -h server2", [("server_start", "server2")]),
        ("--suspend", [("cluster_suspend", "")]),
        ("--resume", [("cluster_resume", "")]),
        ("--suspend -a", [("cluster_suspend", "")]),
    ],
)
def test_request_follows_the_options(
    agent: Any, capsys: pytest.CaptureFixture[str], arguments: str, expected: list[tuple[str, str]]
) -> None:
    assert run(capsys, *arguments.split()) == (0, "Command succeeded.\n", "")
    assert wishes(agent) == expected


def test_all_servers_are_started_one_by_one(agent: Any, answered: Any, capsys: pytest.CaptureFixture[str]) -> None:
    agent.answer = lambda r: [answered(r, 0) if r["target"] == "server1" else answered(r, 3, "down", "It is down.")]

    code, out, err = run(capsys, "-s", "-a")

    assert sorted(wishes(agent)) == [("server_start", "server1"), ("server_start", "server2")]
    assert {asked["target"]: asked["via"] for asked in agent.asked} == {"server1": "", "server2": "server2"}
    assert (code, out, err) == (1, "Start server1 : Command succeeded.\n", "clpcl: Start server2 : It is down.\n")


def test_all_servers_are_stopped_by_one_request(agent: Any, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "-t", "-a")

    assert wishes(agent) == [("cluster_stop", "")]
    assert (code, out) == (0, "Stop server1 : Command succeeded.\nStop server2 : Command succeeded.\n")


def test_stop_of_all_does_not_claim_a_server_of_which_nothing_is_heard(
    agent: Any, capsys: pytest.CaptureFixture[str], make_status: Callable[..., Json], reports: dict[str, Report]
) -> None:
    agent.views[""] = make_status({"server1": reports["server1"]})

    code, out, err = run(capsys, "-t", "-a")

    assert (code, out) == (1, "Stop server1 : Command succeeded.\n")
    assert err == ("clpcl: Stop server2 : Nothing is heard of it, so it may still run. This server has not reported.\n")


def test_where_the_service_is_stopped_a_member_is_asked_for_the_whole_cluster(
    agent: Any, capsys: pytest.CaptureFixture[str], make_status: Callable[..., Json], reports: dict[str, Report]
) -> None:
    stopped = Report(server="server1", incarnation=1, seq=2, service="stopped")
    agent.views[""] = make_status({**reports, "server1": stopped})

    assert run(capsys, "-t", "-a")[0] == 0
    assert [(asked["op"], asked["via"]) for asked in agent.asked] == [("cluster_stop", "server2")]


def test_restart_does_not_start_what_did_not_stop(
    agent: Any, answered: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    agent.answer = lambda request: [answered(request, 3, "failed", "exec1 does not stop.")]

    assert run(capsys, "-r") == (1, "", "clpcl: exec1 does not stop.\n")
    assert wishes(agent) == [("server_stop", "server1")]


def test_restart_of_a_stopped_service_is_a_start(
    agent: Any, capsys: pytest.CaptureFixture[str], make_status: Callable[..., Json]
) -> None:
    stopped = Report(server="server1", incarnation=1, seq=2, service="stopped")
    agent.views[""] = make_status({"server1": stopped})

    assert run(capsys, "-r")[0] == 0
    assert wishes(agent) == [("server_start", "server1")]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [("-r -a --alert", 0), ("-r --web --alert --ib --api", 0), ("-t -a --md", 1), ("-t --alert", 1), ("-s --web", 1)],
)
def test_services_of_the_original_get_a_sentence(
    agent: Any, capsys: pytest.CaptureFixture[str], arguments: str, code: int
) -> None:
    ended, out, err = run(capsys, *arguments.split())

    assert ended == code
    assert len((out + err).splitlines()) == sum(a.startswith("--") for a in arguments.split())
    assert agent.seen == []


@pytest.mark.usefixtures("agent")
def test_unknown_server_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "-t", "-h", "web") == (1, "", "clpcl: There is no server web. Known: server1, server2.\n")


@pytest.mark.usefixtures("home")
def test_stop_without_an_agent_ends_with_3(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "--json", "-t")

    assert code == 3
    assert json.loads(out)["ok"] is False
    assert "The agent does not run on this server" in err


AGENT = """\
#!{python}
import json, os, pathlib, socket
run = pathlib.Path(os.environ["OPENCLP_RUN"])
server = socket.socket(socket.AF_UNIX)
server.bind(str(run / "agent.sock"))
server.listen()
(run / "pid").write_text(f"{{os.getpid()}} {{os.getsid(0)}}")
status = json.loads((run / "status.json").read_text())
while True:
    client, _ = server.accept()
    for line in client.makefile("rb"):
        request = json.loads(line)
        reply = {{"ok": True, "status": status}}
        if request["op"] == "ask":
            reply = {{"ok": True, "answer": {{"id": request["request"]["id"], "code": 0}}}}
        client.sendall(json.dumps(reply).encode() + b"\\n")
    client.close()
"""


@pytest.fixture
def program(home: Path, status: Json, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A clpd in PATH, which the test may write; whatever it started is gone afterwards."""
    (home / "run" / "status.json").write_text(json.dumps(status))
    (home / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{home / 'bin'}:{os.environ['PATH']}")
    clpd = home / "bin" / "clpd"
    clpd.touch(0o755)
    yield clpd
    if (pid := home / "run" / "pid").exists():
        os.kill(int(pid.read_text().split()[0]), signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may start the agent")
@pytest.mark.skipif(Path("/run/systemd/system").is_dir(), reason="systemd would start the agent")
def test_start_starts_the_agent_in_a_session_of_its_own(
    home: Path, program: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program.write_text(AGENT.format(python=sys.executable))

    assert run(capsys, "-s", "--timeout", "30") == (0, "Command succeeded.\n", "")

    pid, session = (home / "run" / "pid").read_text().split()
    assert pid == session


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may start the agent")
@pytest.mark.skipif(Path("/run/systemd/system").is_dir(), reason="systemd would start the agent")
def test_agent_that_does_not_start_is_told_with_its_log(
    home: Path, program: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program.write_text("#!/bin/sh\necho no clp.conf\nexit 7\n")

    log = home / "log" / "clpd.out"
    log.write_text("of an earlier start\n")

    code, _, err = run(capsys, "-s", "--timeout", "30")

    assert code == 3
    assert err == (f"clpcl: The agent did not start: clpd ended with exit code 7. It said (in {log}):\nno clp.conf\n")
