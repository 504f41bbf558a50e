"""Two processes of one manager: agents on one, browsers and REST on the other."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.webmanager.stack import Server, agent, browser, note, report, until
from tests.webmanager.test_rest import OK, done, obey
from tests.webmanager.test_sockets import online, until_known
from webmanager.models import Event

pytestmark = pytest.mark.slow


async def test_browser_of_the_other_process_sees_the_move(manager, second, people, cluster, register):
    async with agent(manager, cluster, "server1", register("server1")) as one:
        await one.hello()
        await one.snapshot(report("server1", runs=("failover1",)), report("server2"), report("server3"))
        await until_known(second, cluster)
        async with browser(second, cluster, people["bob"]) as view:
            await view.until(lambda v: online(v) == "server1", "the group on server1")
            await one.change(report("server1", 2), report("server2", 2, runs=("failover1",)))
            await view.until(lambda v: online(v) == "server2", "the group on server2")


async def test_operation_through_the_other_process(manager, second, people, cluster, register):
    async with agent(manager, cluster, "server1", register("server1")) as one:
        await one.hello()
        await one.snapshot(report("server1", runs=("failover1",)))
        await until_known(second, cluster)
        answering = asyncio.create_task(obey(one, done))
        path = f"/api/v1/groups/failover1/stop?cluster={cluster}"
        async with browser(manager, cluster, people["bob"]) as view:
            status, body, _ = await second.acall("POST", path, user="bob")
            assert (status, body["result"]) == (200, OK)
            await view.until(lambda v: v.newest.get("operation", {}).get("state") == "done", "the operation")
            assert view.newest["operation"]["progress"] == ["on the way"]
        answering.cancel()
        assert len(one.commands) == 1


async def test_late_process_learns_what_is_connected(manager, environment, people, cluster, register, tmp_path):
    async with agent(manager, cluster, "server1", register("server1")) as one:
        await one.hello()
        await one.snapshot(report("server1", runs=("failover1",)))
        late = await asyncio.to_thread(Server(environment, tmp_path / "web.log").start)
        try:
            await until_known(late, cluster)
            async with browser(late, cluster, people["bob"]) as view:
                await view.until(lambda v: online(v) == "server1" and v.agents["server1"]["connected"], "its state")
        finally:
            late.stop()


async def test_agents_of_a_killed_process_are_gone(manager, environment, people, cluster, register, tmp_path):
    doomed = Server(environment, tmp_path / "web.log").start()
    async with agent(doomed, cluster, "server1", register("server1")) as one:
        await one.hello()
        await one.snapshot(report("server1", runs=("failover1",)))
        await until_known(manager, cluster)
        async with browser(manager, cluster, people["bob"]) as view:
            await view.until(lambda v: online(v) == "server1", "the group")
            doomed.kill()
            await view.until(lambda v: v.agents["server1"]["connected"] is False, "the loss")


async def test_agent_that_comes_back_to_the_other_process_is_connected_in_both(
    manager, second, people, cluster, register
):
    secret = register("server1")
    async with agent(manager, cluster, "server1", secret) as old:
        await old.hello()
        await old.snapshot(report("server1"))
        await until_known(second, cluster)
        async with agent(second, cluster, "server1", secret) as new:
            await new.hello()
            await new.snapshot(report("server1", 2, runs=("failover1",)))
            assert (await old.closed())[0] == 4409
            for process in (manager, second):
                async with browser(process, cluster, people["bob"]) as view:
                    await view.until(lambda v: online(v) == "server1", "what it says now")
                    await view.until(lambda v: v.newest.get("type") == "alive", "a second without a loss")
                    assert view.agents["server1"]["connected"] is True


async def test_event_that_a_process_took_to_its_grave_is_stored_when_the_agent_repeats_it(manager, cluster, register):
    secret, stored = register("server1"), Event.objects.filter(cluster__name=cluster)
    for seq in (1, 2):
        async with agent(manager, cluster, "server1", secret) as one:
            await one.hello()
            await one.snapshot(report("server1", seq), notes=(note(1),))
            await asyncio.to_thread(until, lambda: stored.count() == 1, "the event in the database")
        stored.delete()  # As if the process had died that was to store it: it is known from its frames all the same.


async def test_event_has_the_same_time_in_every_process(manager, second, people, cluster, register):
    """Each hears the agent's clock at another moment; where the event stands is decided once."""
    async with agent(manager, cluster, "server1", register("server1")) as one:
        await one.hello()
        await one.snapshot(report("server1"))
        await until_known(second, cluster)
        async with (
            browser(manager, cluster, people["bob"]) as here,
            browser(second, cluster, people["charlie"]) as there,
        ):
            for number in range(20):
                one.rev += 1
                late = time.time() + 3600  # by the agent's clock
                said = {"type": "change", "rev": one.rev, "at": late, "notes": [note(number, time=late)]}
                await one.send(said)
            for view in (here, there):
                await view.until(lambda v: len(v.events) == 20, "the events")
            assert [e["time"] for e in here.events] == [e["time"] for e in there.events]
