"""The simulator beside the manager: what it answers, and that it cannot keep anybody waiting."""

from __future__ import annotations

import asyncio
import os
import subprocess

import pytest

from agent.catalog import specs
from agent.clpconf.load import load
from tests.bench.configuration import large_conf
from tests.webmanager.stack import config
from webmanager import play

CLUSTER = load(config("played"), specs()).cluster


def asked(*events, **more):
    return play.answer(play.Question(cluster=CLUSTER, plays=(events,), **more))[0]


def fates(told):
    return {fate["group"]: (fate["outcome"], list(fate["after"])) for fate in told.story["fates"]}


@pytest.mark.slow
def test_state_shown_is_where_it_begins():
    placed = {"failover1": "server2"}
    assert fates(asked("crash server2", placed=placed)) == {"failover1": ("moves", ["server1"])}
    assert fates(asked("crash server2", placed=placed, off=("server1",))) == {"failover1": ("moves", ["server3"])}
    assert fates(asked("crash server1", placed=placed)) == {}


@pytest.mark.slow
def test_suspended_cluster_moves_nothing():
    told = asked("crash server1", placed={"failover1": "server1"}, suspended=True)
    assert fates(told) == {"failover1": ("stops", [])}


@pytest.mark.slow
def test_times_count_from_the_first_event():
    told = asked("crash server1", "at 40 power_on server1", placed={"failover1": "server1"}, off=("server3",))
    assert [step["at_s"] for step in told.story["steps"] if step["text"].startswith("server1: power")] == [0, 40]
    assert told.story["lasted_s"] >= 40


def test_fault_in_an_event_names_the_event():
    told = asked("crash server1", "at 5 crash nobody", placed={}, off=("server3",))
    assert told.story is None
    assert told.error.startswith('Event 2: There is no server "nobody".')


@pytest.mark.slow
async def test_slow_answer_is_given_up_and_its_process_ended(monkeypatch):
    monkeypatch.setattr(play, "LIMIT_S", 0.001)
    with pytest.raises(play.FailedError, match="fewer events"):
        await play.ask(play.Question(cluster=CLUSTER, plays=(("crash server1",),)))
    children = subprocess.run(["ps", "--ppid", str(os.getpid()), "-o", "args="], capture_output=True, text=True).stdout
    assert "webmanager.play" not in children


@pytest.mark.slow
async def test_not_more_than_two_at_once(monkeypatch):
    release, running, most = asyncio.Event(), set(), []

    async def wait(question, limit_s):
        running.add(question.plays)
        most.append(len(running))
        await release.wait()
        running.discard(question.plays)
        return b"[]"

    monkeypatch.setattr(play, "_asked", wait)
    monkeypatch.setattr(play, "_PATIENCE_S", 0.05)
    questions = [play.Question(cluster=CLUSTER, plays=((str(n),),)) for n in range(3)]
    first = [asyncio.create_task(play.ask(question)) for question in questions[:2]]
    await asyncio.sleep(0)
    with pytest.raises(play.BusyError):
        await play.ask(questions[2])
    release.set()
    await asyncio.gather(*first)
    assert await play.ask(questions[2]) == []
    assert max(most) == 2


def status(servers, groups):
    """A cluster in which all is well, as the page shows it."""
    cluster = load(large_conf(servers, groups), specs()).cluster
    homes = {group.name: group.policy[0] for group in cluster.groups}
    shown = {
        "servers": {name: {"status": "Online"} for name in cluster.server_names},
        "groups": {name: {"name": name, "current": home, "active_on": [home]} for name, home in homes.items()},
        "cluster": {"suspended": False},
    }
    return cluster, shown


@pytest.mark.slow
@pytest.mark.parametrize(("servers", "groups"), [(2, 2), (32, 500)])
async def test_preview_of_a_move_says_the_same_of_a_small_and_of_a_large_cluster(servers, groups):
    cluster, shown = status(servers, groups)
    name = cluster.groups[0].name

    found = await play.preview(play.Preview(cluster=cluster, status=shown, stages=[[("group_move", name, "")]]))

    assert list(found["downtime_s"]) == [name]
    assert found["downtime_s"][name] < 5
    assert any("starting" in step["text"] and name in step["text"] for step in found["steps"])


@pytest.mark.slow
async def test_preview_of_a_stop_of_a_large_cluster_is_told_at_once():
    cluster, shown = status(32, 500)
    found = await play.preview(play.Preview(cluster=cluster, status=shown, stages=[[("cluster_stop", "", "")]]))
    assert len(found["downtime_s"]) == 500
    assert set(found["downtime_s"].values()) == {None}
