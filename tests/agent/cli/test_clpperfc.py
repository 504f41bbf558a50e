"""clpperfc: one integer for scripts, a table for people."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from agent.cli import clpperfc, clpstat
from agent.wire.report import MonitorReport, Report, ResponseReport

Json = dict[str, Any]
FIGURES = ResponseReport(
    p50_ms=12.0, p95_ms=20.0, p99_ms=400.0, p999_ms=410.0, worst_ms=600.0, worst_at=1_700_000_000.0, count=90,
    timeouts=2, low_ms=10.0, mid_ms=12.6, high_ms=20.0,
)  # fmt: skip


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = clpperfc.main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def measured(agent: Any, make_status: Callable[..., Json], reports: dict[str, Report]) -> Any:
    state = {"userw1": MonitorReport(state="Normal", elapsed_ms=99.0), "mdnw1": MonitorReport(state="Unknown")}
    changed = msgspec.structs.replace(reports["server1"], monitors=state, responses={"userw1": FIGURES})
    agent.views[""] = make_status({**reports, "server1": changed})
    return agent


@pytest.mark.usefixtures("measured")
def test_one_monitor_is_one_integer(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "-m", "userw1") == (0, "13\n", "")


@pytest.mark.usefixtures("measured")
def test_what_cannot_be_told_is_refused_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "-m", "mdnw1") == (
        1, "", "clpperfc: mdnw1 has no good answer on server1 yet; it is Unknown.\n",
    )  # fmt: skip
    assert run(capsys, "-m", "nothing")[2].startswith("clpperfc: There is no monitor nothing.")
    assert run(capsys, "-h", "nowhere")[2].startswith("clpperfc: There is no server nowhere.")


@pytest.mark.usefixtures("measured")
def test_table_tells_share_and_proposal_with_its_rule(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys)

    assert code == 0
    rows = {line.split()[0]: line for line in out.splitlines()}
    assert "12.0 ms  20.0 ms  400 ms  600 ms" in rows["userw1"]
    assert "1.2 s" not in rows["userw1"]
    assert rows["userw1"].endswith("1200 ms (twice the longest answer)")
    assert rows["mdnw1"].split()[2:] == ["Unknown", *"-" * 8]


@pytest.mark.usefixtures("measured")
def test_clpstat_tells_how_near_they_came(capsys: pytest.CaptureFixture[str]) -> None:
    assert clpstat.main(["-m"]) == 0

    out = capsys.readouterr().out
    assert "server0 [o] : Normal           longest 600 ms, 1 % of the timeout\n" in out


@pytest.mark.usefixtures("measured")
def test_json_has_the_figures_of_all_servers(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "-a", "--json")

    found = {(row["monitor"], row["server"]): row["responses"] for row in json.loads(out)}
    assert found["userw1", "server1"]["timeouts"] == 2
    assert found["userw1", "server2"] is None
