"""An asynchronous mirror in its process: what is told at once, what waits for whom, what is said of a loss."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from agent.mirrord.paced import Paced
from agent.mirrord.poller import Poller
from tests.agent.mirrord.pair import Pair, Server

BLOCK = 4096


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(tmp_path)
    for server in (pair.a, pair.b):
        server.settings = msgspec.structs.replace(server.settings, asynchronous=True, queue_most=8)
    pair.build()
    yield pair
    pair.close()


class Held:
    """Nothing arrives at one side until it is let go."""

    def __init__(self, pair: Pair, name: str) -> None:
        self.end = pair.wire.ends[name]
        self.end.hear = lambda: None

    def let_go(self) -> None:
        del self.end.hear
        while self.end.inbox:
            self.end.hear()


def write(pair: Pair, server: Server, *numbers: int) -> None:
    """One block each; all are acknowledged."""
    requests = [server.write(number * BLOCK, bytes([number]) * BLOCK) for number in numbers]
    pair.until(lambda: all(request.answered for request in requests))
    assert {request.error for request in requests} == {0}


def test_write_and_flush_are_acknowledged_before_the_other_side_has_them(pair: Pair) -> None:
    held = Held(pair, "b")

    write(pair, pair.a, 1, 2, 3)
    flush = pair.a.ask("flush")
    pair.until(lambda: flush.answered)

    assert pair.b.image()[BLOCK : 4 * BLOCK] == bytes(3 * BLOCK)
    state = pair.a.engine.state()
    assert (state["asynchronous"], state["queued"], state["queued_bytes"]) == (True, 3, 3 * BLOCK)
    held.let_go()
    pair.until(lambda: pair.a.engine.state()["queued"] == 0)
    assert pair.b.image() == pair.a.image()


def test_full_queue_breaks_the_mirror_and_keeps_nobody_waiting(pair: Pair) -> None:
    held = Held(pair, "b")

    write(pair, pair.a, *range(1, 30))

    assert any("too far behind" in note for note in pair.a.notes)
    assert pair.b.side.past.outdated or not pair.b.side.past.whole
    held.let_go()
    pair.until(pair.equal)
    pair.until(lambda: pair.b.image() == pair.a.image())
    assert pair.a.side.active


def test_move_sends_first_what_waits(pair: Pair) -> None:
    held = Held(pair, "b")
    write(pair, pair.a, 1, 2, 3)
    pair.a.order({"op": "deactivate", "id": "move"})
    pair.poller.turn(0.05)
    assert not pair.a.told("deactivated")

    held.let_go()
    pair.until(lambda: pair.a.told("deactivated"))
    pair.activate(pair.b)
    pair.until(lambda: pair.b.device is not None)

    assert pair.b.image() == pair.a.image()
    assert not any("may be missing" in note for note in pair.b.notes)


def test_who_follows_says_since_when_something_may_be_missing_and_who_comes_back_what_is_given_up(pair: Pair) -> None:
    pair.until(lambda: pair.b.engine.behind.complete_at)
    held = Held(pair, "b")
    write(pair, pair.a, 1, 2, 3)
    pair.a.kill()
    held.let_go()

    pair.view(pair.b, permitted=(pair.epoch + 1, 0))
    pair.activate(pair.b, alone=True)
    pair.until(lambda: pair.b.device is not None)

    assert any("may be missing" in note for note in pair.b.notes)
    assert pair.b.engine.state()["lacks_at"] == pair.b.engine.behind.complete_at
    write(pair, pair.b, 9)
    pair.a.start()
    pair.view(pair.a, since=9)
    pair.view(pair.b)
    pair.until(pair.equal)
    assert any("are given up" in note for note in pair.a.notes)
    pair.until(lambda: pair.a.image() == pair.b.image() and not pair.b.engine.state()["lacks_at"])
    assert pair.a.image()[BLOCK : 4 * BLOCK] == bytes(3 * BLOCK)


def test_order_to_follow_waits_while_the_other_server_is_there_and_has_more(pair: Pair) -> None:
    held = Held(pair, "b")
    write(pair, pair.a, 1, 2, 3)
    pair.a.kill()
    held.let_go()
    pair.until(lambda: pair.b.side.relation == "apart")

    pair.activate(pair.b)
    pair.poller.turn(0.05)
    state = pair.b.engine.state()
    assert "may have the newest writes" in state["doubt"]
    assert state["losses"]["text"].startswith("What a has acknowledged")
    assert not pair.b.side.active

    pair.a.start()
    pair.view(pair.a)
    pair.until(lambda: pair.b.device is not None)
    assert pair.b.image() == pair.a.image()
    assert not any("may be missing" in note for note in pair.b.notes)


def test_active_side_whose_disk_fails_says_so_and_the_other_one_follows(pair: Pair) -> None:
    write(pair, pair.a, 1)
    pair.a.engine._disk_failed("The data partition could not be written.")
    pair.until(lambda: pair.b.side.relation == "apart")

    pair.activate(pair.b)
    pair.until(lambda: pair.b.device is not None)

    assert pair.b.image()[BLOCK : 2 * BLOCK] == b"\1" * BLOCK
    assert pair.a.told("stood_down")


@pytest.mark.slow
def test_limit_of_the_bandwidth_holds_the_link_back_and_keeps_the_order() -> None:
    poller = Poller(1)
    sent: list[tuple[float, int]] = []
    link = SimpleNamespace(send=lambda kind, seq, *rest: sent.append((poller.now(), seq)))
    paced = Paced(poller, link, 1_000_000)
    began = poller.now()

    for seq in range(20):
        paced.send(16, seq, payload=b"x" * 50_000)
    assert len(sent) < 20
    while len(sent) < 20:
        poller.turn(0.05)
    poller.close()

    assert [seq for _, seq in sent] == list(range(20))
    # The last one goes when 19 x 50 kB are paid for, less the burst.
    assert sent[-1][0] - began > 0.6
