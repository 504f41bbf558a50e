"""The REST interface, read and operate, as the original's clients use it."""

from __future__ import annotations

import asyncio

import pytest
import yaml

from tests.webmanager.reporting import done, obey, reporting
from tests.webmanager.stack import PASSWORD, SERVERS, agent, note, report
from webmanager.models import Operation

pytestmark = pytest.mark.slow
OK = {"code": 0, "message": ""}


async def test_reading(manager, cluster, register, get):
    async with reporting(manager, cluster, register("server1")):
        status, body = await get("cluster")
        assert (status, body["cluster"]["name"], body["result"]) == (200, cluster, OK)
        assert (await get("servers"))[1] == {
            "servers": [{"name": s, "status": "Online"} for s in SERVERS],
            "result": OK,
        }
        assert (await get("servers/server2"))[1]["servers"] == [{"name": "server2", "status": "Online"}]
        assert (await get("servers?select=name"))[1]["servers"] == [{"name": s} for s in SERVERS]
        assert (await get("groups"))[1] == {
            "groups": [
                {"name": "failover1", "status": "Online", "current": "server1"},
                {"name": "failover2", "status": "Offline", "current": "None"},
            ],
            "result": OK,
        }
        assert (await get("groups/failover1?select=resources"))[1]["groups"] == [
            {"name": "failover1", "resources": [{"name": "fip1"}, {"name": "exec1"}]}
        ]
        fip = {"name": "fip1", "type": "fip", "status": "Online", "current": "server1", "group": "failover1"}
        assert fip in (await get("resources"))[1]["resources"]
        assert (await get("resources/fip1"))[1]["resources"] == [fip]
        status, body = await get("monitors")
        assert {"name", "type", "status", "servers"} == set(body["monitors"][0])
        name = body["monitors"][0]["name"]
        assert set((await get(f"monitors/{name}"))[1]["monitors"][0]["servers"][0]) == {"name", "status"}


@pytest.mark.parametrize("path", ["servers/nobody", "groups/nobody", "resources/nobody", "monitors/nobody"])
async def test_unknown_names_are_404_and_name_the_known(manager, cluster, register, get, path):
    async with reporting(manager, cluster, register("server1")):
        status, body = await get(path)
    assert status == 404
    assert body["result"]["code"] == 404
    assert "Known: " in body["result"]["message"]


async def test_unknown_cluster_path_and_select(manager, get):
    assert (await get("servers"))[0] == 404
    status, body = await get("nowhere")
    assert (status, body["result"]["code"]) == (404, 404)


async def test_unknown_select_is_400(manager, cluster, register, get):
    async with reporting(manager, cluster, register("server1")):
        status, body = await get("servers?select=colour")
    assert (status, body["result"]["code"]) == (400, 400)


async def test_no_password_is_401_in_the_common_form(manager, get):
    status, body, response = await manager.acall("GET", "/api/v1/groups")
    assert status == 401
    assert response.getheader("WWW-Authenticate") == 'Basic realm="openclp"'
    assert body["result"]["code"] == 401


async def test_events_with_a_cursor(manager, cluster, register, get):
    async with reporting(manager, cluster, register("server1")) as one:
        for _ in range(1000):
            body = (await get("events?limit=2"))[1]
            if len(body["events"]) == 2:
                break
            await asyncio.sleep(0.02)
        assert [e["id"] for e in body["events"]] == ["server1:1:0", "server1:1:1"]
        rest = (await get(f"events?after={body['next']}"))[1]
        assert [e["id"] for e in rest["events"]] == ["server1:1:2"]
        await one.change(notes=(note(-1, "late"),))
        for _ in range(1000):
            late = (await get(f"events?after={rest['next']}"))[1]
            if late["events"]:
                break
            await asyncio.sleep(0.02)
        assert [e["text"] for e in late["events"]] == ["late"]
    assert (await get("events?limit=0"))[0] == 400
    assert (await get("events?after=x"))[0] == 400


