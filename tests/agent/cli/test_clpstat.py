"""clpstat: the text of the original, to the column, and the truth about what is old."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.cli import client, clpstat
from agent.wire.report import GroupReport, Report

Json = dict[str, Any]

# The form of the Podman sample (names, comments, resolution) with a group of the Kubernetes one, whose name is cut.
GOLDEN = """\
 ========================  CLUSTER STATUS  ===========================
  Cluster : cluster
  <server>
   *server1 .........: Online           Primary server
      lankhb1        : Normal           Kernel Mode LAN Heartbeat
      httpnp1        : Unused           http resolution
    server2 .........: Online           Secondary server
      lankhb1        : Normal           Kernel Mode LAN Heartbeat
      httpnp1        : Unused           http resolution
  <group>
    failover1 .......: Online           Group for HTTP
      current        : server1
      exec-mariadb1  : Online__________
      md1            : Online__________
    container-recove : Online__________
      current        : server2
      exec2          : Online__________
  <monitor>
    mdnw1            : Normal___________
    userw1           : Normal           User mode monitor
 =====================================================================
""".replace("Online__________", "Online           ").replace("Normal___________", "Normal            ")

GOLDEN_LONG = """\
 ========================  CLUSTER STATUS  ===========================
  Cluster : cluster
  <server>
   *server1 ..........................: Online           Primary server
      lankhb1                         : Normal           Kernel Mode LAN Heartbeat
      httpnp1                         : Unused           http resolution
    server2 ..........................: Online           Secondary server
      lankhb1                         : Normal           Kernel Mode LAN Heartbeat
      httpnp1                         : Unused           http resolution
  <group>
    failover1 ........................: Online           Group for HTTP
      current                         : server1
      exec-mariadb1                   : Online__________
      md1                             : Online__________
    container-recovery ...............: Online__________
      current                         : server2
      exec2                           : Online__________
  <monitor>
    mdnw1                             : Normal___________
    userw1                            : Normal           User mode monitor
 =====================================================================
 Note: Age of what is shown: server1 0.1 s, server2 0.1 s.
""".replace("Online__________", "Online           ").replace("Normal___________", "Normal            ")

GOLDEN_MAP = """\
 ======================  GROUPMAP INFORMATION  =======================
  Cluster : cluster
   *server0 : server1
    server1 : server2

  --------------------------------------------------------------------
    server0 [o] : failover1[o]_
    server1 [o] : container-recovery[o]_
 =====================================================================
