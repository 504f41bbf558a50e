"""A draft goes to a running cluster: delivered by the manager, driven by the servers, followed whatever happens."""

from __future__ import annotations

import asyncio
import base64
import datetime
from typing import Any

import msgspec
import pytest

from agent.clpconf.archive import Bundle, Script, read_archive, write_archive
from agent.wire.switch import config_id
from tests.builder.servers import FakeServers, joined
from tests.webmanager.conftest import cluster, register
from tests.webmanager.stack import SERVERS, Server

__all__ = ["cluster", "register"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
API = "/api/v1/configuration"
COMMENT = "/root/resource/exec@exec1/comment"


class Program:
    """Alice, by REST."""

    def __init__(self, manager: Any, cluster: str) -> None:
        self.manager = manager
        self.cluster = cluster

    async def call(self, method: str, path: str, body: Any = None, user: str = "alice") -> tuple[int, Any]:
        status, answer, _ = await self.manager.acall(
            method, f"{API}/{path}?cluster={self.cluster}", body=body, user=user
        )
        return status, answer

    async def draft(self, value: str = "new") -> dict[str, Any]:
        """Of what runs, with one comment changed."""
        status, made = await self.call("POST", "drafts", {"name": self.cluster})
        assert status == 200, made
        wish = {"revision": 1, "changes": [{"op": "set", "path": COMMENT, "value": value}]}
        status, made = await self.call("POST", f"drafts/{made['draft']['id']}/changes", wish)
        assert status == 200, made
        return dict(made["draft"])

    async def apply(self, draft: dict[str, Any], user: str = "alice", **more: Any) -> tuple[int, Any]:
        wish = {"revision": draft["revision"], "why": "a test", "confirm_s": 30, "anyway": "nobody looked", **more}
        return await self.call("POST", f"drafts/{draft['id']}/apply", wish, user)

    async def begun(self, draft: dict[str, Any], **more: Any) -> int:
        status, answer = await self.apply(draft, **more)
        assert status == 200, answer
        return int(answer["applied"]["id"])

    async def until(self, key: int, *states: str, phase: str = "") -> dict[str, Any]:
        """The reply, once the row has one of these states and the change that phase."""
        while True:
            status, answer = await self.call("GET", f"applies/{key}")
            assert status == 200, answer
            if answer["applied"]["state"] in states and phase in ("", answer["change"]["phase"]):
                return dict(answer)
            await asyncio.sleep(0.05)


@pytest.fixture
def alice(manager, people, cluster):
    return Program(manager, cluster)


@pytest.fixture
def mortal(manager):
    """One that may be killed, in one process: of several nobody knows which one delivers."""
    if manager.count > 1:
        server = Server(manager.environment, manager.log.with_name("mortal.log")).start()
        yield server
        server.stop()
        return
    yield manager
    if not manager.processes:
        manager.start()


async def test_draft_comes_with_its_scripts_and_is_stored_everywhere_before_anybody_changes(
    manager, alice, cluster, register
):
    servers = FakeServers(cluster)
    servers.hold = asyncio.Event()
    async with joined(manager, servers, register):
        draft = await alice.draft()
        _, file = await alice.call("GET", f"drafts/{draft['id']}/file")
        key = await alice.begun(draft)
        assert (await alice.until(key, "delivering"))["change"]["phase"] == "delivering"
        await servers.of("store")
        assert [one["op"] for one in servers.requests] == ["inventory"]
        servers.hold.set()
        request = await servers.asked("config_apply")

        conf = base64.b64decode(file["conf"])
        assert await servers.of("store") == sorted(SERVERS)
        assert {
            server: (servers.stored(server).conf, servers.stored(server).scripts) for server in SERVERS
        } == dict.fromkeys(SERVERS, (conf, servers.runs.scripts))
        assert request["target"] == config_id(conf)
        assert (request["why"], request["confirm_s"], request["by"].partition("@")[0]) == ("a test", 30.0, "alice")
        assert b">new<" in conf


async def test_trial_is_confirmed_and_becomes_a_version_with_its_scripts(manager, alice, cluster, register):
    servers = FakeServers(cluster)
    async with joined(manager, servers, register):
        key = await alice.begun(await alice.draft())
        request = await servers.asked("config_apply")
        trial = {"config": request["target"], "switch": msgspec.to_builtins(servers.switch(request))}
        await servers.say(servers.trying(request), **trial)
        seen = await alice.until(key, "running", phase="trying")
        assert 0 < seen["change"]["left_s"] <= 30
        assert seen["change"]["may_confirm"] is True
        assert (await alice.call("POST", "change/confirm", {}, "bob"))[0] == 403
        assert (await alice.call("POST", "change/confirm", {}))[0] == 200
        assert (await servers.asked("config_confirm"))["target"] == request["id"]
        kept = servers.switch(request, state="confirmed")
        await servers.say(config=request["target"], switch=msgspec.to_builtins(kept))

        await alice.until(key, "done")
        versions = [v for v in (await alice.call("GET", "versions"))[1]["versions"] if v["cluster"] == cluster]
        assert [v["origin"] for v in versions] == ["apply", "agent"]  # What ran before is kept, too.
        newest = next(v for v in (await alice.call("GET", "versions"))[1]["versions"] if v["cluster"] == cluster)
        assert (newest["origin"], newest["why"], newest["by"].partition("@")[0]) == ("apply", "a test", "alice")
        _, restored = await alice.call("POST", "drafts", {"version": newest["id"]})
        _, file = await alice.call("GET", f"drafts/{restored['draft']['id']}/file")
        assert read_archive(base64.b64decode(file["archive"])).scripts == servers.runs.scripts
        assert (await alice.apply(restored["draft"], why=""))[0] == 400


async def test_server_that_cannot_store_leaves_everybody_as_he_was(manager, alice, cluster, register):
    servers = FakeServers(cluster)
    servers.fails["server2", "store"] = "The disk of server2 is full."
    async with joined(manager, servers, register):
        key = await alice.begun(await alice.draft())

        ended = await alice.until(key, "failed")
        assert ended["applied"]["text"] == "server2: The disk of server2 is full."
        assert await servers.of("discard") == sorted(SERVERS)
        assert [one["op"] for one in servers.requests] == ["inventory"]


async def test_one_connected_agent_is_enough(manager, alice, cluster, register):
    servers = FakeServers(cluster, connected=("server3",))
    async with joined(manager, servers, register):
        await alice.begun(await alice.draft())
        await servers.asked("config_apply")

        assert await servers.of("store") == sorted(SERVERS)
        assert servers.through == {"server3"}


async def test_agents_of_another_process_of_the_manager_are_reached(manager, second, alice, cluster, register):
    servers = FakeServers(cluster)
    async with joined(second, servers, register):
        while len((await alice.call("GET", "change"))[1].get("change", {}).get("servers", ())) < len(SERVERS):
            await asyncio.sleep(0.05)
        await alice.begun(await alice.draft())
        await servers.asked("config_apply")

        assert await servers.of("store") == sorted(SERVERS)


async def test_refused_is_what_cannot_be_applied(manager, alice, cluster, register):
    servers = FakeServers(cluster)
    servers.hold = asyncio.Event()
    async with joined(manager, servers, register):
        draft = await alice.draft()
        assert (await alice.apply(draft, user="bob"))[0] == 403
        assert (await alice.apply({**draft, "revision": 1}))[0] == 409
        status, answer = await alice.apply(draft, anyway="")
        assert (status, "Nobody looked." in answer["result"]["message"]) == (422, True)
        _, same = await alice.call("POST", "drafts", {"name": "same"})
        status, answer = await alice.apply(same["draft"])
        assert (status, "exactly this already" in answer["result"]["message"]) == (422, True)
        wish = {"revision": 2, "changes": [{"op": "set", "path": "/root/cluster/name", "value": "other"}]}
        _, renamed = await alice.call("POST", f"drafts/{draft['id']}/changes", wish)
        status, answer = await alice.apply(renamed["draft"])
        assert (status, "not renamed while it runs" in answer["result"]["message"]) == (422, True)
        first, second = await alice.draft("first"), await alice.draft("second")
        assert await alice.begun(first) > 0
        status, answer = await alice.apply(second)
        assert (status, "under way" in answer["result"]["message"]) == (422, True)
        servers.hold.set()
        assert len(await servers.of("store")) <= 3


async def other_scripts(alice: Program, servers: FakeServers) -> dict[str, Any]:
    """A draft with the same clp.conf."""
    scripts = {**servers.runs.scripts, "failover1/exec1/start.sh": Script(b"#!/bin/sh\nexec true\n", 0o755)}
    archive = base64.b64encode(write_archive(Bundle(servers.runs.conf, scripts))).decode()
    status, made = await alice.call("POST", "drafts", {"name": "scripts", "conf": archive})
    assert status == 200, made
    return dict(made["draft"])


async def test_scripts_alone_are_exchanged_in_place_on_all_or_on_none(manager, alice, cluster, register):
    servers = FakeServers(cluster)
    async with joined(manager, servers, register):
        draft = await other_scripts(alice, servers)
        servers.fails["server2", "switch"] = "The disk of server2 is full."
        failed = await alice.until(await alice.begun(draft), "failed")
        assert failed["applied"]["text"] == "server2: The disk of server2 is full."
        assert await servers.of("restore") == ["server1"]
        servers.fails.clear()
        servers.steps.clear()

        await alice.until(await alice.begun(draft), "done")
        assert await servers.of("switch") == sorted(SERVERS)
        assert {step for _, step in servers.steps} & {"restore", "restart", "discard"} == set()
        assert "config_apply" not in [one["op"] for one in servers.requests]


async def test_stopped_service_begins_anew_with_the_new_files(manager, alice, cluster, register):
    servers = FakeServers(cluster)
    async with joined(manager, servers, register):
        draft = await alice.draft()
        servers.service = "stopped"
        key = await alice.begun(draft)
        assert await servers.of("restart")
        while len(await servers.of("restart")) < len(SERVERS):
            await asyncio.sleep(0.02)
        await servers.say(config=config_id(servers.stored().conf))

        await alice.until(key, "done")
        assert "config_apply" not in [one["op"] for one in servers.requests]


async def test_manager_that_dies_while_it_delivers_changes_nothing_and_says_so(mortal, cluster, register):
    from builder import applying
    from builder.models import Apply

    alice = Program(mortal, cluster)
    servers = FakeServers(cluster)
    servers.hold = asyncio.Event()
    async with joined(mortal, servers, register):
        key = await alice.begun(await alice.draft())
        await servers.of("store")
        await asyncio.to_thread(mortal.kill)
    row = Apply.objects.select_related("cluster").get(pk=key)
    assert row.state == "delivering"
    assert applying.settle(row, None, row.beat_at + datetime.timedelta(seconds=16)) is True
    row.refresh_from_db()

    assert (row.state, row.text) == ("failed", applying.MANAGER_ENDED)
    assert "config_apply" not in [one["op"] for one in servers.requests]


async def test_trial_goes_on_without_the_manager_and_its_return_is_told_with_the_reason(mortal, cluster, register):
    alice = Program(mortal, cluster)
    servers = FakeServers(cluster)
    async with joined(mortal, servers, register):
        key = await alice.begun(await alice.draft())
        request = await servers.asked("config_apply")
        await asyncio.to_thread(mortal.kill)
    mortal.start()  # By this thread: it dies with the one that has started it.
    async with joined(mortal, servers, register):
        await servers.say(servers.trying(request), config=request["target"])
        await alice.until(key, "running", phase="trying")
        assert (await alice.call("POST", "change/return", {}, "charlie"))[0] == 403
        assert (await alice.call("POST", "change/return", {}, "bob"))[0] == 200
        assert (await servers.asked("config_return"))["by"].partition("@")[0] == "bob"
        back = servers.switch(request, state="returned", reason="server2 was not heard")
        await servers.say(switch=msgspec.to_builtins(back))

        ended = await alice.until(key, "returned")
        assert ended["change"]["reason"] == "server2 was not heard"
        kept = [v["origin"] for v in (await alice.call("GET", "versions"))[1]["versions"] if v["cluster"] == cluster]
        assert kept == ["agent"]
