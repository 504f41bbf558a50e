"""clpmdstat: the lines that scripts of the original's users read, what is wrong, and what next."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.cli import clpmdstat
from tests.agent.cli import mirrors

Show = Callable[..., tuple[int, str, str]]


@pytest.fixture
def show(agent: Any, status: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> Show:
    """show(mirror, words): what the command prints while the agent says that."""

    def run(mirror: dict[str, Any] | None, *words: str) -> tuple[int, str, str]:
        agent.views[""] = {**status, "mirrors": {mirror["name"]: mirror} if mirror else {}}
        code = clpmdstat.main(words)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def fields(out: str, label: str) -> list[str]:
    """As awk sees the line."""
    return next(line for line in out.splitlines() if label in line).split()


def test_names_are_listed_in_brackets(show: Show) -> None:
    code, out, _ = show(mirrors.equal(), "-l")

    assert code == 0
    assert out.split()[0] == "<md1>"


def test_scripts_find_colors_and_times_where_the_original_has_them(show: Show) -> None:
    _, out, _ = show(mirrors.alone(), "-m", "md1")

    assert fields(out, "Mirror Color")[2:4] == ["GREEN", "RED"]
    assert len(fields(out, "Lastupdate")[2:4][0].split("/")) == 3
    assert fields(out, "Lastupdate")[2:4] > fields(out, "Break")[2:4]


@pytest.mark.parametrize(
    ("mirror", "word"),
    [
        (mirrors.equal(), "Normal"),
        (mirrors.copying(), "Recovering"),
        (mirrors.diverged(), "Abnormal"),
        (mirrors.empty(), "No Construction"),
    ],
)
def test_status_is_the_originals_word(show: Show, mirror: dict[str, Any], word: str) -> None:
    assert show(mirror, "--mirror", "md1")[1].startswith(f" Mirror Status: {word}\n")


def test_recovery_tells_progress_rate_and_remaining_time(show: Show) -> None:
    _, out, _ = show(mirrors.copying(), "-m", "md1")

    assert "Recovery: server1 -> server2" in out
    assert "40 %  (40.0 MiB of 100 MiB)" in out
    assert "Remaining time 3 s" in out


@pytest.mark.parametrize(
    ("mirror", "said"),
    [
        (mirrors.alone(), "server2 lacks 12.0 MiB."),
        (mirrors.alone(), "Mend server2 or the mirror connect"),
        (mirrors.diverged(), "each has what the other one lacks."),
        (mirrors.doubtful(), "server1 cannot know whether server2 has gone on without it."),
        (mirrors.mirror(None, None), "No server says anything of md1."),
    ],
)
def test_what_is_wrong_is_said_with_what_next(show: Show, mirror: dict[str, Any], said: str) -> None:
    assert said in show(mirror, "-m", "md1")[1]


def test_connects_and_activity(show: Show) -> None:
    assert "* mdc1" in show(mirrors.equal(), "--connect", "md1")[1]
    assert "No route to host." in show(mirrors.alone(), "-c", "md1")[1]
    assert fields(show(mirrors.equal(), "--active", "md1")[1], "Activity")[1:] == ["Active", "Inactive"]


def test_unknown_mirror_is_refused_with_the_known_ones(show: Show) -> None:
    assert show(mirrors.equal(), "-m", "md9")[::2] == (
        1, "clpmdstat: There is no mirror disk md9. Known: md1.\n",
    )  # fmt: skip


def test_json_is_the_whole_state(show: Show) -> None:
    assert json.loads(show(mirrors.equal(), "-m", "md1", "--json")[1])["servers"]["server1"]["relation"] == "equal"


def test_without_an_agent_the_mirror_process_is_asked(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = mirrors.side("server1", "server2", active=True, mode="mirrored")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.bind(os.fspath(home / "run" / "mirror-md1.sock"))
        server.listen()

        def tell() -> None:
            client, _ = server.accept()
            with client:
                client.send(json.dumps({"type": "hello", "version": 1, "pid": 1, "mirror": "md1"}).encode())
                client.send(json.dumps({"type": "state", "a field of tomorrow": 1, **state}).encode())

        process = threading.Thread(target=tell)
        process.start()
        code = clpmdstat.main(["-m", "md1"])
        process.join(10)

    captured = capsys.readouterr()
    assert code == 0
    assert fields(captured.out, "Mirror Color")[2:] == ["GREEN", "GREEN"]
    assert "The agent does not run on this server" in captured.err


def test_a_dead_process_leaves_its_side_unknown(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.bind(os.fspath(home / "run" / "mirror-md1.sock"))  # Nobody listens any more.

        assert clpmdstat.main(["-m", "md1"]) == 0

    assert "No server says anything of md1." in capsys.readouterr().out
