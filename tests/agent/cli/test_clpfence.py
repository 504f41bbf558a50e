"""clpfence: what it asks the agent for, what it shows, and that nothing dangerous happens unasked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.cli import clpfence
from agent.drivers.fence import FENCE_PATH
from agent.wire.peer import Request

METADATA = (
    '<resource-agent name="fence_x" shortdesc="Agent for X"><longdesc>Cuts.</longdesc><parameters>'
    '<parameter name="ip" required="1"><content type="string"/><shortdesc>Address</shortdesc></parameter>'
    '<parameter name="passwd"><content type="string" default="x"/><shortdesc>Secret word</shortdesc></parameter>'
    '</parameters><actions><action name="off"/></actions></resource-agent>'
)
DEVICE = {
    "name": "bmc", "agent": "fence_x", "level": 1, "delay_s": 0.0, "targets": ["server1", "server2"],
    "last_proven": 0.0, "last_result": "failed", "detail": "exit code 1", "servers": {},
}  # fmt: skip


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = clpfence.main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def asked(agent: Any) -> list[tuple[str, str, str]]:
    """Every request is one that the agent can decode."""
    via = [request.pop("via") for request in agent.asked]
    requests = [msgspec.convert(request, Request) for request in agent.asked]
    return [(request.op, request.target, at) for request, at in zip(requests, via, strict=True)]


@pytest.fixture
def agents(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "fence_x"
    program.write_text(f"#!/bin/sh\necho '{METADATA}'\n")
    program.chmod(0o755)
    monkeypatch.setenv(FENCE_PATH, str(tmp_path))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("test server2", ("fence_test", "server2", "")),
        ("test bmc -h server2", ("fence_test", "bmc", "server2")),
        ("test server2 --off -y", ("fence_off", "server2", "")),
        ("confirm server2 -y", ("fence_confirm", "server2", "")),
        ("arm", ("fence_arm", "", "")),
        ("disarm", ("fence_disarm", "", "")),
    ],
)
def test_each_command_is_one_request(
    agent: Any, capsys: pytest.CaptureFixture[str], arguments: str, expected: tuple[str, str, str]
) -> None:
    assert run(capsys, *arguments.split())[0] == 0
    assert asked(agent) == [expected]


@pytest.mark.parametrize("arguments", ["test server2 --off", "confirm server2"])
def test_what_can_destroy_needs_a_yes(agent: Any, capsys: pytest.CaptureFixture[str], arguments: str) -> None:
    code, _, err = run(capsys, *arguments.split())

    assert code == 1
    assert "-y, or an answer of yes, is needed" in err
    assert agent.asked == []


def test_disarming_prints_the_word_of_each_server(agent: Any, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "disarm")

    assert code == 0
    assert out.splitlines()[0] == "Command succeeded."
    assert "Watchdog of server1: none" in out
    assert "Watchdog of server2: none" in out


def test_devices_are_shown_with_what_was_proven(agent: Any, capsys: pytest.CaptureFixture[str]) -> None:
    agent.views[""]["fences"] = {"bmc": DEVICE}

    code, out, _ = run(capsys)

    assert code == 0
    rows = [line.split() for line in out.splitlines()[:2]]
    assert rows[0] == ["DEVICE", "AGENT", "LEVEL", "TARGETS", "LAST", "PROVEN", "LAST", "RESULT"]
    assert rows[1] == ["bmc", "fence_x", "1", "server1", "server2", "never", "failed:", "exit", "code", "1"]
    assert json.loads(run(capsys, "--json")[1])["fences"] == [DEVICE]


def test_without_a_device_it_says_where_to_configure_one(agent: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert "No fence device is configured (clp.conf, /root/openclp/fence)." in run(capsys, "status")[1]


def test_agents_and_their_options_are_shown(agents: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "list") == (0, "fence_x  Agent for X\n", "")
    code, out, _ = run(capsys, "show", "fence_x")

    assert code == 0
    assert "  ip (required)\n      Address\n" in out
    assert "  passwd (secret)\n      Secret word\n" in out
    options = json.loads(run(capsys, "show", "fence_x", "--json")[1])["options"]
    assert [(o["name"], o["required"], o["secret"], o["default"]) for o in options] == [
        ("ip", True, False, None), ("passwd", False, True, None),
    ]  # fmt: skip
    assert run(capsys, "show", "fence_y")[0] == 1


@pytest.mark.parametrize("arguments", ["test", "confirm", "arm server1", "list --off", "shoot"])
def test_wrong_usage_is_said(capsys: pytest.CaptureFixture[str], arguments: str) -> None:
    with pytest.raises(SystemExit) as ended:
        clpfence.main(arguments.split())

    assert ended.value.code == 2
    assert "Try clpfence --help." in capsys.readouterr().err
