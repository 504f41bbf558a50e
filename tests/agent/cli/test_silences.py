"""clpstat --hb: the table of silences, and the note below the other tables when they come near the timeout."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from agent.cli import clpstat
from agent.wire.report import GapReport, HealthReport, PathReport, Report

Json = dict[str, Any]
NOW = time.time()
pytestmark = pytest.mark.usefixtures("agent")


def gaps(worst_ms: float, **more: Any) -> GapReport:
    figures = {"p50_ms": 100.1, "p99_ms": 104.0, "p999_ms": 113.0, "worst_at": 1_000_000_000.0, "since": NOW - 10800}
    return GapReport(worst_ms=worst_ms, **{**figures, **more})


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def measured(agent: Any, make_status: Callable[..., Json], reports: dict[str, Report]) -> Callable[..., None]:
    """measured(worst of server2 in ms, health=…): what server1 says from now on."""

    def measure(worst_ms: float, **health: Any) -> None:
        report = msgspec.structs.replace(
            reports["server1"],
            paths={"server2": {"lankhb1": PathReport(state="Normal", gaps=gaps(worst_ms + 10))}},
            hears={"server2": gaps(worst_ms)},
            health=HealthReport(**health),
        )
        agent.views[""] = make_status({**reports, "server1": report})

    return measure


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert clpstat.main(arguments) == 0
    return capsys.readouterr().out


def test_table_tells_peer_path_figures_and_share(
    measured: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    measured(900.0, late=gaps(3.0, p50_ms=0.1, p99_ms=0.4, p999_ms=1.0))

    assert (
        run(capsys, "--hb")
        == """\
 =======================  HEARTBEAT SILENCES  ========================
  Cluster : cluster
  Timeout 90000 ms, interval 3000 ms. Worst silence in 3 h: 900 ms,
  1 % of the timeout (server2, as heard by server1).
  Proposed timeout: 10000 ms or more (three intervals).

 *[on server1 : Online]
    peer          path             p50     p99   p99.9   worst      when   of timeout
    ------------------------------------------------------------------
    server2       all paths        100     104     113     900  01:46:40          1 %
                  lankhb1          100     104     113     910  01:46:40          1 %
    own lateness                   0.1     0.4     1.0     3.0  01:46:40          0 %

  [on server2 : Online]
    peer          path             p50     p99   p99.9   worst      when   of timeout
    ------------------------------------------------------------------
    nothing measured yet
 =====================================================================
"""
    )


def test_json_has_the_same_figures(measured: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    measured(900.0, suspects=True)
    shown = json.loads(run(capsys, "--hb", "--json"))

    assert shown["silence"]["worst_ms"] == 900
    assert shown["servers"]["server1"]["hears"]["server2"]["p999_ms"] == 113
    assert shown["servers"]["server1"]["paths"]["lankhb1"]["server2"]["worst_ms"] == 910
    assert shown["servers"]["server1"]["health"]["suspects"] is True


def test_nothing_measured_yet_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Too little was measured yet" in run(capsys, "--hb")


@pytest.mark.parametrize(("worst_ms", "option", "noted"), [(900, "-s", 0), (900, "-n", 1), (63000, "-s", 1)])
def test_silence_near_the_timeout_is_noted_below_every_table(
    measured: Callable[..., None], capsys: pytest.CaptureFixture[str], worst_ms: float, option: str, noted: int
) -> None:
    measured(worst_ms)

    assert run(capsys, option).count(" Note: The worst silence today is ") == noted


def test_server_that_suspects_itself_is_noted(
    measured: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    measured(900.0, suspects=True)

    assert " Note: server1 is short of time: it suspects itself first" in run(capsys)


def test_with_a_name_it_is_the_configuration_as_ever(home: Any, capsys: pytest.CaptureFixture[str]) -> None:
    code = clpstat.main(("--hb", "lanhb1"))

    assert code != 0  # There is no clp.conf here.
    assert os.fspath(home) in capsys.readouterr().err