OPERATIONS = [
    ("groups/failover1/start", {"target": "server2"}, ("group_start", "failover1", "server2")),
    ("groups/failover1/start", None, ("group_start", "failover1", "")),
    ("groups/failover1/stop", None, ("group_stop", "failover1", "")),
    ("groups/failover1/stop", {"target": "server1"}, ("group_stop", "failover1", "")),
    ("groups/failover1/move", {"target": "server3"}, ("group_move", "failover1", "server3")),
    ("groups/failover1/move", None, ("group_move", "failover1", "")),
    ("groups/start", {"target": "server2"}, ("group_start", "failover2", "server2")),
    ("groups/stop", {"target": "server1"}, ("group_stop", "failover1", "")),
    ("servers/server2/start", None, ("server_start", "server2", "")),
    ("servers/server2/stop", None, ("server_stop", "server2", "")),
    ("servers/server2/reboot", None, ("server_reboot", "server2", "")),
    ("servers/server2/shutdown", None, ("server_shutdown", "server2", "")),
    ("cluster/stop", None, ("cluster_stop", "", "")),
    ("cluster/reboot", None, ("cluster_reboot", "", "")),
    ("cluster/shutdown", None, ("cluster_shutdown", "", "")),
    ("cluster/suspend", None, ("cluster_suspend", "", "")),
    ("cluster/resume", None, ("cluster_resume", "", "")),
]


@pytest.mark.parametrize(("path", "body", "asked"), OPERATIONS)
async def test_operations_reach_an_agent(manager, cluster, register, post, path, body, asked):
    async with reporting(manager, cluster, register("server1")) as one:
        status, reply = await post(path, body)
        assert (status, reply["result"]) == (200, OK)
        (command,) = one.commands
        request = command["request"]
        assert (request["op"], request.get("target", ""), request.get("server", "")) == asked
        assert request["by"] == "bob@127.0.0.1"
        assert 0 < command["deadline_s"] <= 300
        stored = Operation.objects.get(id=command["id"])
        assert (stored.state, stored.user.username, stored.progress) == ("done", "bob", ["on the way"])


async def test_cluster_start_asks_every_server_that_does_not_run(manager, cluster, register, post):
    async with agent(manager, cluster, "server1", register("server1")) as one:
        await one.hello()
        stopped = {"service": "stopped", "epoch": (0, 0), "members": []}
        await one.snapshot(report("server1"), report("server2", **stopped), report("server3", **stopped))
        answering = asyncio.create_task(obey(one, done))
        while (await post("cluster/start"))[0] == 404:
            await asyncio.sleep(0.02)
        answering.cancel()
        asked = {(c["request"]["op"], c["request"]["target"]) for c in one.commands}
        assert {("server_start", "server2"), ("server_start", "server3")} <= asked


async def test_refusal_is_200_with_code_and_sentence(manager, cluster, register, post):
    async def refuse(one, command):
        await one.result(command["id"], 2, reason="not_in_policy", text="server3 is not in the policy.")

    async with reporting(manager, cluster, register("server1"), refuse):
        status, body = await post("groups/failover1/move", {"target": "server3"})
    assert status == 200
    assert body["result"] == {"code": 2, "message": "server3 is not in the policy."}


async def test_viewer_may_not_operate(manager, cluster, register, post):
    async with reporting(manager, cluster, register("server1")) as one:
        status, body = await post("groups/failover1/stop", user="charlie")
        assert (status, body["result"]["code"]) == (403, 403)
        assert one.commands == []


async def test_session_needs_the_csrf_token(manager, people, cluster, register, post):
    async with reporting(manager, cluster, register("server1")) as one:
        cookie = {"Cookie": f"openclp_session={people['bob']}"}
        status, _ = await post("groups/failover1/stop", user="", headers=cookie)
        assert status == 403
        token = "t" * 32
        good = {"Cookie": f"openclp_session={people['bob']}; openclp_csrf={token}", "X-CSRFToken": token}
        status, _ = await post("groups/failover1/stop", user="", headers=good)
        assert status == 200
        assert len(one.commands) == 1


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("groups/nobody/stop", None, 404),
        ("servers/nobody/stop", None, 404),
        ("groups/failover1/move", {"target": "nobody"}, 400),
        ("groups/failover1/stop", {"target": "server2"}, 400),
        ("groups/failover1/move", ["server2"], 400),
        ("groups/failover1/move", "{", 400),
        ("groups/stop", None, 400),
        ("resources/fip1/start", {"target": "server1"}, 501),
        ("resources/fip1/stop", None, 501),
        ("resources/nobody/stop", None, 404),
        ("servers/server1/dummy-failure/start", None, 501),
        ("cluster/toratio/set", None, 501),
        ("cluster/dance", None, 404),
        ("groups", None, 405),
    ],
)
async def test_what_cannot_be_done_says_so_and_reaches_nobody(manager, cluster, register, post, path, body, status):
    headers = {"Content-Type": "application/json"} if isinstance(body, str) else None
    async with reporting(manager, cluster, register("server1")) as one:
        found, reply = await post(path, body, headers=headers)
        assert (found, reply["result"]["code"]) == (status, status)
        assert reply["result"]["message"]
        assert one.commands == []


