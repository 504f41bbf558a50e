"""What two daemons ask each other about a mirror disk: who may go on alone, and who is gone."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from msgspec.structs import replace

from agent.daemon import mirror_questions as module
from agent.daemon.mirror import activation_epoch
from agent.daemon.mirror_questions import Questions
from agent.wire.epoch import NO_EPOCH, Epoch
from tests.agent.daemon.mirrors import EPOCH, TOGETHER, Bench, bench

__all__ = ["bench"]

VIEW = Epoch(7, 1)
BY = "agent@server2"


class View:
    epoch = VIEW
    members: tuple[str, ...] = ("server1", "server2")
    coordinator = "server1"
    stopped: frozenset[str] = frozenset()
    serial = 5

    def gone(self, server: str) -> bool:
        return server in self.stopped

    def next_serial(self) -> int:
        self.serial += 1
        return self.serial


class Table:
    """What Questions asks of the mirrors of a server."""

    def __init__(self, bench: Bench) -> None:
        self.by_name = {"md1": bench.mirror}
        self.expected: dict[tuple[str, str], asyncio.Event] = {}

    def expect(self, name: str, generation: str) -> asyncio.Event:
        return self.expected.setdefault((name, generation), asyncio.Event())

    def forget(self, name: str, generation: str) -> None:
        self.expected.pop((name, generation), None)


class Two:
    """server1 answers; server2 asks over a line that the test may cut."""

    def __init__(self, bench: Bench) -> None:
        self.view, self.cut = View(), False
        self.table = Table(bench)
        self.answers = Questions("server1", self.table, self.view, self._none)  # type: ignore[arg-type]
        self.other = View()
        self.asks = Questions("server2", self.table, self.other, self._forward)  # type: ignore[arg-type]

    async def _none(self, *_: Any) -> AsyncGenerator[dict[str, Any], None]:
        return
        yield {}

    async def _forward(self, server: str, line: dict[str, Any], wait_s: float) -> AsyncGenerator[dict[str, Any], None]:
        assert server == "server1"
        if not self.cut:
            yield await self.answers.answer(line["mirror"], BY)


@pytest.fixture
async def two(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Two:
    monkeypatch.setattr(module, "_TOLD_S", 0.2)
    bench.mirror.stand(replace(TOGETHER, held=None))
    return Two(bench)


def mirror_of(two: Two) -> Any:
    """server2's own mirror: its other side is on server1."""

    class Mirror:
        name, peer = "md1", "server1"

    return Mirror()


async def asked(two: Two) -> bool:
    return await two.asks.outdate(mirror_of(two), "g1", list(EPOCH))


async def test_other_side_writes_that_it_is_outdated(bench: Bench, two: Two):
    def told(order: dict[str, Any]) -> None:
        assert order == {"op": "outdate", "generation": "g1", "epoch": list(EPOCH)}
        two.table.expected["md1", "g1"].set()

    bench.process.answers["outdate"] = told

    assert await asked(two)
    assert not two.table.expected


async def test_active_side_is_never_outdated(bench: Bench, two: Two):
    bench.mirror.stand(TOGETHER)

    assert not await asked(two)
    assert not bench.process.of("outdate")


async def test_process_that_does_not_run_knows_nothing_either(bench: Bench, two: Two):
    bench.process.down()
    await bench.until(lambda: not bench.mirror.client.is_connected)
    bench.mirror.process.found(0)

    assert await asked(two)


@pytest.mark.slow
async def test_process_that_does_not_answer_is_killed_first(bench: Bench, two: Two):
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    bench.process.answers["outdate"] = lambda _: None
    bench.mirror.process.found(child.pid)

    assert await asked(two)
    assert os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1]) == -9


async def test_questions_of_another_view_or_a_stranger_are_not_answered(bench: Bench, two: Two):
    question = {"what": "outdate", "name": "md1", "generation": "g1", "epoch": list(EPOCH), "view": list(VIEW)}

    for by, changes in (("root@clpstat", {}), ("agent@server3", {}), (BY, {"view": [6, 1]}), (BY, {"name": "md2"})):
        assert not (await two.answers.answer({**question, **changes}, by))["ok"]
    two.view.epoch = NO_EPOCH
    assert not (await two.answers.answer(question, BY))["ok"]
    assert not bench.process.of("outdate")


async def test_coordinator_tells_who_has_certainly_stopped(two: Two):
    assert not await two.asks.gone("server3")
    two.view.stopped = frozenset({"server3"})
    assert await two.asks.gone("server3")
    assert not await two.asks.gone("server1")  # A member of the view.
    two.cut = True
    assert not await two.asks.gone("server3")


async def test_numbers_of_activations_by_hand_rise_with_the_orders(two: Two):
    first = await two.asks.number()
    assert first == activation_epoch(VIEW, 6)
    assert await two.asks.number() > first
    two.cut = True
    with pytest.raises(OSError, match="no number"):
        await two.asks.number()
