"""The recorded cases of two other cluster managers: no violation, and a rule for every difference."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from agent.cli import clpsim
from agent.sim.replay.player import replay_all
from agent.sim.replay.reading import read

_RECORDS = Path(os.environ.get("OPENCLP_SCENARIOS") or Path(__file__).parents[4] / "shared" / "scenarios")
#: At least so many agree; what differs is explained. The figures rise with what the product can do.
_AGREE = {"three-server-failover.json": 31, "placement-decisions.json": 62}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not _RECORDS.is_dir(), reason="no recorded cases; name their directory with OPENCLP_SCENARIOS"),
]


@pytest.mark.parametrize("name", sorted(_AGREE))
def test_records_agree_or_differ_by_a_rule(name: str):
    results = list(replay_all(read((_RECORDS / name).read_bytes())))

    assert [line for r in results if r.verdict == "VIOLATION" for line in r.lines()] == []
    assert all(result.supported for result in results)
    assert sum(result.verdict == "agree" for result in results) >= _AGREE[name]


@pytest.mark.parametrize("name", sorted(_AGREE))
def test_last_line_of_the_command_counts(name: str, capsys: pytest.CaptureFixture[str]):
    cases = json.loads((_RECORDS / name).read_bytes())

    assert clpsim.main(["replay", str(_RECORDS / name)]) == 0

    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"{len(cases)} cases, ")
    assert last.endswith(" policy differences, 0 violations")
