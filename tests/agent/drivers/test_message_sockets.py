"""Message sockets between the processes of one server: who does not read, who goes, who speaks rubbish."""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.drivers.message_sockets import MESSAGES_A_TURN, Correspondent, listen, messages

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


class Loop:
    def __init__(self) -> None:
        self.watched: dict[int, Callable[[], None]] = {}
        self.lost = 0
        self.end = Correspondent(self.watched.__setitem__, self.watched.pop, self._count)

    def _count(self) -> None:
        self.lost += 1


@pytest.fixture
def loop() -> Loop:
    return Loop()


def nothing() -> None:
    pass


@pytest.mark.parametrize("rubbish", [b"\xff", b"[]", b"{"])
def test_rubbish_ends_what_is_read(pair: Pair, rubbish: bytes) -> None:
    ours, theirs = pair
    for data in (b'{"op":"alive"}', rubbish, b'{"op":"never read"}'):
        theirs.send(data)

    assert list(messages(ours)) == [{"op": "alive"}, None]


def test_nobody_waits_and_nobody_is_kept_from_other_work(pair: Pair) -> None:
    ours, theirs = pair
    assert list(messages(None)) == list(messages(ours)) == []
    for number in range(MESSAGES_A_TURN + 1):
        theirs.send(json.dumps({"n": number}).encode())

    assert [m and m["n"] for m in messages(ours)] == list(range(MESSAGES_A_TURN))
    theirs.close()
    assert list(messages(ours)) == [{"n": MESSAGES_A_TURN}, None]


def test_who_does_not_read_is_behind_and_not_lost(pair: Pair, loop: Loop) -> None:
    ours, theirs = pair
    loop.end.open(ours, nothing)
    while not loop.end.behind:
        loop.end.send({"text": "x" * 1000})

    assert (loop.end.connected, loop.lost) == (True, 0)
    theirs.recv(2000)
    loop.end.behind = False
    loop.end.send({"text": "again"})
    assert not loop.end.behind


def test_who_is_gone_is_lost_once_and_forgotten(pair: Pair, loop: Loop) -> None:
    ours, theirs = pair
    loop.end.open(ours, nothing)
    assert list(loop.watched.values()) == [nothing]
    theirs.close()
    loop.end.send({})
    loop.end.send({})
    loop.end.close()

    assert (loop.end.connected, loop.lost, loop.watched) == (False, 1, {})
    assert list(loop.end.read()) == []


def test_newest_caller_takes_the_place_of_the_one_before(tmp_path: Path, loop: Loop) -> None:
    path = tmp_path / "it.sock"
    path.touch()  # Left behind by one that was killed.
    with listen(str(path)) as listener:
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        assert not loop.end.accept(listener, nothing)
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as first,
            socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as second,
        ):
            first.connect(str(path))
            assert loop.end.accept(listener, nothing)
            second.connect(str(path))
            assert loop.end.accept(listener, nothing)
            loop.end.send({"to": "second"})

            assert (first.recv(100), second.recv(100)) == (b"", b'{"to": "second"}')
            loop.end.close()
    assert loop.lost == 2
