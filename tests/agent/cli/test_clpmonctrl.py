"""clpmonctrl: what it asks the agent for, what it prints, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from agent.cli import clpmonctrl
from agent.wire.peer import Request
from agent.wire.report import MonitorReport, Report

Json = dict[str, Any]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = clpmonctrl.main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def wishes(agent: Any) -> list[tuple[str, str, str]]:
    """Every request is one that the agent can decode."""
    requests = [msgspec.convert(request, Request) for request in agent.asked]
    return sorted((request.op, request.target, request.server) for request in requests)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("-s -m userw1", ("monitor_suspend", "userw1", "server1")),
        ("-r -m userw1 -h server2", ("monitor_resume", "userw1", "server2")),
        ("-e -m userw1 -a", ("monitor_fail", "userw1", "")),
        ("-n -m userw1 userw1", ("monitor_mend", "userw1", "server1")),
    ],
)
def test_one_monitor_is_one_request(
    agent: Any, capsys: pytest.CaptureFixture[str], arguments: str, expected: tuple[str, str, str]
) -> None:
    code, out, err = run(capsys, *arguments.split())

    assert (code, err) == (0, "")
    assert out.endswith("Command succeeded.\n")
    assert wishes(agent) == [expected]
    assert agent.asked[0]["by"].endswith("@clpmonctrl")


def test_without_names_all_monitors_are_meant(agent: Any, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "-s")

    assert (code, out) == (0, "Suspend userw1 : Command succeeded.\nSuspend mdnw1 : Command succeeded.\n")
    assert wishes(agent) == [("monitor_suspend", "mdnw1", "server1"), ("monitor_suspend", "userw1", "server1")]


def test_dummy_failure_of_everything_is_not_offered(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(capsys, "-e")

    assert ended.value.code == 2
    assert "-e needs -m" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("-s -m nonew", "There is no monitor nonew. Known: userw1, mdnw1."),
        ("-s -h server9", "There is no server server9. Known: server1, server2."),
    ],
)
def test_unknown_names_are_refused_with_the_known_ones(
    agent: Any, capsys: pytest.CaptureFixture[str], arguments: str, text: str
) -> None:
    assert run(capsys, *arguments.split()) == (1, "", f"clpmonctrl: {text}\n")
    assert agent.asked == []


def test_refusal_of_the_cluster_is_told(
    agent: Any, capsys: pytest.CaptureFixture[str], answered: Callable[..., Json]
) -> None:
    agent.answer = lambda request: [answered(request, 2, "not_there", "userw1 does not run on server1.")]

    assert run(capsys, "-s", "-m", "userw1") == (1, "", "clpmonctrl: userw1 does not run on server1.\n")


def test_show_lists_state_run_and_recoveries(
    agent: Any, capsys: pytest.CaptureFixture[str], make_status: Callable[..., Json], reports: dict[str, Report]
) -> None:
    bad = MonitorReport(state="Error", detail="No process.", elapsed_ms=12.34, restarts=2, failovers=1)
    changed = msgspec.structs.replace(reports["server1"], monitors={"userw1": bad})
    agent.views[""] = make_status({**reports, "server1": changed})

    code, out, _ = run(capsys, "-v", "-m", "userw1")
    assert code == 0
    assert [line.split() for line in out.splitlines()] == [
        ["MONITOR", "SERVER", "STATUS", "NEWEST", "RUN", "RESTARTS", "FAILOVERS", "DETAIL"],
        ["userw1", "server1", "Error", "12.3", "ms", "2", "1", "No", "process."],
    ]
    code, out, _ = run(capsys, "-v", "-a", "--json")
    assert {(row["monitor"], row["server"]) for row in json.loads(out)} == {
        ("userw1", "server1"), ("userw1", "server2"), ("mdnw1", "server1"), ("mdnw1", "server2"),
    }  # fmt: skip
