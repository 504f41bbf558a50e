"""The agent's own link (agent.daemon.push) with this manager, on a real socket: both sides keep the same protocol."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from agent.daemon.push import Configuration, Manager, ManagerLink
from agent.wire.peer import Answer
from tests.agent.daemon.shell import CLP_CONF, StandIn
from tests.webmanager.stack import browser
from tests.webmanager.test_rest import OK
from tests.webmanager.test_sockets import until_known

pytestmark = pytest.mark.slow
_NUMBERS = itertools.count(7)  # of events, which all links of this module tell to one cluster


@pytest.fixture
async def linked(manager, people, register, tmp_path):
    """An agent of cluster "c"; what it complained of must be nothing."""
    agent, complaints = StandIn(tmp_path / "log"), []
    entry = Manager(url=f"http://{manager.host}", node="server1", secret=register("server1", "c"))
    link = ManagerLink(
        entry, Configuration(CLP_CONF), agent.observer, agent.console, lambda *words: complaints.append(words)
    )
    task = asyncio.ensure_future(link.run())
    await until_known(manager, "c")
    # This link, not that of the test before, whose end the manager may not have seen yet.
    number = agent.note(next(_NUMBERS)).id
    async with browser(manager, "c", people["bob"]) as view:
        await view.until(lambda v: any(e["id"] == number for e in v.events), "what this link tells")
        await view.until(lambda v: v.agents["server1"]["connected"], "the link")
    yield agent
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    agent.journal.close()
    assert complaints == []


async def test_changes_of_a_real_link_reach_the_browser(manager, people, linked):
    async with browser(manager, "c", people["bob"]) as view:
        await view.until(lambda v: v.status and v.status["servers"]["server1"]["status"] == "Online", "the server")
        id_ = linked.note(next(_NUMBERS)).id
        await view.until(lambda v: v.events and v.events[-1]["id"] == id_, "the event")
        for _ in range(3):
            await view.until(lambda v: v.newest.get("type") == "alive", "alive")
            await view.read()


async def test_command_reaches_a_real_link_and_its_answer_comes_back(manager, linked):
    linked.on_ask = lambda request: linked.console.reply(Answer(id=request.id, code=0, text="done"))
    status, body, _ = await manager.acall("POST", "/api/v1/cluster/suspend?cluster=c", user="bob")
    assert (status, body["result"]) == (200, OK)
    (request,) = linked.asked
    assert (request.op, request.origin, request.by) == ("cluster_suspend", "server1", "bob@127.0.0.1")