""".replace("_\n", " \n")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = clpstat.main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), GOLDEN),
        (("-s",), GOLDEN),
        (("--local",), GOLDEN),
        (("--long",), GOLDEN_LONG),
        (("-g",), GOLDEN_MAP),
    ],
)
def test_text_is_that_of_the_original(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], expected: str
) -> None:
    assert run(capsys, *arguments) == (0, expected, "")


def test_stopped_cluster_shows_offline_and_none(
    agent: Any, capsys: pytest.CaptureFixture[str], make_status: Callable[..., Json], reports: dict[str, Report]
) -> None:
    stopped = {n: Report(server=n, incarnation=1, seq=2, service="stopped") for n in reports}
    agent.views[""] = make_status(stopped)

    _, out, _ = run(capsys)

    assert "   *server1 .........: Offline          Primary server\n" in out
    assert "      lankhb1        : Offline          Kernel Mode LAN Heartbeat\n" in out
    assert "    failover1 .......: Offline          Group for HTTP\n      current        : None\n" in out
    assert "    mdnw1            : Offline           \n" in out


def test_old_data_is_shown_as_unknown_with_its_age(
    agent: Any, capsys: pytest.CaptureFixture[str], make_status: Callable[..., Json], reports: dict[str, Report]
) -> None:
    agent.views[""] = make_status(reports, {"server2": 12.34})

    code, out, _ = run(capsys)

    assert code == 0
    assert "    server2 .........: Unknown          Secondary server\n" in out
    assert "    container-recove : Unknown          \n      current        : Unknown\n" in out
    assert out.partition(f" {'=' * 69}\n")[2].splitlines()[0] == (
        " Note: server2 is Unknown. No news of this server; its state is the last known one. Last news 12.3 s ago."
    )


def test_group_active_twice_cannot_be_overlooked(
    agent: Any, capsys: pytest.CaptureFixture[str], make_status: Callable[..., Json], reports: dict[str, Report]
) -> None:
    both = msgspec.structs.replace(reports["server2"], groups={"failover1": GroupReport(state="Online")})
    agent.views[""] = make_status({**reports, "server2": both})

    _, out, _ = run(capsys)

    assert "    failover1 .......: Online Failure   Group for HTTP\n      current        : server1, server2\n" in out
    assert " Note: failover1: Active on server1 and server2 at the same time." in out


@pytest.mark.usefixtures("agent")
def test_lines_that_scripts_search_for_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    heartbeats = run(capsys, "-n")[1].splitlines()
    monitors = run(capsys, "-m")[1].splitlines()

    assert [line.strip() for line in heartbeats if line.strip().startswith("[on server") and "Online" in line] == [
        "[on server0 : Online]",
        "[on server1 : Online]",
    ]
    assert [line for line in monitors if "Monitor" in line and line.endswith("Normal]")] == [
        "  Monitor0 : [mdnw1 : Normal]",
        "  Monitor1 : [userw1 : Normal]",
    ]


@pytest.mark.usefixtures("agent")
def test_json_is_the_documented_status(capsys: pytest.CaptureFixture[str], status: Json) -> None:
    code, out, _ = run(capsys, "--json")

    assert code == 0
    assert json.loads(out) == status


def test_other_servers_view_is_asked_through_the_agent_here(
    agent: Any, capsys: pytest.CaptureFixture[str], status: Json
) -> None:
    agent.views["server2"] = status

    code, out, _ = run(capsys, "-h", "server2")

    assert code == 0
    assert "    server1 .........: " in out
    assert "   *server2 .........: " in out
    assert agent.seen[-1] == {"op": "status", "via": "server2"}


@pytest.mark.usefixtures("agent")
def test_other_server_that_does_not_answer_ends_with_3(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "-h", "server9") == (3, "", "clpstat: server9 does not answer.\n")


def test_without_an_agent_it_ends_with_3_and_the_remedy(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "--json")

    assert code == 3
    assert json.loads(out)["code"] == 3
    assert err == (
        "clpstat: The agent does not run on this server "
        f"(nobody answers at {home}/run/agent.sock). Start it with clpcl -s.\n"
    )


@pytest.mark.parametrize("raw", [b"rubbish\n", b"[1]\n", b"\xff\n", b'{"ok":true}\n', b'{"ok":false}\n'])
def test_answers_that_are_no_status_end_with_a_sentence(
    agent: Any, capsys: pytest.CaptureFixture[str], raw: bytes
) -> None:
    agent.raw = raw

    code, out, err = run(capsys)

    assert code in (1, 3)
    assert out == ""
    assert err.startswith("clpstat: ")
    assert len(err.splitlines()) == 1


@pytest.mark.slow
def test_agent_that_dies_meanwhile_ends_with_3(agent: Any, capsys: pytest.CaptureFixture[str]) -> None:
    agent.raw = b""
    timer = threading.Timer(0.1, agent.die)
    timer.start()

    code, _, err = run(capsys)

    timer.join()
    assert code == 3
    assert err.startswith("clpstat: The agent ended the connection without an answer.")


@pytest.mark.slow
def test_agent_that_hangs_ends_with_3(
    agent: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    agent.raw = b""
    monkeypatch.setattr(client, "_STATUS_TIMEOUT_S", 0.3)

    assert run(capsys) == (3, "", "clpstat: The agent does not answer in time. Its agent.log says why.\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-g", "-m"), "not allowed with argument"),
        (("--local", "-h", "server2"), "--local and -h exclude each other."),
        (("--nonsense",), "Unrecognized arguments: --nonsense."),
        (("--watch", "0"), "'0' is not a number of seconds"),
        (("-i", "--watch"), "--watch shows states"),
    ],
)
def test_wrong_usage_ends_with_2(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        clpstat.main(arguments)

    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_help_lists_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        clpstat.main(["--help"])

    assert ended.value.code == 0
    assert "  3  no agent answers\n" in capsys.readouterr().out


def read_until(stream: io.BufferedReader, words: str, deadline_s: float = 30.0) -> str:
    """What came until `words` came; the process's end or the deadline is a failure."""
    end = time.monotonic() + deadline_s
    found = ""
    while words not in found:
        assert time.monotonic() < end, found
        piece = os.read(stream.fileno(), 65536)
        assert piece, found
        found += piece.decode()
    return found


@pytest.mark.slow
def test_watch_redraws_on_change_and_says_when_the_agent_is_gone(
    agent: Any, make_status: Callable[..., Json], reports: dict[str, Report], home: Path
) -> None:
    command = [sys.executable, "-m", "agent.cli.clpstat", "--watch"]
    moved = msgspec.structs.replace(reports["server1"], groups={}, resources={})
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0) as process:
        try:
            read_until(process.stdout, "current        : server1")
            agent.change(make_status({**reports, "server1": moved}))
            read_until(process.stdout, "current        : None")
            agent.die()
            read_until(process.stderr, "What stands above is old.")
            (home / "run" / "agent.sock").unlink()
            agent.views[""] = make_status(reports)
            agent.listen()
            read_until(process.stdout, "current        : server1")
        finally:
            process.terminate()


@pytest.mark.slow
@pytest.mark.usefixtures("agent")
def test_watch_clears_the_screen_of_a_terminal_only() -> None:
    command = [sys.executable, "-m", "agent.cli.clpstat", "--watch"]
    master, slave = pty.openpty()
    try:
        with (
            subprocess.Popen(command, stdout=slave, stderr=subprocess.DEVNULL) as process,
            open(master, "rb", buffering=0, closefd=False) as screen,
        ):
            try:
                assert read_until(screen, "CLUSTER STATUS").startswith("\033[H\033[2J")
            finally:
                process.terminate()
    finally:
        os.close(master)
        os.close(slave)


@pytest.mark.slow
@pytest.mark.usefixtures("agent")
def test_closed_pipe_is_no_traceback() -> None:
    read, write = os.pipe()
    os.close(read)

    done = subprocess.run([sys.executable, "-m", "agent.cli.clpstat"], stdout=write, stderr=subprocess.PIPE, timeout=30)

    os.close(write)
    assert done.stderr == b""


@pytest.mark.slow
@pytest.mark.usefixtures("agent")
def test_states_are_shown_without_the_xml_reader() -> None:
    code = "import sys; from agent.cli import clpstat; clpstat.main([]); print([m for m in sys.modules if 'lxml' in m])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)

    assert done.stdout.splitlines()[-1] == "[]"