async def test_without_an_agent_the_answer_is_503_and_the_key_is_free_again(manager, cluster, register):
    path, headers = f"/api/v1/groups/failover1/stop?cluster={cluster}", {"Idempotency-Key": f"late {cluster}"}
    secret = register("server1")
    async with reporting(manager, cluster, secret):
        pass
    status, body, _ = await manager.acall("POST", path, user="bob", headers=headers)
    assert status == 503
    assert "No agent" in body["result"]["message"]
    async with reporting(manager, cluster, secret) as one:
        assert (await manager.acall("POST", path, user="bob", headers=headers))[1]["result"] == OK
        assert len(one.commands) == 1


async def test_broken_connection_asks_again_with_the_same_id(manager, cluster, register, post):
    secret = register("server1")
    async with reporting(manager, cluster, secret, False) as first:
        asked = asyncio.create_task(post("groups/failover1/stop"))
        command = await first.command()
    async with reporting(manager, cluster, secret, False) as second:
        again = await second.command()
        assert again["id"] == command["id"]
        await second.result(again["id"])
        assert (await asked)[1]["result"] == OK


async def test_changed_password_counts_at_once(manager, cluster, register, get):
    from django.contrib.auth import get_user_model
    from django.contrib.auth.models import Group

    user = get_user_model().objects.create_user("dora", password=PASSWORD)
    user.groups.add(Group.objects.get(name="viewer"))
    user.groups.add(Group.objects.get(name="viewer"))
    async with reporting(manager, cluster, register("server1")):
        assert (await get("groups", "dora"))[0] == 200
        assert (await get("groups", "dora"))[0] == 200
        user.set_password("another-one-1234")
        user.save()
        assert (await get("groups", "dora"))[0] == 401
        assert (await get("groups", "dora", password="another-one-1234"))[0] == 200
        user.is_active = False
        user.save()
        assert (await get("groups", "dora", password="another-one-1234"))[0] == 401


async def test_guessing_is_stopped(manager, get, environment):
    from redis import Redis

    answers = {(await get("groups", "eve", password=f"guess{n}"))[0] for n in range(10)}
    status, body = await get("groups", "eve", password="guess")
    assert answers == {401}
    assert (status, body["result"]["code"]) == (429, 429)
    assert (await get("groups", "bob"))[0] != 429
    with Redis.from_url(environment["REDIS_URL"]) as redis:
        keys = list(redis.scan_iter("*login:*"))
        assert keys
        redis.delete(*keys)


def test_schema_documents_every_path(manager):
    status, text, _ = manager.call("GET", "/api/schema", user="charlie")
    assert status == 200
    paths = yaml.safe_load(text)["paths"]
    assert len(paths) > 30
    for path in ("/api/v1/groups/{name}/move", "/api/v1/cluster/suspend", "/api/v1/events"):
        assert path in paths
    for operations in paths.values():
        for operation in operations.values():
            assert operation["description"]
            assert "401" in operation["responses"] or operation["operationId"] == "schema_retrieve"


def test_schema_is_made_without_warnings(environment):
    import subprocess
    import sys

    from tests.webmanager.stack import ROOT

    argv = [sys.executable, "manage.py", "spectacular", "--validate", "--fail-on-warn", "--file", "/dev/null"]
    import os

    done = subprocess.run(argv, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
