"""The program that the kernel starts when it has lost the other side, against a real control socket."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path

import pytest

from agent.drbdd import handler
from agent.drbdd.handler import NO_WORD, OTHER_IS_OUT, main
from agent.drbdd.orders import Fence, Parted, order_of
from tests.agent.waiting import PATIENCE_S

HELLO = {"type": "hello", "version": 1, "pid": 1, "mirror": "md1"}
DIES, SILENT = "dies", "silent"


class Mirror:
    """Speaks to one handler after the other as `turns` says: codes, messages that go before them, or an end."""

    def __init__(self, path: str, *turns: object) -> None:
        self.path, self.turns = path, deque(turns)
        self.asked: list[dict[str, str]] = []
        self._open: list[socket.socket] = []
        self.end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.end.bind(path)
        self.end.listen(8)
        self.end.settimeout(0.05)
        self._over = False
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        """The last one again, as often as somebody asks who was too slow to hear it."""
        while not self._over:
            with contextlib.suppress(TimeoutError):
                peer, _ = self.end.accept()
                with contextlib.suppress(OSError):  # It may be gone before all is said.
                    self._turn(peer, self.turns[0])
                if len(self.turns) > 1:
                    self.turns.popleft()

    def _turn(self, peer: socket.socket, turn: object) -> None:
        peer.settimeout(PATIENCE_S)
        self._open.append(peer)
        peer.send(json.dumps(HELLO).encode())
        order = json.loads(peer.recv(1 << 16))
        self.asked.append(order)
        if turn == DIES:
            peer.close()
        elif turn != SILENT:
            for message in turn if isinstance(turn, list) else [turn]:
                said = message if isinstance(message, bytes) else json.dumps(self._message(message, order)).encode()
                peer.send(said)

    @staticmethod
    def _message(message: object, order: dict[str, str]) -> object:
        if isinstance(message, int):
            return {"type": "done", "id": order["id"], "code": message}
        if isinstance(message, dict) and message.get("id") == "yours":
            return {**message, "id": order["id"]}
        return message

    def close(self) -> None:
        self._over = True
        self.thread.join(PATIENCE_S)
        for end in (*self._open, self.end):
            end.close()


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(handler, "_AGAIN_S", 0.005)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(handler, "_ANSWER_S", 0.3)


@pytest.fixture
def control(tmp_path):
    return str(tmp_path / "mirror-md1.sock")


@pytest.fixture
def serve(control):
    made = []

    def _serve(*turns):
        made.append(Mirror(control, *turns))
        return made[-1]

    yield _serve
    for one in made:
        one.close()


def run(control, what="fence"):
    return main(["handler.py", control, what])


def test_permit_lets_io_go_on(serve, control):
    mirror = serve(OTHER_IS_OUT)

    assert run(control) == OTHER_IS_OUT == 7
    assert [order["op"] for order in mirror.asked] == ["fence"]


def test_refusal_leaves_io_frozen(serve, control):
    serve(NO_WORD)

    assert run(control) == NO_WORD == 1


@pytest.mark.parametrize(
    "answer",
    [{"type": "failed", "id": "yours", "why": "?"}, *({"id": "yours", "code": code} for code in ("7", 7.0, True, [7]))],
    ids=("failed", "text", "fraction", "claim", "list"),
)
def test_answer_without_a_code_is_no_permit(serve, control, answer):
    serve(answer)

    assert run(control) == NO_WORD


def test_words_for_others_are_passed_over(serve, control):
    state = {"type": "state", "code": 7}
    serve([state, {"type": "done", "id": "fence-1-1", "code": 7}, [7], "7", NO_WORD])

    assert run(control) == NO_WORD


def test_nobody_says_anything_is_asked_again(impatient, serve, control):
    mirror = serve(SILENT, SILENT, OTHER_IS_OUT)

    assert run(control) == OTHER_IS_OUT
    assert {order["op"] for order in mirror.asked} == {"fence"}
    assert len(mirror.asked) >= 3
    assert len({order["id"] for order in mirror.asked}) == 1


def test_process_that_dies_gives_no_word_and_the_next_one_is_asked(quick, serve, control):
    mirror = serve(DIES, DIES, OTHER_IS_OUT)

    assert run(control) == OTHER_IS_OUT
    assert len(mirror.asked) == 3


def test_rubbish_gives_no_word(quick, serve, control):
    mirror = serve([b"{", 7], [b"\xff", 7], NO_WORD)

    assert run(control) == NO_WORD
    assert len(mirror.asked) == 3


def waits_then(monkeypatch, times, then=lambda: None):
    """What the program does instead of sleeping; it is ended when that happened too often."""
    slept = []

    def sleep(seconds):
        slept.append(seconds)
        if len(slept) == times:
            then()
        assert len(slept) < 1000

    monkeypatch.setattr(handler.time, "sleep", sleep)
    return slept


def test_dead_process_is_waited_for(monkeypatch, serve, control):
    slept = waits_then(monkeypatch, 5, lambda: serve(OTHER_IS_OUT))

    assert run(control) == OTHER_IS_OUT
    assert slept == [0.5] * 5


def test_socket_that_a_dead_process_left_behind_is_waited_at(monkeypatch, serve, control):
    left = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    left.bind(control)
    left.close()

    def comes():
        os.unlink(control)
        serve(OTHER_IS_OUT)

    slept = waits_then(monkeypatch, 3, comes)

    assert run(control) == OTHER_IS_OUT
    assert len(slept) == 3


def test_split_brain_is_told_once(serve, control):
    mirror = serve(0)

    assert run(control, "parted") == 0
    assert [order["op"] for order in mirror.asked] == ["parted"]


@pytest.mark.parametrize("turns", [(), (DIES,), (SILENT,), ([b"{"],)], ids=("dead", "dies", "silent", "rubbish"))
def test_split_brain_that_nobody_hears_does_not_hold_the_kernel(impatient, monkeypatch, serve, control, turns):
    waits_then(monkeypatch, 1, lambda: pytest.fail("it waits"))
    asks, ask = [], handler.ask
    monkeypatch.setattr(handler, "ask", lambda *arguments: (asks.append(1), ask(*arguments))[1])
    if turns:
        serve(*turns)

    assert (run(control, "parted"), len(asks)) == (0, 1)


@pytest.mark.parametrize("argv", [[], ["h"], ["h", "/c"], ["h", "/c", "promote"], ["h", "/c", "fence", "x"]])
def test_wrong_call_gives_no_word(argv, capsys):
    assert main(argv) == NO_WORD
    assert capsys.readouterr().err == "usage: handler.py CONTROL fence|parted\n"


def test_process_understands_what_the_handler_asks(serve, control):
    mirror = serve(OTHER_IS_OUT, 0)
    run(control)
    run(control, "parted")

    fence, parted = (order_of(json.dumps(order).encode()) for order in mirror.asked)
    assert (fence, parted) == (Fence(id=mirror.asked[0]["id"]), Parted(id=mirror.asked[1]["id"]))


@pytest.mark.slow
@pytest.mark.parametrize("code", [OTHER_IS_OUT, NO_WORD])
def test_as_the_kernel_starts_it(serve, control, code):
    """With nothing but the standard library, and with an empty environment."""
    serve(code)
    program = str(Path(handler.__file__))

    done = subprocess.run([sys.executable, "-I", "-S", program, control, "fence"], env={}, check=False, timeout=60)

    assert done.returncode == code
