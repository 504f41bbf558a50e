"""clpmdctrl: what it asks the agent for, and that nothing is lost without a yes to a report of what that would be."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from agent.cli import clpmdctrl
from agent.wire.peer import Request
from tests.agent.cli import mirrors

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(agent: Any, status: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """run(mirror, words, said=what stands on standard input)."""

    def run(mirror: dict[str, Any], words: str, said: str = "") -> tuple[int, str, str]:
        agent.views[""] = {**status, "mirrors": {"md1": mirror}}
        monkeypatch.setattr("sys.stdin", io.StringIO(said))
        code = clpmdctrl.main(words.split())
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def asked(agent: Any) -> list[Request]:
    for request in agent.asked:
        request.pop("via")
    return [msgspec.convert(request, Request) for request in agent.asked]


@pytest.mark.parametrize(
    ("words", "op", "server"),
    [
        ("-a md1", "mirror_activate", "server1"),
        ("--active -nomount md1", "mirror_activate", "server1"),
        ("-d md1", "mirror_deactivate", "server1"),
        ("--deactive md1", "mirror_deactivate", "server1"),
        ("--break md1", "mirror_break", "server1"),
        ("-b md1 -h server2", "mirror_break", "server2"),
        ("-r md1", "mirror_join", "server1"),
        ("--verify md1", "mirror_verify", "server1"),
        ("--verify --repair md1", "mirror_verify", "server1"),
        ("--verify-stop md1", "mirror_verify_stop", "server1"),
        ("--pace 20M md1", "mirror_pace", "server1"),
    ],
)
def test_each_is_one_request(run: Run, agent: Any, words: str, op: str, server: str) -> None:
    assert run(mirrors.equal(), words)[0] == 0
    (request,) = asked(agent)
    assert (request.op, request.target, request.server) == (op, "md1", server)
    assert request.mount == ("nomount" not in words)
    assert request.bytes_s == (20 << 20 if "pace" in words else 0)
    assert request.force == ("repair" in words)


@pytest.mark.parametrize(
    ("mirror", "words", "loss"),
    [
        (mirrors.diverged(), "-f md1", "Lost for good: 3.0 MiB that only server2 has, written since"),
        (mirrors.diverged(), "-f server2 md1", "Lost for good: 12.0 MiB that only server1 has, written since"),
        (mirrors.doubtful(), "--force md1", "How much only server2 has is not known"),
        (mirrors.doubtful(), "-a md1 -f", "How much only server2 has is not known"),
        (mirrors.empty(), "-f server2 md1", "what is on server1 is overwritten"),
    ],
)
def test_force_tells_the_loss_and_wants_a_yes(
    run: Run, agent: Any, mirror: dict[str, Any], words: str, loss: str
) -> None:
    code, out, err = run(mirror, words)

    assert code == 1
    assert loss in out
    assert "Nothing was done" in err
    assert agent.asked == []
    assert run(mirror, words, said="yes\n")[0] == 0
    assert run(mirror, words, said="y\ny\n")[0] == 0
    assert run(mirror, f"{words} -y")[0] == 0
    wanted = "mirror_activate" if "-a" in words else "mirror_force"
    assert [(one.op, one.target) for one in asked(agent)] == [(wanted, "md1")] * 3


def test_force_names_whose_data_stay(run: Run, agent: Any) -> None:
    run(mirrors.diverged(), "-f server2 md1 -y")

    assert asked(agent)[0].server == "server2"


@pytest.mark.parametrize(
    ("mirror", "why"),
    [
        (mirrors.equal(), "Both servers have the same data already"),
        (mirrors.copying(), "is being copied to server2 already"),
        (mirrors.alone(), "The copy begins by itself"),
    ],
)
def test_nothing_to_force_is_refused_with_the_reason(run: Run, agent: Any, mirror: dict[str, Any], why: str) -> None:
    code, _, err = run(mirror, "-f md1 -y")

    assert code == 1
    assert why in err
    assert agent.asked == []


def test_what_is_active_there_is_never_given_up(run: Run, agent: Any) -> None:
    one = mirrors.side("server1", "server2", color="RED", relation="foreign", peer_active=True)
    two = mirrors.side("server2", "server1", relation="foreign", active=True)
    code, _, err = run(mirrors.mirror(one, two), "-f server1 md1 -y")

    assert code == 1
    assert "Stop its group first" in err
    assert agent.asked == []


@pytest.mark.parametrize(
    "words",
    [
        "md1",
        "-a -d md1",
        "-f server1 md1 md2",
        "-b md1 md2",
        "-d -nomount md1",
        "-r -rcancel md1",
        "--pace fast md1",
        "-r --repair md1",
    ],
)
def test_wrong_usage_is_told(run: Run, agent: Any, words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        run(mirrors.equal(), words)
    assert ended.value.code == 2
    assert agent.asked == []


def test_resize_says_what_to_do_instead(run: Run, agent: Any) -> None:
    code, _, err = run(mirrors.equal(), "--resize 5G md1")

    assert code == 1
    assert "clpmdinit --create force" in err
    assert agent.asked == []


def test_waiting_ends_when_both_are_equal(
    run: Run, agent: Any, status: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clpmdctrl, "_LOOK_S", 0.0)
    views = iter((mirrors.copying(10 << 20), mirrors.copying(90 << 20), mirrors.equal()))
    agent.look = lambda: {**status, "mirrors": {"md1": next(views)}}
    code, out, _ = run(mirrors.equal(), "--rwait md1")

    assert (code, out) == (0, "Both servers have the same data of md1.\n")


def test_waiting_for_what_needs_somebody_is_refused_at_once(run: Run) -> None:
    code, _, err = run(mirrors.diverged(), "--rwait md1 -timeout 600 -rcancel")

    assert code == 1
    assert "does not recover by itself" in err
    assert "force the recovery" in err


def test_waiting_in_vain_can_end_the_copy(run: Run, agent: Any) -> None:
    assert run(mirrors.copying(), "--rwait md1 -timeout 0.01")[0] == 4
    assert agent.asked == []
    assert run(mirrors.copying(), "--rwait md1 -timeout 0.01 -rcancel")[0] == 4
    (request,) = asked(agent)
    assert (request.op, request.target, request.server) == ("mirror_break", "md1", "server2")
