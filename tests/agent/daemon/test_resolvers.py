"""Ping resolution: every group needs an answer, and silence is noticed before a peer is taken for dead."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agent.clpconf.model import Cluster, Device, PartitionResolver, Server
from agent.daemon.resolvers import PingResolvers, groups_of
from agent.drivers import icmp
from agent.engine.detector import LEASE
from agent.engine.events import ResolverState
from tests.agent.waiting import until_true

VALUES = {
    "grp@0/list@0/ip": "10.0.0.1", "grp@0/list@1/ip": "10.0.0.2", "grp@1/list@0/ip": "10.0.1.1",
}  # fmt: skip
TIMEOUT_S = 0.5
virtual_time = pytest.mark.virtual_time


def now() -> float:
    return asyncio.get_running_loop().time()


def cluster(values: dict[str, str], info: str = "1", interval_s: float = 0.1) -> Cluster:
    resolver = PartitionResolver(name="pingnp1", type="pingnp", priority=0, device=10200, values=values)
    device = Device(id=10200, type="ping", info=info)
    servers = (Server(name="server1", priority=0, devices=(device,)),)
    return Cluster(name="c", interval_s=interval_s, timeout_s=TIMEOUT_S, servers=servers, resolvers=(resolver,))


class Network:
    """Addresses that answer, and what was told."""

    def __init__(self, *answering: str) -> None:
        self.answering = set(answering)
        self.told: list[ResolverState] = []
        self.asked: list[float] = []
        self.every = 1  # so many requests for one answer
        self.task: asyncio.Task[None]

    async def ping(self, address: Any, timeout_s: float) -> float | None:
        self.asked.append(now())
        if str(address) in self.answering and len(self.asked) % self.every == 0:
            return 0.0
        await asyncio.sleep(timeout_s)
        return None

    def start(self, of: Cluster) -> None:
        self.task = asyncio.create_task(PingResolvers(of, "server1", self.told.append, now, self.ping).run())

    def states(self) -> list[bool]:
        return [state.ok for state in self.told]


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    it = Network("10.0.0.1", "10.0.0.2", "10.0.1.1")
    yield it
    it.task.cancel()
    await asyncio.gather(it.task, return_exceptions=True)


@virtual_time
async def test_every_group_needs_one_address_that_answers(network: Network):
    network.start(cluster(VALUES))
    await until_true(lambda: network.states() == [True])
    network.answering -= {"10.0.0.1"}
    await asyncio.sleep(TIMEOUT_S)
    assert network.states() == [True]
    network.answering -= {"10.0.1.1"}
    await until_true(lambda: network.states() == [True, False])
    assert network.told[-1].detail == "no answer from 10.0.1.1"
    network.answering |= {"10.0.1.1"}

    await until_true(lambda: network.states() == [True, False, True])


@virtual_time
async def test_silence_is_told_after_a_lease_and_before_the_timeout(network: Network):
    network.start(cluster(VALUES))
    await until_true(lambda: network.states() == [True])
    times = []
    for _ in range(3):
        network.answering.clear()
        cut_at = now()
        await until_true(lambda: not network.states()[-1])
        times.append(now() - cut_at)
        network.answering |= {"10.0.0.1", "10.0.1.1"}
        await until_true(lambda: network.states()[-1])

    assert min(times) > (LEASE - 0.25) * TIMEOUT_S  # Counted from the newest request that was answered.
    assert max(times) < TIMEOUT_S


@virtual_time
async def test_silent_from_the_beginning_is_told_once(network: Network):
    network.answering.clear()
    network.start(cluster(VALUES))
    await until_true(lambda: network.told)
    await asyncio.sleep(TIMEOUT_S)

    assert network.states() == [False]
    assert network.told[0].detail == "no answer from 10.0.0.1 and 10.0.0.2; nor from 10.0.1.1"


@virtual_time
@pytest.mark.parametrize(("info", "values"), [("", VALUES), ("0", VALUES), ("1", {})])
async def test_not_used_here_is_said(network: Network, info: str, values: dict[str, str]):
    network.start(cluster(values, info))
    await until_true(lambda: network.told)

    assert network.states() == [False]
    assert "is not used here" in network.told[0].detail


@virtual_time
async def test_one_lost_answer_is_no_cut(network: Network):
    network.every = 2
    network.start(cluster({"grp@0/list@0/ip": "10.0.0.1"}))
    await until_true(lambda: len(network.asked) >= 20)

    assert network.states() == [True]


def test_interval_follows_the_cluster_and_stays_within_bounds():
    def interval(interval_s: float, timeout_s: float) -> float:
        of = Cluster(name="c", interval_s=interval_s, timeout_s=timeout_s)
        return PingResolvers(of, "server1", lambda _: None, time.monotonic).interval_s

    assert interval(3.0, 90.0) == 1.0
    assert interval(0.1, 0.5) == 0.1
    assert interval(1.0, 1.2) == pytest.approx(0.28)
    assert interval(0.01, 0.05) == 0.05


def test_groups_are_read_as_the_format_has_them():
    values = {**VALUES, "grp@1/list@1/ip": "no address", "grp@2/list@0/ip": " fd00::1 ", "priority": "0"}

    assert [[str(a) for a in group] for group in groups_of(values)] == [
        ["10.0.0.1", "10.0.0.2"], ["10.0.1.1"], ["fd00::1"],
    ]  # fmt: skip


@pytest.mark.root
@pytest.mark.slow
def test_real_targets_answer_until_the_cable_is_pulled(lan: Any):
    """10.77.0.2 and fd77::2 are the peer of the fixture."""
    values = {"grp@0/list@0/ip": "10.77.0.2", "grp@1/list@0/ip": "fd77::2"}
    told: list[bool] = []

    async def story() -> None:
        of = cluster(values)
        task = asyncio.create_task(
            PingResolvers(of, "server1", lambda s: told.append(s.ok), time.monotonic, icmp.ping).run()
        )
        await until_true(lambda: told == [True])
        await asyncio.to_thread(lan.peer.ip, "link", "set", "eth0", "down")
        await until_true(lambda: told == [True, False])
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    with lan.server.entered():
        asyncio.run(story())
