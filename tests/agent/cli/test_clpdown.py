"""clpdown and clpstdn: what they ask the agent for, and what they refuse by themselves."""

from __future__ import annotations

from typing import Any

import pytest

from agent.cli import clpdown, clpstdn


@pytest.mark.parametrize(
    ("command", "arguments", "expected"),
    [
        (clpdown, "", ("server_shutdown", "server1")),
        (clpdown, "-r", ("server_reboot", "server1")),
        (clpdown, "-r -h server2", ("server_reboot", "server2")),
        (clpstdn, "", ("cluster_shutdown", "")),
        (clpstdn, "-r", ("cluster_reboot", "")),
    ],
)
def test_one_request(
    agent: Any, capsys: pytest.CaptureFixture[str], command: Any, arguments: str, expected: tuple[str, str]
) -> None:
    assert command.main(arguments.split()) == 0
    assert capsys.readouterr().out == "Command succeeded.\n"
    assert [(request["op"], request.get("target", "")) for request in agent.asked] == [expected]


def test_unknown_server_is_refused_and_nothing_is_asked(agent: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert clpdown.main(["-h", "server9"]) == 1
    assert "There is no server server9. Known: server1" in capsys.readouterr().err
    assert agent.asked == []
