"""What readers are told, when, and how old it is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.daemon.observer import Observer
from agent.wire.report import Report
from tests.agent.daemon.shell import StandIn, small_cluster


class Times:
    now = 1000.0
    unlinked_s = 0.0


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[StandIn]:
    made = StandIn(tmp_path)
    made.reports["server2"] = (Report(server="server2", incarnation=1, seq=1), 400.0)
    yield made
    made.journal.close()


@pytest.fixture
def times() -> Times:
    return Times()


@pytest.fixture
def observer(agent: StandIn, times: Times) -> Observer:
    cluster = small_cluster()
    return Observer(cluster, "server1", agent, agent.journal, lambda: times.now, lambda _: times.unlinked_s)


def test_report_of_a_peer_that_is_heard_and_linked_is_fresh_however_long_ago_it_came(observer: Observer):
    assert observer.ages() == {"server1": 0.0, "server2": 0.0}


def test_report_ages_from_when_its_server_fell_silent(observer: Observer, times: Times):
    observer.peer_lost("server2", 990.0)
    times.now = 1005.0
    assert observer.ages()["server2"] == 15.0

    observer.peer_heard("server2")
    assert observer.ages()["server2"] == 0.0


def test_report_ages_while_no_link_could_bring_a_newer_one(observer: Observer, times: Times):
    times.unlinked_s = 3.0
    assert observer.ages()["server2"] == 3.0


def test_report_is_never_older_than_its_arrival(observer: Observer, agent: StandIn, times: Times):
    agent.reports["server2"] = (agent.reports["server2"][0], 999.0)
    times.unlinked_s = 300.0
    assert observer.ages()["server2"] == 1.0


async def test_changes_close_together_wake_a_reader_once(agent: StandIn):
    with agent.observer.subscribed() as changed:
        for _ in range(10):
            agent.set_group("Online")
        async with asyncio.timeout(30):
            await changed.wait()
        changed.clear()
        await asyncio.sleep(0.05)

        assert not changed.is_set()


async def test_step_that_changes_nothing_wakes_nobody(agent: StandIn):
    with agent.observer.subscribed() as changed:
        agent.observer.touch()
        await asyncio.sleep(0.05)

        assert not changed.is_set()
