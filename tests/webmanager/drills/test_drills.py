"""A drill from the form to its report: checked, predicted, begun, followed, ended; against an agent that answers."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

from tests.webmanager.accounts.visitor import Visitor
from tests.webmanager.reporting import reporting
from tests.webmanager.stack import note, report

pytestmark = pytest.mark.slow
CRASH = {"kind": "crash", "server": "server1", "bound_s": 5}


class Servers:
    """Answers as the servers would, and tells what they would write."""

    def __init__(self, allows: bool = True, says: str = "", tells: bool = True) -> None:
        self.allows = allows
        self.tells = tells
        self.says = says
        self.asked: list[str] = []
        self.number = 100

    async def __call__(self, one, command) -> None:
        request = command["request"]
        self.asked.append(request["op"])
        code = 0 if self.allows else 2
        await one.result(command["id"], code, reason="" if self.allows else "not_safe", text=self.says or "Well.")
        if request["op"] == "drill_start" and self.allows and self.tells:
            await self.fail_over(one, request["id"])

    async def fail_over(self, one, drill: str) -> None:
        now = time.time()

        def line(after_s: float, server: str, module: str, event: int, kind: str, name: str, *params: str, **more):
            self.number += 1
            return note(
                self.number, "x", id=f"{server}:1:{self.number}", time=now + after_s, server=server, module=module,
                event=event, kind=kind, name=name, params=list(params), **more,
            )  # fmt: skip

        group = ("group", "failover1", "failover1")
        lost = line(2.0, "server2", "nm", 2, "server", "server1", "server1", "not heard for 1.00 s on any path")
        begun = line(0.0, "server1", "apisv", 61, "server", "server1", drill, "server1", "crash", "5", "alice")
        going = {"before": "Offline", "after": "Online Pending"}
        there = {"before": "Online Pending", "after": "Online"}
        await one.change(
            report("server2", 2, runs=("failover1",)), report("server1", 2),
            notes=(
                begun, lost, line(2.0, "server2", "rc", 60, *group, "server1", "server2", causes=[lost["id"]]),
                line(2.0, "server2", "rc", 10, *group, "server2", **going),
                line(2.1, "server2", "rc", 30, "resource", "fip1", "fip1", "server2"),
                line(2.2, "server2", "rc", 31, "resource", "fip1", "fip1", "server2"),
                line(2.5, "server2", "rc", 11, *group, "server2", **there),
                line(2.5, "server2", "rc", 61, *group, "server1", "server2"),
                line(5.0, "server1", "apisv", 63, "server", "server1", drill, "server1", "0.4", "4.6", "0", "0", "0"),
            ),
        )  # fmt: skip


@contextlib.asynccontextmanager
async def told(manager, cluster, register, servers):
    async with reporting(manager, cluster, register("server1"), servers) as one:
        online = note(3, event=11, params=["failover1", "server1"], before="Online Pending", after="Online")
        await one.change(report("server1", 2, runs=("failover1",)), notes=(online,))
        yield one


async def ended(manager, key: str, limit_s: float = 30) -> dict:
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        found = (await manager.acall("GET", f"/api/v2/drills/{key}", user="charlie"))[1]["drill"]
        if found["ended"] is not None:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"{key} did not end: {found}")


def objective(cluster: str, seconds: float) -> None:
    from webmanager.models import Cluster
    from webmanager.recoveries import services

    services.set_objective(
        cluster=Cluster.objects.get(name=cluster), group="failover1", recovery_s=seconds, percent=None, by="alice"
    )


@pytest.mark.parametrize(("aim", "state"), [(10.0, "passed"), (1.0, "failed")])
async def test_crash_is_measured_and_judged_by_the_objective(manager, cluster, register, aim, state):
    servers = Servers()
    async with told(manager, cluster, register, servers):
        objective(cluster, aim)
        status, body, _ = await manager.acall("POST", f"/api/v2/clusters/{cluster}/drills", user="alice", body=CRASH)
        assert (status, servers.asked) == (202, ["drill_check", "drill_start"])
        found = await ended(manager, body["drill"]["id"])

    assert found["state"] == state
    (group, other) = found["groups"] if len(found["groups"]) == 2 else (found["groups"][0], None)
    assert (group["group"], group["from"], group["to"]) == ("failover1", "server1", "server2")
    assert group["outage_s"] == pytest.approx(1.5, abs=0.05)
    assert group["predicted_s"]
    assert group["objective_s"] == aim
    assert [part["kind"] for part in group["parts"]][:1] == ["notice"]
    assert sum(part["lasted_s"] for part in group["parts"]) == pytest.approx(group["outage_s"], abs=0.01)
    assert ("its objective is" in found["why"][0]) == (state == "failed")
    assert found["taken_down_s"] == 0.4
    assert other is None


async def test_recovery_of_a_drill_counts_as_planned(manager, cluster, register):
    from webmanager.recoveries.models import Recovery

    async with told(manager, cluster, register, Servers()):
        body = (await manager.acall("POST", f"/api/v2/clusters/{cluster}/drills", user="alice", body=CRASH))[1]
        found = await ended(manager, body["drill"]["id"])
    assert list(
        Recovery.objects.filter(cluster__name=cluster, group="failover1", kind="failover").values_list(
            "drill", flat=True
        )
    ) == [found["id"]]


async def test_what_the_servers_refuse_is_refused_and_kept_with_its_reason(manager, cluster, register):
    servers = Servers(allows=False, says="server3 is not online: a drill needs all servers.")
    async with told(manager, cluster, register, servers):
        path = f"/api/v2/clusters/{cluster}/drills"
        status, body, _ = await manager.acall("POST", path, user="alice", body=CRASH)
        assert (status, servers.asked) == (422, ["drill_check"])
        assert "server3 is not online" in body["result"]["message"]
        (kept,) = (await manager.acall("GET", path, user="charlie"))[1]["drills"]
    assert (kept["state"], kept["ended"] is not None) == ("refused", True)


async def test_what_the_simulator_sees_fail_is_refused_before_it_begins(manager, cluster, register):
    """All paths of one of three servers without a majority: both sides would run the group."""
    async with told(manager, cluster, register, Servers()):
        path = f"/api/v2/clusters/{cluster}/drills/check"
        body = (await manager.acall("POST", path, user="alice", body={**CRASH, "kind": "link"}))[1]
    assert body["safe"] is False
    assert next(one["code"] for one in body["findings"] if not one["good"]) == "split"


async def test_same_key_begins_one_drill(manager, cluster, register):
    servers = Servers()
    async with told(manager, cluster, register, servers):
        path, headers = f"/api/v2/clusters/{cluster}/drills", {"Idempotency-Key": "once"}
        ids = {
            (await manager.acall("POST", path, user="alice", body=CRASH, headers=headers))[1]["drill"]["id"]
            for _ in range(2)
        }
    assert (len(ids), servers.asked.count("drill_start")) == (1, 1)


async def test_form_checks_then_starts_and_shows_the_report(manager, people, cluster, register):
    alice = Visitor(manager, people["alice"])

    async def get(path: str) -> str:
        assert await asyncio.to_thread(alice.get, path) == 200, alice.text[:2000]
        return alice.words()

    async with told(manager, cluster, register, Servers()):
        asked = f"server=server1&bound_s=5&cluster={cluster}"
        words = await get(f"/drills/new/?kind=crash&{asked}")
        assert "Safe now" in words
        assert "By the simulator failover1 is away for" in words
        assert "Choose one of these." in await get(f"/drills/new/?kind=nonsense&{asked}")
        form = {"kind": "crash", "server": "server1", "bound_s": "5", "do": "start"}
        assert await asyncio.to_thread(lambda: alice.post(f"/drills/new/?cluster={cluster}", **form)) == 302
        (row,) = (await manager.acall("GET", f"/api/v2/clusters/{cluster}/drills", user="charlie"))[1]["drills"]
        await ended(manager, row["id"])
        assert "Where the time of failover1 went" in await get(f"/drills/{row['id']}/")
        assert row["title"] in await get(f"/drills/?cluster={cluster}")
