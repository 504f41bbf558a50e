"""clpgrp: what it asks the agent for, what it prints, and how it ends."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from agent.cli import clpgrp
from agent.wire.peer import Request
from agent.wire.report import GroupReport, Report

Json = dict[str, Any]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = clpgrp.main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def wishes(agent: Any) -> list[tuple[str, str, str]]:
    """Every request is one that the agent can decode."""
    requests = [msgspec.convert(request, Request) for request in agent.asked]
    assert len({request.id for request in requests}) == len(requests)
    return sorted((request.op, request.target, request.server) for request in requests)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("-s failover1", ("group_start", "failover1", "server1")),
        ("-s failover1 -h server2", ("group_start", "failover1", "server2")),
        ("-s -h server2 failover1", ("group_start", "failover1", "server2")),
        ("-t failover1", ("group_stop", "failover1", "")),
        ("-t failover1 -h server1", ("group_stop", "failover1", "server1")),
        ("-m failover1", ("group_move", "failover1", "")),
        ("-m failover1 -a server2", ("group_move", "failover1", "server2")),
        ("-m -a server2 failover1", ("group_move", "failover1", "server2")),
        ("-m failover1 -h server2", ("group_move", "failover1", "server2")),
    ],
)
def test_one_group_is_one_request(
    agent: Any, capsys: pytest.CaptureFixture[str], arguments: str, expected: tuple[str, str, str]
) -> None:
    assert run(capsys, *arguments.split()) == (0, "Command succeeded.\n", "")
    assert wishes(agent) == [expected]
    assert agent.asked[0]["by"].endswith("@clpgrp")


def test_without_a_group_all_active_ones_here_are_meant(agent: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "-t") == (0, "Stop failover1 : Command succeeded.\n", "")
    assert run(capsys, "-m", "-h", "server2") == (0, "Move container-recovery : Command succeeded.\n", "")
    assert wishes(agent) == [("group_move", "container-recovery", ""), ("group_stop", "failover1", "")]


def test_start_without_a_group_starts_what_is_not_active(
    agent: Any, capsys: pytest.CaptureFixture[str], make_status: Callable[..., Json], reports: dict[str, Report]
) -> None:
    idle = {n: msgspec.structs.replace(r, groups={}, resources={}) for n, r in reports.items()}
    agent.views[""] = make_status(idle)

    code, out, _ = run(capsys, "-s")

    assert code == 0
    assert out == "Start failover1 : Command succeeded.\nStart container-recovery : Command succeeded.\n"
    assert wishes(agent) == [("group_start", "container-recovery", "server1"), ("group_start", "failover1", "server1")]


def test_start_leaves_the_choice_to_the_policy_where_this_server_cannot_run(
    agent: Any, capsys: pytest.CaptureFixture[str], make_status: Callable[..., Json], reports: dict[str, Report]
) -> None:
    leaving = msgspec.structs.replace(reports["server1"], service="leaving", groups={}, resources={})
    agent.views[""] = make_status({**reports, "server1": leaving})

    run(capsys, "-s", "failover1")

    assert wishes(agent) == [("group_start", "failover1", "")]


@pytest.mark.usefixtures("agent")
def test_where_prints_the_server(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "-n", "container-recovery") == (0, "server2\n", "")


def test_where_fails_for_a_group_that_is_on_none_or_on_two(
    agent: Any, capsys: pytest.CaptureFixture[str], make_status: Callable[..., Json], reports: dict[str, Report]
) -> None:
    both = {
        n: msgspec.structs.replace(r, groups={"failover1": GroupReport(state="Online")}) for n, r in reports.items()
    }
    agent.views[""] = make_status(both)

    assert run(capsys, "-n", "container-recovery") == (
        1, "", "clpgrp: container-recovery: It is Offline on every server.\n",
    )  # fmt: skip
    code, out, err = run(capsys, "-n", "failover1")
    assert (code, out) == (1, "server1\nserver2\n")
    assert "at the same time" in err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("-s failover9", "There is no group failover9. Known: failover1, container-recovery."),
        ("-s failover1 -h server9", "There is no server server9. Known: server1, server2."),
        ("-m failover1 -a server9", "There is no server server9. Known: server1, server2."),
        ("-t failover1 -h server2", "failover1 is not active on server2, but on server1."),
        ("-s", "Every group is active already."),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(
    agent: Any, capsys: pytest.CaptureFixture[str], arguments: str, text: str
) -> None:
    assert run(capsys, *arguments.split()) == (1, "", f"clpgrp: {text}\n")
    assert agent.asked == []


@pytest.mark.parametrize(
    ("code", "expected"),
    [(0, (0, "Command succeeded.\n", "")), (1, (4, "", "clpgrp: why\n")), (2, (1, "", "clpgrp: why\n")),
     (3, (1, "", "clpgrp: why\n"))],
)  # fmt: skip
def test_answer_becomes_exit_code_and_reason(
    agent: Any, answered: Any, capsys: pytest.CaptureFixture[str], code: int, expected: tuple[int, str, str]
) -> None:
    agent.answer = lambda request: [{"progress": "on the way"}, answered(request, code, "word", "why")]

    assert run(capsys, "-m", "failover1") == expected


def test_error_of_the_agent_is_shown(agent: Any, capsys: pytest.CaptureFixture[str]) -> None:
    agent.answer = lambda request: [{"ok": False, "error": "Too many requests."}]

    assert run(capsys, "-m", "failover1") == (1, "", "clpgrp: Too many requests.\n")


def test_json_tells_each_result(agent: Any, answered: Any, capsys: pytest.CaptureFixture[str]) -> None:
    agent.answer = lambda request: [answered(request, 2, "not_in_policy", "Not there.")]

    code, out, _ = run(capsys, "--json", "-m", "failover1", "-a", "server2")

    assert code == 1
    assert json.loads(out) == {
        "ok": False,
        "code": 1,
        "results": [
            {"request": "group_move", "target": "failover1", "server": "server2", "code": 1,
             "reason": "not_in_policy", "text": "Not there."}
        ],
    }  # fmt: skip


@pytest.mark.slow
def test_no_answer_in_time_ends_with_4(
    agent: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.cli.client._SLACK_S", 0.2)
    agent.answer = lambda request: []

    code, _, err = run(capsys, "-m", "failover1", "--timeout", "0.1")

    assert code == 4
    assert "it may go on" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("", "One of the arguments -s -t -m -n is required."),
        ("-n", "-n needs the name of a group."),
        ("-s failover1 -a server2", "it goes with -m only."),
        ("-s -t", "not allowed with argument"),
        ("-s --timeout never", "'never' is not a number of seconds"),
    ],
)
def test_wrong_usage_ends_with_2(capsys: pytest.CaptureFixture[str], arguments: str, words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        clpgrp.main(arguments.split())

    assert ended.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.slow
def test_progress_is_shown_to_a_person(agent: Any, answered: Any) -> None:
    agent.answer = lambda request: [{"progress": "failover1: Offline Pending on server1"}, answered(request, 0)]
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "agent.cli.clpgrp", "-m", "failover1"]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=slave, timeout=30, check=False)
        shown = os.read(master, 65536).decode()
    finally:
        os.close(master)
        os.close(slave)

    assert done.stdout == b"Command succeeded.\n"
    assert "failover1: Offline Pending on server1" in shown
    assert shown.endswith("\r\033[K")
