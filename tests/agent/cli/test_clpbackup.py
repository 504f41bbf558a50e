"""clpbackup and clprestore: what they ask of whom, in which order, and that a loss is told before."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest

from agent.cli import client, clpbackup, clprestore
from tests.agent.cli import mirrors

Run = Callable[..., tuple[int, str, str]]
BEGIN, END = ("mirror_backup_begin", "md1", "server2"), ("mirror_backup_end", "md1", "server2")
RESTORE, RESTORED = ("mirror_restore_begin", "md1", "server2"), ("mirror_restore_end", "md1", "server2")
OFF, STOP, START, REBOOT = (("server_" + what, "server2", "") for what in ("shutdown", "stop", "start", "reboot"))


@pytest.fixture
def run(agent: Any, status: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """run(mirror, words, said=what stands on standard input, down=a server without service)."""

    def run(mirror: dict[str, Any], words: str, said: str = "", down: str = "") -> tuple[int, str, str]:
        servers = {name: {**one, "status": "Offline" if name == down else one["status"]}
                   for name, one in status["servers"].items()}  # fmt: skip
        agent.views[""] = {**status, "servers": servers, "mirrors": {"md1": mirror}}
        monkeypatch.setattr("sys.stdin", io.StringIO(said))
        command, _, rest = words.partition(" ")
        code = {"clpbackup": clpbackup, "clprestore": clprestore}[command].main(rest.split())
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def asked(agent: Any) -> list[tuple[str, str, str]]:
    return [(request["op"], request.get("target", ""), request.get("server", "")) for request in agent.asked]


@pytest.mark.parametrize(
    ("words", "down", "expected"),
    [
        ("clpbackup --pre -h server2", "", [BEGIN, OFF]),
        ("clpbackup --pre --no-shutdown -h server2 md1", "", [BEGIN, STOP]),
        ("clpbackup --pre --only-shutdown -h server2", "", [OFF]),
        ("clpbackup --pre --online -h server2", "", [BEGIN]),
        ("clpbackup --post -h server2", "", [END, REBOOT]),
        ("clpbackup --post --no-reboot -h server2", "server2", [END, START]),
        ("clpbackup --post --no-reboot -h server2", "", [END]),
        ("clpbackup --post --only-reboot -h server2", "", [REBOOT]),
        ("clprestore --pre --online -h server2", "", [RESTORE]),
        ("clprestore --post --only-reboot -h server2", "", [REBOOT]),
    ],
)
def test_each_flag_asks_for_what_it_means(run: Run, agent: Any, words: str, down: str, expected: list[Any]) -> None:
    assert run(mirrors.equal(), words, down=down)[0] == 0
    assert asked(agent) == expected
    mounts = [request["mount"] for request in agent.asked if request["op"] == BEGIN[0]]
    assert mounts == ["--online" in words] * len(mounts)


def test_what_was_refused_ends_it(run: Run, agent: Any) -> None:
    text = "It is active on server2."
    agent.answer = lambda request: [{"ok": False, "answer": {"id": request["id"], "code": 2, "text": text}}]
    code, _, error = run(mirrors.equal(), "clpbackup --pre -h server2")
    assert (code, asked(agent)) == (client.REFUSED, [BEGIN])
    assert "It is active on server2." in error


@pytest.mark.parametrize(("said", "done"), [("no\n", False), ("yes\n", True)])
def test_restore_tells_what_it_overwrites_and_asks(run: Run, agent: Any, said: str, done: bool) -> None:
    code, out, _ = run(mirrors.restoring(), "clprestore --post --online -h server2", said)
    assert "all that server1 has of it is overwritten" in out
    assert (code == 0, asked(agent)) == (done, [RESTORED] if done else [])


def test_restore_of_one_image_to_both_and_with_force(run: Run, agent: Any) -> None:
    run(mirrors.restoring(), "clprestore --post --online --skip-copy --force -y -h server2")
    assert (agent.asked[0]["same"], agent.asked[0]["force"]) == (True, True)


def test_nothing_is_asked_of_what_is_active(run: Run, agent: Any) -> None:
    code, _, error = run(mirrors.equal(), "clprestore --post --online -y -h server2")
    assert (code, asked(agent)) == (client.REFUSED, [])
    assert "active on server1. Stop its group first" in error


@pytest.mark.parametrize(
    ("mirror", "words"),
    [
        (mirrors.equal(), "not prepared for a backup or a restore"),
        (mirrors.separated(), "separated for a backup since 20"),
        (mirrors.restoring(), "a backup is being restored to it since 20"),
        (mirrors.alone(), "nothing is heard of it"),
    ],
)
def test_status_says_how_each_disk_is(run: Run, mirror: dict[str, Any], words: str) -> None:
    code, out, _ = run(mirror, "clpbackup --status -h server2")
    assert (code, out.startswith("md1 on server2: ")) == (0, True)
    assert words in out


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("clpbackup", "one of the arguments"),
        ("clpbackup --pre --no-reboot", "--no-reboot does not go with --pre"),
        ("clpbackup --post --online --no-reboot", "only one of"),
        ("clprestore --pre --skip-copy", "--skip-copy goes with --post only"),
    ],
)
def test_wrong_words(run: Run, capsys: pytest.CaptureFixture[str], words: str, why: str) -> None:
    with pytest.raises(SystemExit):
        run(mirrors.equal(), words)
    assert why in capsys.readouterr().err.replace("One", "one").replace("Only", "only")


@pytest.mark.parametrize("words", ["clpbackup --pre md9", "clpbackup --pre -h server9"])
def test_unknown_names_are_refused(run: Run, agent: Any, words: str) -> None:
    code, _, error = run(mirrors.equal(), words)
    assert (code, asked(agent)) == (client.REFUSED, [])
    assert "server9" in error or "md9" in error
