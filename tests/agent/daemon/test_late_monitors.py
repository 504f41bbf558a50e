"""openclp/delaywarning: from which part of its timeout on a monitor's answer is late, and how often that is told."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from agent.catalog import specs
from agent.clpconf.load import load
from agent.clpconf.model import Cluster, Monitor
from agent.clpconf.schema import TypeSpec
from agent.daemon.binding import BoundMonitor
from agent.daemon.monitors import MonitorRuns
from agent.engine.events import MonitorResult
from agent.monitors import Health, MonitorType

TIMEOUT_S = 10.0


async def watch(rate: int, *answers_s: float) -> tuple[list[MonitorResult], list[tuple[str, str]]]:
    """What a monitor reports and what is told of its slowness, when its checks take so long one after the other."""
    pauses, results, told = iter(answers_s), [], []
    ended = asyncio.Event()

    async def check(*_: Any) -> Health:
        await asyncio.sleep(next(pauses, 0))
        return Health(ok=True)

    def report(result: MonitorResult) -> None:
        results.append(result)
        if len(results) == len(answers_s):
            ended.set()

    monitor = Monitor(name="m1", type="probe", interval_s=20, timeout_s=TIMEOUT_S)
    bound = BoundMonitor(monitor, MonitorType(TypeSpec("probe", "Probe"), check), {}, {}, None)  # type: ignore[arg-type]
    machine = SimpleNamespace(cluster=Cluster(name="c", delay_warning=rate), monitor=lambda _name: bound)
    runs = MonitorRuns(machine, report, print, print, lambda *words: told.append(words))  # type: ignore[arg-type]
    runs.start("m1")
    await ended.wait()
    await runs.close()
    return results, told


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("rate", "answer_s", "late"),
    [(80, 7.9, False), (80, 8.1, True), (50, 5.1, True), (95, 9.4, False), (100, 9.9, False), (0, 0.1, True)],
)
async def test_answer_beyond_the_rate_is_a_warning(rate: int, answer_s: float, late: bool):
    results, told = await watch(rate, answer_s)

    assert (results[0].ok, results[0].warning, bool(results[0].detail)) == (True, late, late)
    assert told == ([("m1", f"answered after {answer_s} of 10 s")] if late else [])


@pytest.mark.virtual_time
async def test_slowness_is_told_when_it_begins_and_not_at_each_check():
    results, told = await watch(80, 1, 9, 9, 9, 1, 9)

    assert [result.warning for result in results] == [False, True, True, True, False, True]
    assert len(told) == 2


@pytest.mark.parametrize(("text", "rate"), [("", 80), ("<delaywarning>35</delaywarning>", 35)])
def test_rate_comes_from_the_file(text: str, rate: int):
    servers = '<server name="s"><device id="0"><type>lan</type><info>192.0.2.1</info></device></server>'
    data = (
        f"<root><cluster><name>c</name></cluster>{servers}<heartbeat><lanhb name='h'><device>0</device></lanhb>"
        f"</heartbeat><openclp>{text}</openclp></root>"
    )
    cluster = load(data.encode(), specs()).cluster

    assert cluster is not None
    assert cluster.delay_warning == rate
