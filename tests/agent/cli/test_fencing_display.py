"""clpstat -f: who may act, what decides it, fence devices, watchdogs and quarantine."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from agent.cli import clpcl, clpstat
from agent.clpconf import model
from agent.wire.epoch import Epoch
from agent.wire.peer import Quarantine, Table
from agent.wire.report import FenceReport, Report, ResolverReport, VoteReport
from agent.wire.status import build_status

Json = dict[str, Any]


def shown(capsys: pytest.CaptureFixture[str], agent: Any, status: Json) -> str:
    agent.views[""] = status
    assert clpstat.main(["-f"]) == 0
    # How wide the columns are is not the matter here.
    return re.sub(r" {2,}", "  ", re.sub(r" \.{2,}", "", capsys.readouterr().out))


def test_survivor_shows_the_votes_and_the_resolver(
    agent: Any, capsys: pytest.CaptureFixture[str], make_status: Callable[..., Json], reports: dict[str, Report]
) -> None:
    left = msgspec.structs.replace(
        reports["server1"], epoch=Epoch(3, 0), members=("server1",), lost=("server2",), resolvers={"httpnp1": True},
        resolving={"httpnp1": ResolverReport(since=1_700_000_000.0)},
        votes=VoteReport(voters=("server1", "server2", "httpnp1"), present=("server1", "httpnp1")),
    )  # fmt: skip

    out = shown(capsys, agent, make_status({"server1": left, "server2": reports["server2"]}, {"server2": 60.0}))

    assert "\n  may act: server1\n" in out
    assert "server1 may act: 2 of 3 votes agreed (server1, httpnp1 of server1, server2, httpnp1).\n" in out
    assert "its lease has run out and it has stopped its groups" in out
    assert "\n  httpnp1: http resolution\n" in out
    assert "\n  *server1  : Normal  since 20" in out
    assert "\n  server2  : Offline\n" in out
    assert "<forced stop>\n  None\n" in out


def test_devices_quarantine_and_disarm_are_shown_without_any_option_of_a_device(
    agent: Any, capsys: pytest.CaptureFixture[str], cluster: model.Cluster, reports: dict[str, Report]
) -> None:
    device = model.FenceDevice(name="bmc1", agent="fence_ipmilan", values={"password": "hunter2-secret"})
    config = msgspec.structs.replace(cluster, fences=(device,))
    proven = msgspec.structs.replace(
        reports["server1"], fences={"bmc1": FenceReport(at=9.0, result="failed", detail="exit code 1", proven=5.0)}
    )
    table = Table(epoch=Epoch(2, 0), version=1, disarmed=True,
                  quarantine={"server2": Quarantine(until=2_000_000_000.0, times=3, window_s=600.0)})  # fmt: skip
    sources = {name: (report, 0.1, "server1") for name, report in {**reports, "server1": proven}.items()}

    out = shown(capsys, agent, build_status(config, sources, table, 3.0))

    assert "\n  bmc1: fence_ipmilan, level 1\n" in out
    assert "last result  : failed: exit code 1" in out
    assert "DISARMED" in out
    assert "lost 3 times within 600 s (clpcl --release -h server2)" in out
    assert "hunter2-secret" not in out


def test_release_asks_for_the_server(agent: Any, capsys: pytest.CaptureFixture[str], answered: Any) -> None:
    agent.answer = lambda request: [answered(request, 0, "", "The quarantine of server2 is over.")]

    assert clpcl.main(["--release", "-h", "server2"]) == 0
    assert capsys.readouterr().out == "The quarantine of server2 is over.\n"
    assert [(r["op"], r["target"]) for r in agent.asked] == [("server_release", "server2")]
