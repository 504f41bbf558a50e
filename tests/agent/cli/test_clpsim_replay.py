"""clpsim replay: output, JSON, exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.cli import clpsim

CASE: dict[str, Any] = {
    "id": "one", "nodes": {"a": {"standby": False}, "b": {"standby": False}}, "state": {"a": "online", "b": "online"},
    "groups": {"r1": ["r1"]}, "initial": {"r1": ["Started", "a", ""]}, "quorum": True,
    "policy": {"no-quorum-policy": "ignore"}, "final": {"r1": "a"},
}  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "cases.json"
    path.write_text(json.dumps([CASE, CASE | {"id": "two", "final": {"r1": "b"}}]))
    return path


def test_each_case_is_told_and_counted(file: Path, capsys: pytest.CaptureFixture[str]):
    assert clpsim.main(["replay", str(file)]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines if not line.startswith(" ")][:2] == [["one", "agree"], ["two", "differs"]]
    assert "    differs by stay: r1: ours a, theirs b; a group that runs well stays where it is: nothing is moved to " \
           "balance the load" in lines  # fmt: skip
    assert lines[-1] == "2 cases, 1 agree, 1 policy differences, 0 violations"


def test_one_case_as_json(file: Path, capsys: pytest.CaptureFixture[str]):
    assert clpsim.main(["replay", str(file), "--case", "two", "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["totals"]) == (True, {"cases": 1, "agree": 0, "policy_differences": 1, "violations": 0})
    assert [(c["id"], c["verdict"], c["placement"]) for c in told["cases"]] == [("two", "differs", {"r1": "a"})]
    assert "stay" in told["rules"]


def test_violation_is_exit_code_1(file: Path, capsys: pytest.CaptureFixture[str]):
    """A server that is well and must not be fenced: theirs was, and nothing that the case states explains it."""
    file.write_text(json.dumps([CASE | {"fence": [["off", "a", "somebody wanted it"]]}]))

    assert clpsim.main(["replay", str(file)]) == 1

    out = capsys.readouterr().out
    assert "VIOLATION: fence a: ours not fenced, theirs fenced, and no rule explains it" in out
    assert out.endswith("1 cases, 0 agree, 0 policy differences, 1 violations\n")


@pytest.mark.parametrize(("text", "words"), [("nonsense", "not JSON"), (None, "cannot be read")])
def test_unusable_file_is_wrong_usage(
    tmp_path: Path, text: str | None, words: str, capsys: pytest.CaptureFixture[str]
):  # fmt: skip
    path = tmp_path / "cases.json"
    if text is not None:
        path.write_text(text)

    assert clpsim.main(["replay", str(path)]) == 2
    assert words in capsys.readouterr().err


def test_unknown_case_is_wrong_usage(file: Path, capsys: pytest.CaptureFixture[str]):
    assert clpsim.main(["replay", str(file), "--case", "three"]) == 2
    assert "has no case 'three'" in capsys.readouterr().err
