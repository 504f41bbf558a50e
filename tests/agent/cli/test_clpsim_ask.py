"""clpsim whatif, sweep, prove and fuzz on a clp.conf: what they print, their JSON, their exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.cli.clpsim import main
from agent.engine.membership import Membership

SCENARIOS = Path(__file__).parents[2] / "scenarios"
SAFE = SCENARIOS / "paused_server_majority_fenced" / "clp.conf"
UNSAFE = SCENARIOS / "split_unsafe_and_reunion" / "clp.conf"


def run(*words: str | Path) -> int:
    return main([str(word) for word in words])


def test_whatif_shows_where_what_goes_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("whatif", SAFE, "--event", "crash server1") == 0

    out = capsys.readouterr().out
    row = next(line for line in out.splitlines() if line.startswith("failover1 "))
    assert row.split()[:4] == ["failover1", "server1", "server2", "3.2"]
    assert "[failover-policy]" in row
    assert "Server server1 is down: not heard for 3.00 s on any path. [heartbeat-timeout]" in out


def test_whatif_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("whatif", SAFE, "--event", "crash server1", "--slow", "exec1=5", "--json") == 0

    found = json.loads(capsys.readouterr().out)
    assert found["events"] == ["crash server1"]
    assert found["fates"]["failover1"]["after"] == ["server2"]
    assert found["fates"]["failover1"]["outage_s"] == pytest.approx(8.1, abs=0.05)
    assert found["at_rest"] is True
    assert found["steps"][0]["at_s"] == 0


def test_whatif_that_ends_in_a_split_fails_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("whatif", UNSAFE, "--event", "cut lanhb1", "--event", "cut lanhb2") == 1

    assert "NOT SAFE: failover1 was active on server1 and server2 from 3.0 s on." in capsys.readouterr().out


def test_sweep_is_a_table_and_names_what_is_not_covered(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("sweep", SAFE) == 1

    out = capsys.readouterr().out
    assert "server1 fails                      yes      failover1 moves to server2 in 3.2 s" in out
    assert "  fip1 stops working on server1: failover1: no monitor watches fip1: nobody would notice" in out
    assert out.splitlines()[-1].endswith("not covered.")


def test_sweep_of_pairs_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("sweep", SAFE, "--double", "--json") == 1

    found = json.loads(capsys.readouterr().out)
    assert (found["failures"], found["not_covered"]) == (3, len([r for r in found["rows"] if r["gaps"]]))
    assert {row["failure"]["kind"] for row in found["rows"]} == {"servers"}


def test_prove_says_yes_with_the_cuts_and_exits_with_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("prove", UNSAFE) == 1

    out = capsys.readouterr().out.splitlines()
    assert out[0] == "Yes: two servers can run the same group, by these cuts:"
    assert any("lanhb1 fails as a whole; lanhb2 fails as a whole: failover" in line for line in out)


@pytest.mark.slow
def test_prove_says_no_with_its_assumptions(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("prove", SAFE, "--faults", "2") == 0
    assert run("prove", SAFE, "--faults", "2", "--json") == 0

    text, found = capsys.readouterr().out.split("{", 1)
    assert text.startswith("No: within this model no two servers can run the same group at once.")
    assert "  - the watchdog resets a server that hangs, in time;" in text
    assert json.loads("{" + found)["can_split"] is False


@pytest.mark.slow
def test_fuzz_plays_the_own_configuration_in_processes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fuzz", "--seeds", "1..40", "--conf", SAFE, "--jobs", "2", "--json") == 0

    found = json.loads(capsys.readouterr().out)
    assert (found["seeds"], found["servers"], found["broken"]) == (40, 3, {})


def test_fuzz_prints_the_trace_of_one_seed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fuzz", "--seed", "3", "--safe", "--trace") == 0

    lines = capsys.readouterr().out.splitlines()
    assert any(line.split()[2:4] == ["heal", "everything"] for line in lines)
    assert lines[-1].startswith("1 seeds, 0 broken")


@pytest.mark.slow
def test_broken_seed_is_made_small_and_can_be_played_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Membership, "gone", lambda *_: True)

    assert run("fuzz", "--seed", "15", "--safe") == 1
    told = next(line for line in capsys.readouterr().out.splitlines() if "to see it:" in line)
    command = told.split("to see it: clpsim ")[1].split()
    assert "--without" in command
    assert run(*command) == 1

    assert "VIOLATION" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["whatif", SAFE, "--event", "crash server9"], 'event 1: There is no server "server9". Use one of server1'),
        (["whatif", SAFE, "--event", "crash server1", "--slow", "exec9=3"], 'There is no resource "exec9". Use one of'),
        (["sweep", SCENARIOS / "nothing"], "cannot be read: No such file or directory."),
    ],
)
def test_bad_question_names_place_and_remedy(capsys: pytest.CaptureFixture[str], words: list[str], text: str) -> None:
    assert run(*words) == 2

    assert text in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["whatif", SAFE], "--event"),
        (["whatif", SAFE, "--event", "crash server1", "--slow", "exec1"], "'exec1' is not like exec1=12.5"),
        (["prove", SAFE, "--faults", "9"], "'9' is no number of faults from 1 to 4"),
        (["fuzz", "--seed", "1", "--without", "a"], "'a' is no list of fault numbers: write 0,3,17"),
        (["sweep", SAFE, "--jobs", "0"], "'0' is no number of processes from 1 to 64"),
    ],
)  # fmt: skip
def test_wrong_usage(capsys: pytest.CaptureFixture[str], words: list[str], text: str) -> None:
    with pytest.raises(SystemExit) as ended:
        run(*words)

    assert ended.value.code == 2
    assert text in capsys.readouterr().err
