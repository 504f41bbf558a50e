"""Two processes of one manager: agents on one, browsers and REST on the other."""

from __future__ import annotations

import asyncio

import pytest

from tests.webmanager.stack import Server, agent, browser, report
from tests.webmanager.test_rest import OK, done, obey
from tests.webmanager.test_sockets import online, until_known

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
            await view.until(lambda v: v.agents["server1"]["connected"] is False, "the loss", 20)
