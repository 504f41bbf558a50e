"""clpsim: plays stories and seeds from the command line; bad input names place and remedy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.cli.clpsim import main

SCENARIOS = Path(__file__).parents[2] / "scenarios"
STORY = SCENARIOS / "server_crash"


def run(*words: str | Path) -> int:
    return main([str(word) for word in words])


def test_run_prints_what_the_story_is_recorded_to_print(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("run", STORY / "script", "--conf", STORY / "clp.conf") == 0

    out, err = capsys.readouterr()
    assert out == (STORY / "trace.expect").read_text()
    assert err == ""


@pytest.mark.parametrize("where", ["before", "after"])
def test_run_as_json(capsys: pytest.CaptureFixture[str], where: str) -> None:
    words = ["run", STORY / "script", "--conf", STORY / "clp.conf"]
    assert run(*(["--json", *words] if where == "before" else [*words, "--json"])) == 0

    shown = json.loads(capsys.readouterr().out)
    assert shown["ok"] is True
    assert shown["active_on"] == {"failover1": ["server1"], "failover2": ["server3"]}
    assert {"rc", "nm", "cp"} <= {note["module"] for note in shown["notes"]}


def test_broken_promise_is_told_and_fails(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    split = tmp_path / "split"
    split.write_text("at 15 split server1 | server2\nend 30\n")

    assert run("run", split, "--conf", SCENARIOS / "split_unsafe_and_reunion" / "clp.conf") == 1

    assert "failover1 is active on server1, server2" in capsys.readouterr().err


def test_bad_script_names_file_line_and_remedy(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.write_text("# a story\nat 5 crash server9\nend 9\n")

    assert run("run", bad, "--conf", STORY / "clp.conf") == 2

    assert capsys.readouterr().err == (
        f'clpsim: {bad}: line 2: There is no server "server9". Use one of server1, server2, server3.\n'
    )


def test_bad_configuration_names_its_place(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    bad = tmp_path / "clp.conf"
    bad.write_text("<root><cluster></root>")

    assert run("run", STORY / "script", "--conf", bad) == 2
    assert run("run", STORY / "script", "--conf", tmp_path / "none") == 2

    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"clpsim: {bad}:1:")
    assert second == f"clpsim: {tmp_path / 'none'} cannot be read: No such file or directory."


@pytest.mark.slow
@pytest.mark.slow
def test_strict_fuzz_finds_the_split_that_an_unsafe_configuration_allows(capsys: pytest.CaptureFixture[str]) -> None:
    conf = SCENARIOS / "split_unsafe_and_reunion" / "clp.conf"
    assert run("fuzz", "--conf", conf, "--seeds", "1..20", "--jobs", "1", "--json") == 0
    capsys.readouterr()
    assert run("fuzz", "--conf", conf, "--seeds", "1..20", "--jobs", "1", "--strict", "--json") == 1

    found = json.loads(capsys.readouterr().out)
    assert any("is active on" in text for texts in found["broken"].values() for text in texts)
    few, faults = min(found["needs"].values())
    assert few < faults, "it is made small"


def test_fuzz_counts_and_measures(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fuzz", "--seeds", "1..3", "--safe", "--json") == 0
    assert run("fuzz", "--seeds", "1") == 0

    first, second = capsys.readouterr().out.splitlines()
    found = json.loads(first)
    assert (found["seeds"], found["servers"], found["safe"], found["broken"]) == (3, 3, True, {})
    assert found["simulated_hours_per_minute"] > 0
    assert second.startswith("1 seeds, 0 broken; 0.0")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["fuzz", "--seeds", "9..1"], "'9..1' is no range of seeds: write 1..1000"),
        (["fuzz", "--seeds", "1..2", "--servers", "1"], "'1' is no number of servers from 2 to 32"),
        (["fuzz"], "--seeds"),
        (["run", "file"], "--conf"),
        ([], "run|fuzz"),
    ],
)
def test_wrong_usage(capsys: pytest.CaptureFixture[str], words: list[str], text: str) -> None:
    with pytest.raises(SystemExit) as ended:
        run(*words)

    assert ended.value.code == 2
    assert text in capsys.readouterr().err


def test_help_describes_the_language(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run("--help")

    out = capsys.readouterr().out
    assert ended.value.code == 0
    assert "at 10 split server1 server2 | server3" in out
    assert "exit codes:" in out
