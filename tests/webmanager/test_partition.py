"""Partition, fencing, quarantine and single monitors in the manager - and no secret of clp.conf anywhere."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json

import pytest

from agent import catalog
from agent.clpconf.load import load
from tests.webmanager.stack import PASSWORD, SERVERS, FakeAgent, agent, browser, report
from webmanager import configs
from webmanager.demo.configuration import GroupPlan, Plan, clp_conf

SECRET = "correct-horse-battery"
FENCE = (
    "<fence name='bmc1'><agent>fence_ipmilan</agent><level>1</level><parameters><username>admin</username>"
    f"<password>{SECRET}</password></parameters>"
    f"<server name='server1'><parameters><ip>192.0.2.11</ip><password>{SECRET}-1</password></parameters></server>"
    "<server name='server2'><parameters><ip>192.0.2.12</ip></parameters></server>"
    "<server name='server3'><parameters><ip>192.0.2.13</ip></parameters></server></fence>"
)
VOTES = {"voters": ["server1", "server2", "server3"], "present": ["server1", "server2"]}


def config(name: str) -> bytes:
    plan = Plan(
        addresses={s: (f"10.1.0.{n}", f"10.2.0.{n}") for n, s in enumerate(SERVERS, 1)},
        groups=(GroupPlan("failover1", "10.3.0.1", SERVERS, port=8080),),
        name=name, witness="10.9.0.1", resolvers=("witness",), own=FENCE,
    )  # fmt: skip
    return clp_conf(plan)


def test_model_of_the_manager_has_no_password():
    data = config("demo")
    full = load(data, catalog.specs()).cluster
    shown, problem = configs.load(data)

    assert problem == ""
    assert full is not None
    assert shown is not None
    assert SECRET in repr(full)
    assert SECRET not in repr(shown)
    (device,) = shown.fences
    assert device.values == {"username": "admin", "password": configs.MASK}
    assert device.overrides["server1"] == {"ip": "192.0.2.11", "password": configs.MASK}
    assert (shown.groups, shown.servers, shown.resolvers) == (full.groups, full.servers, full.resolvers)


@contextlib.asynccontextmanager
async def cut(manager, cluster, register, nodes=("server1",), **server1):
    """server3 is lost: the agents of `nodes` are connected, and answer every command."""
    async with contextlib.AsyncExitStack() as stack:
        agents = []
        for node in nodes:
            one = await stack.enter_async_context(agent(manager, cluster, node, register(node)))
            data = config(cluster)
            await one.hello(config=base64.b64encode(data).decode(), config_hash=hashlib.sha256(data).hexdigest())
            view = {"epoch": (2, 0), "members": ["server1", "server2"], "lost": ["server3"]}
            own = {"votes": VOTES, "resolvers": {"httpnp1": True},
                   "resolving": {"httpnp1": {"since": 1_700_000_000.0}}, **server1}  # fmt: skip
            quarantine = {"server3": {"until": 2_000_000_000.0, "times": 3, "window_s": 600.0, "cause": "x"}}
            table = {"epoch": (2, 0), "version": 1, "quarantine": quarantine}
            await one.snapshot(
                report("server1", runs=("failover1",), **{**view, **own}),
                report("server2", **view, resolvers={"httpnp1": False},
                       resolving={"httpnp1": {"since": 1_700_000_001.0, "detail": "no answer in time"}}),
                report("server3"), table=table,
            )  # fmt: skip
            agents.append(one)
            answering = asyncio.create_task(obey(one))
            stack.callback(answering.cancel)
        await manager.everywhere(f"/api/v1/fences/bmc1?cluster={cluster}")
        yield agents


async def obey(one: FakeAgent) -> None:
    async for text in one.socket:
        command = json.loads(text)
        one.commands.append(command)
        await one.result(command["id"], text=f"bmc1 for server1, by {one.node}: on.")


@pytest.mark.slow
async def test_no_page_reply_or_frame_shows_a_secret(manager, people, cluster, register):
    leak = {"fences": {"bmc1": {"at": 5.0, "result": "failed", "detail": "exit code 1: *** refused"}}}
    async with cut(manager, cluster, register, **leak):
        cookie = {"Cookie": f"openclp_session={people['alice']}"}
        pages = ["/", "/servers/", "/servers/server1/", "/groups/", "/groups/failover1/", "/partition/", "/events/",
                 "/operations/", "/operate/?op=fence_test&target=bmc1", "/operate/?op=fence_disarm", "/api/schema",
                 "/operate/?op=group_move&target=failover1"]  # fmt: skip
        rest = ["cluster", "servers", "groups", "resources", "monitors", "events", "partition", "fences", "fences/bmc1"]
        for path in [*pages, *(f"/api/v1/{name}" for name in rest)]:
            mark = "&" if "?" in path else "?"
            status, body, _ = await manager.acall("GET", f"{path}{mark}cluster={cluster}", headers=cookie)
            assert status == 200, path
            assert SECRET not in (body if isinstance(body, str) else json.dumps(body)), path
        async with browser(manager, cluster, people["alice"]) as tab:
            snapshot = await tab.read()
        assert "bmc1" in snapshot["status"]["fences"]
        assert SECRET not in json.dumps(snapshot)
    assert SECRET not in manager.log.read_text()


@pytest.mark.slow
async def test_configuration_that_cannot_be_used_is_named_without_its_secrets(manager, people, cluster, register):
    data = config(cluster).replace(b"</root>", b"")
    async with agent(manager, cluster, "server1", register("server1")) as one:
        await one.hello(config=base64.b64encode(data).decode(), config_hash="x")
        await one.snapshot(report("server1"))
        while (await manager.acall("GET", f"/api/v1/servers?cluster={cluster}", user="bob"))[0] != 200:
            await asyncio.sleep(0.02)
        async with browser(manager, cluster, people["alice"]) as tab:
            await tab.until(lambda b: b.status and "cannot be used" in b.status["cluster"]["detail"], "the complaint")
            assert SECRET not in json.dumps(tab.messages)


@pytest.mark.slow
async def test_rest_tells_who_may_act_and_what_is_proven(manager, cluster, register):
    async with cut(manager, cluster, register):
        _, body, _ = await manager.acall("GET", f"/api/v1/partition?cluster={cluster}", user="charlie")
        assert (body["partition"]["case"], body["partition"]["silent"]) == ("votes", ["server3"])
        assert (body["partition"]["present"], body["partition"]["needed"]) == (["server1", "server2"], 2)
        assert body["quarantine"] == [
            {"name": "server3", "until": 2e9, "times": 3, "window_s": 600.0, "cause": "x"}
        ]  # fmt: skip
        rows = {(one["server"], one["status"], one["detail"]) for one in body["resolvers"]}
        assert ("server1", "Normal", "") in rows
        assert ("server2", "Error", "no answer in time") in rows
        _, body, _ = await manager.acall("GET", f"/api/v1/fences?cluster={cluster}", user="charlie")
        assert body["fences"] == [
            {"name": "bmc1", "agent": "fence_ipmilan", "level": 1, "targets": list(SERVERS), "last_proven": 0.0,
             "last_result": "", "detail": ""}
        ]  # fmt: skip


@pytest.mark.slow
async def test_page_shows_the_same_without_javascript(manager, people, cluster, register):
    async with cut(manager, cluster, register):
        cookie = {"Cookie": f"openclp_session={people['bob']}"}
        _, text, _ = await manager.acall("GET", f"/partition/?cluster={cluster}", headers=cookie)
    assert "2 of 3 votes agreed (server1, server2 of server1, server2, server3)" in text
    assert "no answer in time" in text
    assert "Never tested" in text
    assert "op=fence_test&amp;target=bmc1" in text
    assert "op=server_release&amp;target=server3" in text
    assert "op=fence_disarm" not in text, "an operator may not"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("monitors/pidw1/suspend", {"target": "server1"}, ("monitor_suspend", "pidw1", "server1")),
        ("monitors/pidw1/resume", None, ("monitor_resume", "pidw1", "")),
        ("monitors/pidw1/dummy-failure/start", {"target": ""}, ("monitor_fail", "pidw1", "")),
        ("monitors/pidw1/dummy-failure/stop", {"target": "server2"}, ("monitor_mend", "pidw1", "server2")),
        ("servers/server3/release", None, ("server_release", "server3", "")),
        ("fences/arm", None, ("fence_arm", "", "")),
    ],
)
async def test_operator_reaches_the_agent(manager, cluster, register, path, body, expected):
    async with cut(manager, cluster, register) as (one,):
        url = f"/api/v1/{path}?cluster={cluster}"
        status, reply, _ = await manager.acall("POST", url, user="bob", body=body)
        assert (status, reply["result"]["code"]) == (200, 0)
        asked = one.commands[-1]["request"]
        assert (asked["op"], asked.get("target", ""), asked.get("server", "")) == expected
        assert (await manager.acall("POST", url, user="charlie", body=body))[0] == 403


@pytest.mark.slow
@pytest.mark.parametrize("path", ["fences/disarm", "servers/server3/confirm-off"])
async def test_only_an_administrator_gives_protection_away(manager, cluster, register, path):
    async with cut(manager, cluster, register) as (one,):
        url = f"/api/v1/{path}?cluster={cluster}"
        assert (await manager.acall("POST", url, user="bob"))[0] == 403
        assert one.commands == []
        assert (await manager.acall("POST", url, user="alice"))[0] == 200


@pytest.mark.slow
async def test_fence_test_is_asked_of_each_server_itself(manager, cluster, register):
    async with cut(manager, cluster, register, nodes=("server1", "server2")) as agents:
        url = f"/api/v1/fences/bmc1/test?cluster={cluster}"
        status, body, _ = await manager.acall("POST", url, user="bob", password=PASSWORD)
        assert status == 200
        assert body["result"]["code"] == 0, body
        assert [len(one.commands) for one in agents] == [1, 1]
        await manager.acall("POST", url, user="bob", body={"target": "server2"})
        assert [len(one.commands) for one in agents] == [1, 2]


@pytest.mark.slow
async def test_preview_of_a_fence_test_says_what_happens(manager, people, cluster, register):
    async with cut(manager, cluster, register):
        cookie = {"Cookie": f"openclp_session={people['bob']}"}
        url = f"/operate/?op=fence_test&target=bmc1&cluster={cluster}"
        _, text, _ = await manager.acall("GET", url, headers=cookie)
        assert "Nothing is switched off." in text
        assert "clpfence test bmc1" in text
        assert "POST /api/v1/fences/bmc1/test" in text
        url = f"/operate/?op=fence_confirm&target=server3&cluster={cluster}"
        assert (await manager.acall("GET", url, headers=cookie))[0] == 403
