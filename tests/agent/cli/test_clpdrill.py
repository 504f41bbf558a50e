"""clpdrill list: how each drill stands, also while log and report of its server do not agree yet."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from agent.cli import clpdrill
from agent.messages.drills import BEGUN, OVER
from agent.wire.drill import DrillReport
from agent.wire.report import Report

Json = dict[str, Any]


def listed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert clpdrill.main(["list"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return [re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME", line) for line in captured.out.splitlines()]


def note(event: int, *params: str, ago_s: float = 0.0, number: int = 1) -> Json:
    return {"id": f"server2:1:{number}", "time": time.time() - ago_s, "module": "apisv", "event": event,
            "params": params, "text": f"The drill on server2 is over: {params[-1]}."}  # fmt: skip


@pytest.fixture
def begun(agent: Any) -> Callable[[float], None]:
    """begun(ago_s): server2 has written that a drill of 30 s began."""

    def write(ago_s: float) -> None:
        agent.notes = [note(BEGUN, "d1", "server2", "crash of server2", "30", "alice@192.0.2.7", ago_s=ago_s)]

    return write


def test_drill_that_has_just_begun_is_said_to_have_begun(begun: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The log is asked of its server; that server's report comes with the next heartbeats."""
    begun(0.0)

    (line,) = listed(capsys)

    assert re.sub(r"\d+\.\d s", "0.1 s", line) == (
        "TIME  d1  crash of server2  begun 0.1 s ago; the report of server2 that it runs has not come yet"
    )


def test_drill_that_runs_is_not_said_to_have_an_unknown_end(
    agent: Any, begun: Any, make_status: Any, reports: dict[str, Report], capsys: pytest.CaptureFixture[str]
) -> None:
    begun(2.0)
    now = time.time()
    drill = DrillReport(id="d1", kind="crash", began=now - 2, ends=now + 28, what="crash of server2", by="alice")
    agent.views[""] = make_status({**reports, "server2": msgspec.structs.replace(reports["server2"], drill=drill)})

    assert listed(capsys) == [
        "RUNNING on server2: crash of server2, until TIME, asked for by alice",
        "TIME  d1  crash of server2  it runs, until TIME at the latest",
    ]


def test_start_of_its_server_is_told_as_the_end_of_a_drill(
    agent: Any, begun: Any, make_status: Any, reports: dict[str, Report], capsys: pytest.CaptureFixture[str]
) -> None:
    begun(2.0)
    agent.views[""] = make_status(
        {**reports, "server2": msgspec.structs.replace(reports["server2"], incarnation=2)}
    )  # fmt: skip

    assert listed(capsys) == [
        "TIME  d1  crash of server2  server2 has been started anew since, and knows nothing of it any more"
    ]


def test_end_that_is_overdue_is_told_with_what_is_known_of_the_server(
    begun: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    begun(100.0)

    assert listed(capsys) == [
        "TIME  d1  crash of server2  no end is known; it was to end by TIME, and server2 is Online now"
    ]


def test_end_is_told_in_the_words_of_its_server(agent: Any, begun: Any, capsys: pytest.CaptureFixture[str]) -> None:
    begun(5.0)
    agent.notes.append(note(OVER, "d1", "server2", "its time has passed", number=2))

    assert listed(capsys) == ["TIME  d1  crash of server2  The drill on server2 is over: its time has passed."]
    assert clpdrill.main(["list", "--json"]) == 0
    assert [one["end"] for one in json.loads(capsys.readouterr().out)["drills"]] == [
        "The drill on server2 is over: its time has passed."
    ]


def test_no_drill_is_said(agent: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert listed(capsys) == ["No drill runs, and the servers know of none."]
