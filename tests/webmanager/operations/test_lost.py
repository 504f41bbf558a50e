"""Answers that get lost: a manager is killed, a link breaks, nobody remembers. No second move; the truth is told."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.daemon.push import Configuration, Manager, ManagerLink
from agent.wire.peer import Answer
from tests.agent.daemon.shell import CLP_CONF, StandIn
from tests.webmanager import stack
from tests.webmanager.reporting import reporting
from tests.webmanager.stack import report
from tests.webmanager.test_sockets import until_known

pytestmark = pytest.mark.slow
OPERATIONS = "/api/v2/clusters/c/operations"


@pytest.fixture(scope="module")
def mortal(environment, people) -> Iterator[stack.Server]:
    """A manager of its own, which may be killed."""
    server = stack.Server(environment, Path(environment["OPENCLP_DATA"]) / "mortal.log").start()
    yield server
    server.stop()


@pytest.fixture
async def agent(mortal, register, tmp_path) -> AsyncIterator[StandIn]:
    """server1 of cluster "c" with its real link; server2 answers through it, and has never heard of anything."""
    found = StandIn(tmp_path / "log")

    async def forward(server: str, request: dict[str, Any], wait_s: float) -> AsyncGenerator[dict[str, Any], None]:
        yield {"ok": True, "outcome": {"answer": None}}

    found.console.forward = forward
    entry = Manager(url=f"http://{mortal.host}", node="server1", secret=register("server1", "c"))
    link = ManagerLink(entry, Configuration(CLP_CONF), found.observer, found.console, lambda *words: None)
    task = asyncio.ensure_future(link.run())
    await until_known(mortal, "c")
    yield found
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    found.journal.close()


async def until(condition: Any, what: str) -> Any:
    for _ in range(1500):
        if found := condition():
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(f"waited in vain for {what}")


async def ended(manager: stack.Server, key: str) -> dict[str, Any]:
    for _ in range(600):
        with contextlib.suppress(OSError):
            body = (await manager.acall("GET", f"/api/v2/operations/{key}", user="bob"))[1]
            if body["operation"]["ended"] is not None:
                return body["operation"]
        await asyncio.sleep(0.05)
    raise AssertionError(f"it does not end: {body}")


async def begun(manager: stack.Server, **body: Any) -> str:
    status, reply, _ = await manager.acall("POST", OPERATIONS, user="bob", body=body)
    assert status == 202, reply
    return str(reply["operation"]["id"])


async def test_manager_killed_between_question_and_answer_finds_out_and_asks_for_nothing_anew(mortal, agent):
    key = await begun(mortal, op="cluster_suspend", why="the night of the change")
    await until(lambda: agent.asked, "the request")
    mortal.kill()
    agent.console.reply(Answer(id=key, code=0, text="Done, while the manager was away."))
    mortal.start()

    found = await ended(mortal, key)

    assert (found["state"], found["text"]) == ("done", "Done, while the manager was away.")
    assert [(r.id, r.why) for r in agent.asked] == [(key, "the night of the change")]


async def test_what_is_still_under_way_after_the_kill_is_followed_under_the_same_id(mortal, agent):
    key = await begun(mortal, op="cluster_resume")
    await until(lambda: agent.asked, "the request")
    agent.console.outcome = lambda known: Answer(id=known, code=1, reason="under_way") if known == key else None
    mortal.kill()
    agent.on_ask = lambda request: agent.console.reply(
        Answer(id=request.id, code=3, reason="failed", text="It failed.")
    )
    mortal.start()

    found = await ended(mortal, key)

    assert (found["state"], found["text"]) == ("failed", "It failed.")
    assert {request.id for request in agent.asked} == {key}


def left_running(op: str = "group_move", *, silent_s: float = 60, **more: Any) -> str:
    """As a process that was killed before it sent anything leaves it."""
    from django.utils import timezone

    from webmanager.models import Cluster, Operation

    key = uuid.uuid4()
    part = {"id": str(key), "op": op, "target": "failover1", "server": "", "node": "", "lives": {}}
    Operation.objects.create(
        id=key, cluster=Cluster.objects.get(name="c"), op=op, target="failover1", by="bob@::1", parts=[[part]],
        told_at=timezone.now() - datetime.timedelta(seconds=silent_s), **more,
    )  # fmt: skip
    return str(key)


async def test_what_no_server_knows_was_not_carried_out_and_is_not_asked_again(mortal, agent):
    key = await asyncio.to_thread(left_running)

    found = await ended(mortal, key)

    assert (found["state"], found["reason"]) == ("failed", "not_carried_out")
    assert "server1, server2 answered and know of no such request" in found["text"]
    assert agent.asked == []


async def test_server_that_does_not_answer_leaves_it_open_and_is_named(mortal, agent):
    agent.console.forward = None
    key = await asyncio.to_thread(left_running)

    found = await ended(mortal, key)

    assert (found["state"], found["reason"]) == ("failed", "outcome_unknown")
    assert "server2 did not answer" in found["text"]
    assert agent.asked == []


def test_only_one_process_takes_over(environment, cluster):
    from webmanager import carrying
    from webmanager.models import Cluster, Operation

    Cluster.objects.get_or_create(name="c")
    key = left_running(silent_s=-60)  # The managers that run here leave it to us.
    try:
        seen = [Operation.objects.get(id=key) for _ in range(2)]
        assert [carrying._claim(one, carrying.timezone.now()) for one in seen] == [True, False]
    finally:
        Operation.objects.filter(id=key).delete()


async def test_forcing_off_is_never_asked_twice(manager, cluster, register):
    """The agent that took it breaks off; the other one is asked what became of it, and for nothing else."""
    path = f"/api/v2/clusters/{cluster}/operations?wait=60"
    secrets = {name: register(name) for name in ("server1", "server2")}
    async with (
        stack.agent(manager, cluster, "server2", secrets["server2"]) as other,
        reporting(manager, cluster, secrets["server1"], answer=False) as one,
    ):
        await other.hello()
        await other.snapshot(report("server1"), report("server2"), report("server3"))
        body = {"op": "fence_off", "target": "server3", "server": "server1"}
        asking = asyncio.create_task(manager.acall("POST", path, user="alice", body=body))
        command = await one.command()
        assert command["request"]["op"] == "fence_off"
        await one.socket.close()
        question = await other.command()
        assert (question["type"], question["op"], question["via"]) == ("consult", "outcome", "server1")
        assert question["body"] == {"id": command["id"]}
        await other.send({"type": "consulted", "id": question["id"], "ok": True, "outcome": {"answer": None}})
        found = (await asking)[1]["operation"]

    assert (found["state"], found["reason"]) == ("failed", "not_carried_out")


async def test_restart_stops_and_then_starts(manager, cluster, register):
    asked = []

    async def obey(one, command):
        op, target = command["request"]["op"], command["request"].get("target", "")
        asked.append((op, target))
        if op == "server_stop":
            await one.change(report("server3", 2, service="stopped", epoch=(0, 0), members=[]))
        await one.result(command["id"], text="Done.")

    async with reporting(manager, cluster, register("server1"), obey):
        path = f"/api/v2/clusters/{cluster}/operations?wait=60"
        body = {"op": "server_restart", "target": "server3"}
        found = (await manager.acall("POST", path, user="bob", body=body))[1]["operation"]

    assert asked == [("server_stop", "server3"), ("server_start", "server3")]
    assert found["state"] == "done"
    assert found["progress"] == ["The service has stopped; it is started again."]


@pytest.mark.parametrize(("waits", "state"), [(True, "cancelled"), (False, "done")])
async def test_cancelling_takes_back_what_waits_and_says_when_it_cannot(manager, cluster, register, waits, state):
    held = []

    async def obey(one, command):
        request = command["request"]
        if request["op"] != "request_cancel":
            held.append(command["id"])
            return
        assert request["target"] == held[0]
        if waits:
            await one.result(held[0], 3, reason="cancelled", text="It was cancelled by bob.")
            await one.result(command["id"], 0, text="It was cancelled while it waited. Nothing was done.")
        else:
            await one.result(command["id"], 2, reason="under_way", text="It is being carried out.")
            await one.result(held[0])

    async with reporting(manager, cluster, register("server1"), obey):
        path = f"/api/v2/clusters/{cluster}/operations"
        body = {"op": "group_move", "target": "failover1"}
        key = (await manager.acall("POST", path, user="bob", body=body))[1]["operation"]["id"]
        await until(lambda: held, "the request")
        status, _, _ = await manager.acall("POST", f"/api/v2/operations/{key}/cancel", user="charlie")
        assert status == 403
        _, told, _ = await manager.acall("POST", f"/api/v2/operations/{key}/cancel", user="bob")
        found = await ended(manager, key)

    assert (told["cancelled"], found["state"]) == (waits, state)
    assert told["text"] in ("It was cancelled while it waited. Nothing was done.", "It is being carried out.")
