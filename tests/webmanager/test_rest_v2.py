"""/api/v2: clusters, events as they come, operations, explanations, what-if, tokens; and keys that act once."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
from datetime import timedelta

import pytest
from django.utils import timezone

from tests.webmanager.reporting import reporting
from tests.webmanager.stack import SERVERS, note, report
from webmanager.models import ApiToken, KeyedRequest, Operation
from webmanager.services import prune

pytestmark = pytest.mark.slow
OK = {"code": 0, "message": ""}


@pytest.fixture
def call(manager):
    async def ask(method, path, body=None, user="charlie", **more):
        if isinstance(body, str):
            more.setdefault("headers", {})["Content-Type"] = "application/json"
        return await manager.acall(method, f"/api/v2{path}", user=user, body=body, **more)

    return ask


@pytest.fixture
def token(manager):
    """token("bob") -> headers with a new token of his."""

    def make(user, **asked):
        status, body, _ = manager.call("POST", "/api/v2/tokens", user=user, body={"name": "test", **asked})
        assert status == 201, body
        return {"Authorization": f"Bearer {body['token']['secret']}"}, body["token"]["id"]

    return make


async def events_there(manager, cluster, count):
    while len((await manager.acall("GET", f"/api/v2/clusters/{cluster}/events", user="bob"))[1]["events"]) < count:
        await asyncio.sleep(0.02)


# Clusters.


async def test_root_and_clusters(manager, cluster, register, call):
    async with reporting(manager, cluster, register("server1")):
        assert (await call("GET", ""))[1]["links"]["clusters"] == "/api/v2/clusters"
        found = {c["name"]: c for c in (await call("GET", "/clusters"))[1]["clusters"]}[cluster]
        assert (found["servers"], found["groups"], found["agents"], found["role"]) == (3, 2, 1, "viewer")
        one = (await call("GET", f"/clusters/{cluster}"))[1]
        assert one["result"] == OK
        assert {**one["cluster"], "age_s": 0.0} == {**found, "age_s": 0.0}
        status = (await call("GET", f"/clusters/{cluster}/status"))[1]["status"]
        assert status["groups"]["failover1"]["current"] == "server1"
        for name in ("status", "events", "operations", "drafts"):
            assert (await manager.acall("GET", found["links"][name], user="charlie"))[0] == 200
    assert (await call("GET", "/clusters/nobody"))[0] == 404


# Events.


async def test_events_have_a_cursor_and_filters(manager, cluster, register, call):
    async with reporting(manager, cluster, register("server1")) as one:
        await one.change(notes=(note(7, severity="error"), note(8, kind="server", name="server2")))
        await events_there(manager, cluster, 5)
        path = f"/clusters/{cluster}/events"
        first = (await call("GET", f"{path}?limit=2"))[1]
        assert [e["id"] for e in first["events"]] == ["server1:1:0", "server1:1:1"]
        rest = (await call("GET", f"{path}?after={first['next']}"))[1]
        assert [e["id"] for e in rest["events"]] == ["server1:1:2", "server1:1:7", "server1:1:8"]
        assert (await call("GET", f"{path}?after={rest['next']}"))[1]["events"] == []
        assert [e["id"] for e in (await call("GET", f"{path}?severity=error"))[1]["events"]] == ["server1:1:7"]
        found = (await call("GET", f"{path}?kind=server&name=server2&limit=1"))[1]
        assert [e["id"] for e in found["events"]] == ["server1:1:8"]
    for wrong in ("limit=0", "limit=1001", "after=-1", "wait=61", "wait=x", "after=" + "9" * 30):
        assert (await call("GET", f"{path}?{wrong}"))[0] == 400


async def test_long_poll_answers_with_the_event_for_which_it_waits(manager, cluster, register, call):
    async with reporting(manager, cluster, register("server1")) as one:
        await events_there(manager, cluster, 3)
        path = f"/clusters/{cluster}/events"
        after = (await call("GET", path))[1]["next"]
        waiting = asyncio.create_task(call("GET", f"{path}?after={after}&wait=60&name=failover2", timeout=90))
        await one.change(notes=(note(10), note(11, name="failover2")))
        status, body, _ = await waiting
        assert (status, [e["id"] for e in body["events"]]) == (200, ["server1:1:11"])
        assert int(body["next"]) > int(after)
        await one.change(notes=(note(12, "later"),))
        again = (await call("GET", f"{path}?after={body['next']}&wait=60", timeout=90))[1]
        assert [e["text"] for e in again["events"]] == ["later"]


async def test_long_poll_ends_without_events(manager, cluster, register, call):
    async with reporting(manager, cluster, register("server1")):
        await events_there(manager, cluster, 3)
        after = (await call("GET", f"/clusters/{cluster}/events"))[1]["next"]
        status, body, response = await call("GET", f"/clusters/{cluster}/events?after={after}&wait=1")
        assert (status, body) == (200, {"events": [], "next": after, "result": OK})
        assert response.getheader("Cache-Control") == "no-store"


@contextlib.contextmanager
def stream(manager, cluster, headers, query=""):
    connection = http.client.HTTPConnection("127.0.0.1", manager.port, timeout=30)
    try:
        path = f"/api/v2/clusters/{cluster}/events/stream{query}"
        connection.request("GET", path, headers={"Accept": "text/event-stream", **headers})
        yield connection.getresponse()
    finally:
        connection.close()


def next_events(response, count):
    """(id, event) of the next notes."""
    found, cursor = [], ""
    while len(found) < count:
        line = response.readline().decode().rstrip("\n")
        if line.startswith("id: "):
            cursor = line[4:]
        elif line.startswith("data: "):
            found.append((cursor, json.loads(line[6:])["id"]))
    return found


async def test_stream_goes_on_where_it_broke(manager, cluster, register, token):
    headers, _ = token("charlie")
    async with reporting(manager, cluster, register("server1")) as one:
        with stream(manager, cluster, headers) as response:
            assert (response.status, response.getheader("Content-Type")) == (200, "text/event-stream")
            first = await asyncio.to_thread(next_events, response, 3)
            await one.change(notes=(note(3),))
            assert (await asyncio.to_thread(next_events, response, 1))[0][1] == "server1:1:3"
        await one.change(notes=(note(4),))
        with stream(manager, cluster, {**headers, "Last-Event-ID": first[2][0]}, "?after=0") as response:
            assert [e for _, e in await asyncio.to_thread(next_events, response, 2)] == ["server1:1:3", "server1:1:4"]


def test_stream_refuses_in_the_common_form(manager, people):
    with stream(manager, "nobody", {}) as response:
        assert (response.status, json.loads(response.read())["result"]["code"]) == (401, 401)


# Operations and their keys.


async def test_operations_are_begun_and_followed(manager, cluster, register, call):
    async with reporting(manager, cluster, register("server1"), answer=False) as one:
        body = {"op": "group_move", "target": "failover1", "server": "server2"}
        status, begun, response = await call("POST", f"/clusters/{cluster}/operations", body, user="bob")
        assert (status, begun["operation"]["state"]) == (202, "running")
        where = response.getheader("Location")
        command = await one.command()
        assert command["id"] == begun["operation"]["id"]
        await one.result(command["id"], 2, reason="not_in_policy", text="No.")
        ended = (await manager.acall("GET", f"{where}?wait=30", user="charlie"))[1]["operation"]
        assert (ended["state"], ended["reason"], ended["text"]) == ("refused", "not_in_policy", "No.")
        assert ended["ended"] >= ended["at"]
        listed = (await call("GET", f"/clusters/{cluster}/operations"))[1]
        assert listed == {"operations": [ended], "next": "", "result": OK}


async def test_operations_are_listed_in_pages(manager, cluster, register, call):
    async with reporting(manager, cluster, register("server1")):
        for op in ("cluster_suspend", "cluster_resume", "cluster_suspend"):
            status, _, _ = await call("POST", f"/clusters/{cluster}/operations?wait=30", {"op": op}, user="bob")
            assert status == 200
        path, seen, before = f"/clusters/{cluster}/operations?limit=2", [], ""
        while True:
            page = (await call("GET", f"{path}&before={before}"))[1]
            seen += [o["op"] for o in page["operations"]]
            if not (before := page["next"]):
                break
        assert seen == ["cluster_suspend", "cluster_resume", "cluster_suspend"]
        assert (await call("GET", f"{path}&before=nothing"))[0] == 400


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"op": "group_move", "target": "nobody"}, 404),
        ({"op": "group_move", "target": "failover1", "server": "nobody"}, 404),
        ({"op": "group_stop", "target": "failover1", "server": "server2"}, 400),
        ({"op": "cluster_stop", "target": "failover1"}, 400),
        ({"op": "dance"}, 400),
        ({}, 400),
        (["group_move"], 400),
        ({"op": "fence_disarm"}, 403),
    ],
)
async def test_what_cannot_be_asked_reaches_nobody(manager, cluster, register, call, body, status):
    async with reporting(manager, cluster, register("server1")) as one:
        found, reply, _ = await call("POST", f"/clusters/{cluster}/operations?wait=9", body, user="bob")
        assert (found, reply["result"]["code"]) == (status, status)
        assert one.commands == []


KEYED = [
    ("/api/v1/groups/failover1/move", {"target": "server2"}),
    # Right at first only: the group has stopped when the same comes again.
    ("/api/v1/groups/failover1/stop", {"target": "server1"}),
    ("/api/v1/groups/stop", {"target": "server1"}),
    ("/api/v2/clusters/{cluster}/operations?wait=30&", {"op": "group_stop", "target": "failover1"}),
]


@pytest.mark.parametrize(("path", "body"), KEYED)
async def test_same_key_acts_once_and_answers_alike(manager, cluster, register, path, body):
    async with reporting(manager, cluster, register("server1")) as one:
        path = path.format(cluster=cluster) + ("" if "?" in path else "?") + f"cluster={cluster}"
        headers = {"Idempotency-Key": f"key of {cluster}"}
        status, first, _ = await manager.acall("POST", path, user="bob", body=body, headers=headers)
        assert (status, first["result"]) == (200, OK)
        await one.change(report("server1", 2, runs=()))
        await manager.everywhere(
            f"/api/v1/groups/failover1?cluster={cluster}",
            lambda status, body: body["groups"][0]["current"] == "None",
        )
        status, again, _ = await manager.acall("POST", path, user="bob", body=body, headers=headers)
        assert (status, again) == (200, first)
        assert len(one.commands) == 1
        other = {**body, "target": "failover2"}
        status, _, _ = await manager.acall("POST", path, user="bob", body=other, headers=headers)
        assert status == 422
        assert len(one.commands) == 1


async def test_same_key_at_the_same_time_acts_once(manager, second, cluster, register):
    """Also through two processes of the manager, while the first request is still under way."""
    async with reporting(manager, cluster, register("server1"), answer=False) as one:

        async def move(server):
            path, headers = f"/api/v1/groups/failover1/move?cluster={cluster}", {"Idempotency-Key": f"both {cluster}"}
            return (await server.acall("POST", path, user="bob", body={"target": "server2"}, headers=headers))[1]

        while (await second.acall("GET", f"/api/v1/groups/failover1?cluster={cluster}", user="bob"))[0] != 200:
            await asyncio.sleep(0.02)
        asked = [asyncio.create_task(move(server)) for server in (manager, second, manager)]
        command = await one.command()
        await one.result(command["id"])
        replies = await asyncio.gather(*asked)
        assert replies == [{"operations": [command["id"]], "result": OK}] * 3
        assert Operation.objects.filter(cluster__name=cluster).count() == 1


async def test_keys_are_checked_and_forgotten_after_a_day(manager, cluster, register):
    async with reporting(manager, cluster, register("server1")):
        path = f"/api/v1/groups/failover1/stop?cluster={cluster}"
        long = {"Idempotency-Key": "x" * 256}
        assert (await manager.acall("POST", path, user="bob", headers=long))[0] == 400
        kept = {"Idempotency-Key": f"old {cluster}"}
        assert (await manager.acall("POST", path, user="bob", headers=kept))[0] == 200
    row = KeyedRequest.objects.get(key=f"old {cluster}")
    prune()
    assert KeyedRequest.objects.filter(pk=row.pk).exists()
    prune(now=timezone.now() + timedelta(hours=25))
    assert not KeyedRequest.objects.filter(pk=row.pk).exists()


async def test_audit_tells_what_was_asked_and_how_it_ended(manager, cluster, register, call):
    async with reporting(manager, cluster, register("server1")):
        before = (await call("GET", "/audit?limit=1000", user="alice"))[1]["next"]
        await call("POST", f"/clusters/{cluster}/operations?wait=30", {"op": "cluster_suspend"}, user="bob")
        status, body, _ = await call("GET", f"/audit?after={before}", user="alice")
        told = [(a["who"], a["address"], a["result"]) for a in body["audit"] if a["cluster"] == cluster]
        assert (status, told) == (200, [("bob", "127.0.0.1", "asked"), ("bob", "127.0.0.1", "done")])
        assert body["next"] == body["audit"][-1]["number"]
        assert [row["before"] for row in body["audit"][1:]] == [row["hash"] for row in body["audit"][:-1]]
    assert (await call("GET", "/audit", user="bob"))[0] == 403


# Explanations and what-if.


async def test_explain_tells_why_and_where_next(manager, cluster, register, call):
    async with reporting(manager, cluster, register("server1")) as one:
        lost = note(20, "server9 is lost", module="nm", event=2, kind="server", name="server9")
        moved = note(21, "failover1 goes to server1", event=17, rule="failover-policy", causes=[lost["id"]])
        await one.change(notes=(lost, moved))
        await events_there(manager, cluster, 5)
        status, body, _ = await call("GET", f"/clusters/{cluster}/groups/failover1/explain")
        assert status == 200
        assert body["group"]["current"] == "server1"
        assert [(n["id"], n["depth"]) for n in body["why"]] == [(moved["id"], 0), (lost["id"], 1)]
        assert [p["server"] for p in body["places"]] == list(SERVERS)
        assert (body["places"][0]["status"], body["places"][0]["failed"]) == ("Online", False)
        crash, move = body["next"]
        assert (crash["event"], crash["fate"]["after"]) == ("crash server1", ["server2"])
        assert (move["fate"]["outcome"], move["fate"]["rule"]) == ("moves", "operator")
        assert (await call("GET", f"/clusters/{cluster}/groups/nobody/explain"))[0] == 404


async def test_what_if_is_played_from_how_the_cluster_is(manager, cluster, register, call):
    async with reporting(manager, cluster, register("server1")) as one:
        path = f"/clusters/{cluster}/whatif"
        body = {"events": ["crash server1", "at 30 power_on server1"]}
        status, now, _ = await call("POST", path, body)
        assert (status, now["story"]["events"]) == (200, body["events"])
        assert [(f["group"], f["outcome"], f["after"]) for f in now["story"]["fates"]] == [
            ("failover1", "moves", ["server2"])
        ]
        assert min(step["at_s"] for step in now["story"]["steps"]) == 0
        assert max(step["at_s"] for step in now["story"]["steps"]) >= 30
        well = (await call("POST", path, {"events": ["crash server1"], "since": "well"}))[1]
        assert {f["group"] for f in well["story"]["fates"]} == {"failover1", "failover2"}
        stopped = {"service": "stopped", "epoch": (0, 0), "members": []}
        await one.change(report("server2", 2, **stopped))
        await manager.everywhere(
            f"/api/v2/clusters/{cluster}/status",
            lambda status, body: body["status"]["servers"]["server2"]["status"] != "Online",
        )
        without = (await call("POST", path, {"events": ["crash server1"]}))[1]
        assert [f["after"] for f in without["story"]["fates"]] == [["server3"]]
        assert one.commands == []


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"events": ["crash server1", "crash server9"]}, 422, "Event 2: There is no server"),
        ({"events": ["dance"]}, 422, "Use one of crash"),
        ({"events": ["crash server1\nend 5"]}, 400, "one line"),
        ({"events": []}, 400, "events"),
        ({"events": ["crash server1"] * 51}, 400, "events"),
        ({"events": "crash"}, 400, "events"),
        ("[]", 400, "JSON object"),
    ],
)
async def test_bad_questions_are_answered_with_place_and_remedy(manager, cluster, register, call, body, status, said):
    async with reporting(manager, cluster, register("server1")):
        found, reply, _ = await call("POST", f"/clusters/{cluster}/whatif", body)
    assert (found, reply["result"]["code"]) == (status, status)
    assert said in reply["result"]["message"]


# Tokens.


def test_token_is_shown_once_and_works_everywhere(manager, token, people):
    headers, key = token("charlie", days=2)
    assert headers["Authorization"].startswith("Bearer oclp_")
    for path in ("/api/v2/clusters", "/api/v1/configuration/drafts"):
        assert manager.call("GET", path, headers=headers)[0] == 200
    body = manager.call("GET", "/api/v2/tokens", headers=headers)[1]
    mine = {t["id"]: t for t in body["tokens"]}[key]
    assert (mine["name"], mine["read_only"]) == ("test", False)
    assert mine["expires"] - mine["created"] == pytest.approx(2 * 86400, abs=60)
    assert headers["Authorization"].split("oclp_")[1] not in json.dumps(body)
    assert key not in json.dumps(manager.call("GET", "/api/v2/tokens", user="bob")[1])


def test_revoked_tokens_end_at_once(manager, token, people):
    (first, key), (second, _), (bobs, _) = token("charlie"), token("charlie"), token("bob")
    assert manager.call("DELETE", f"/api/v2/tokens/{key}", user="bob")[0] == 404
    assert manager.call("DELETE", f"/api/v2/tokens/{key}", user="charlie")[0] == 200
    assert manager.call("DELETE", f"/api/v2/tokens/{key}", user="charlie")[0] == 404
    assert manager.call("GET", "/api/v2/tokens", headers=first)[0] == 401
    assert manager.call("DELETE", "/api/v2/tokens", headers=second)[0] == 200
    assert manager.call("GET", "/api/v2/tokens", headers=second)[0] == 401
    assert manager.call("GET", "/api/v2/tokens", headers=bobs)[0] == 200


def test_tokens_of_a_person_are_limited(manager, people, settings):
    from django.contrib.auth import get_user_model

    from webmanager.api import tokens

    user = get_user_model().objects.create_user("frida")
    for number in range(settings.TOKENS_PER_USER):
        row, _ = tokens.make(user=user, name=str(number), days=1, read_only=False)
    with pytest.raises(tokens.TooManyError):
        tokens.make(user=user, name="too many", days=1, read_only=False)
    ApiToken.objects.filter(pk=row.pk).update(expiry=timezone.now() - timedelta(seconds=1))
    tokens.make(user=user, name="in place of one that has expired", days=1, read_only=False)


@pytest.mark.parametrize("body", [{"name": ""}, {"name": "x", "days": 0}, {"name": "x", "days": 366}, {}])
def test_bad_tokens_are_not_made(manager, people, body):
    assert manager.call("POST", "/api/v2/tokens", user="charlie", body=body)[0] == 400
