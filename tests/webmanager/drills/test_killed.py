"""The manager dies in the middle of a drill: the servers go on, and whoever lives next finishes the report."""

from __future__ import annotations

import asyncio

import pytest

from tests.webmanager.drills.test_drills import CRASH, Servers, ended, told
from tests.webmanager.reporting import reporting
from tests.webmanager.stack import Server, note, report

pytestmark = pytest.mark.slow


async def test_killed_manager_finishes_the_report_after_its_restart(manager, cluster, register):
    servers = Servers(tells=False)
    first = await asyncio.to_thread(Server(manager.environment, manager.log.with_name("drills.log")).start)
    try:
        async with told(first, cluster, register, servers):
            body = (await first.acall("POST", f"/api/v2/clusters/{cluster}/drills", user="alice", body=CRASH))[1]
            key = body["drill"]["id"]
            first.kill()
        async with reporting(manager, cluster, register("server1"), servers) as one:
            online = note(3, event=11, params=["failover1", "server1"], before="Online Pending", after="Online")
            await one.change(report("server1", 2, runs=("failover1",)), notes=(online,))
            await servers.fail_over(one, key)
            found = await ended(manager, key)
    finally:
        first.stop()

    assert (found["state"], found["groups"][0]["to"]) == ("passed", "server2")
    assert found["taken_down_s"] == 0.4
