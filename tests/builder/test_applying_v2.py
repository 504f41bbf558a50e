"""A draft goes to a running cluster by /api/v2: begun once, seen before, confirmed, stopped."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from tests.builder.servers import FakeServers, joined
from tests.webmanager.conftest import cluster, register

__all__ = ["cluster", "register"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
CHANGE = {"op": "set", "path": "/root/resource/exec@exec1/comment", "value": "new"}
WISH = {"why": "a test", "confirm_s": 30, "anyway": "nobody looked"}


class Program:
    """Alice, who keeps to the addresses that she is told."""

    def __init__(self, manager: Any, cluster: str) -> None:
        self.manager = manager
        self.here = f"/api/v2/clusters/{cluster}"
        self.cluster = cluster

    async def call(
        self, method: str, path: str, body: Any = None, user: str = "alice", **headers: str
    ) -> tuple[int, Any, Any]:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        status, answer, response = await self.manager.acall(method, path, body=body, user=user, headers=sent)
        return status, answer, response.headers

    async def draft(self) -> str:
        """Its address; at revision 2."""
        status, made, headers = await self.call("POST", "/api/v2/drafts", {"cluster": self.cluster})
        assert status == 201, made
        path = headers["Location"]
        status, answer, headers = await self.call(
            "POST", f"{path}/changes", {"changes": [CHANGE]}, If_Match=headers["ETag"]
        )
        assert (status, headers["ETag"]) == (200, '"2"'), answer
        return str(path)

    async def until(self, path: str, state: str, phase: str = "") -> dict[str, Any]:
        while True:
            status, answer, _ = await self.call("GET", path)
            assert status == 200, answer
            if answer["applied"]["state"] == state and phase in ("", answer["change"]["phase"]):
                return dict(answer)
            await asyncio.sleep(0.05)


@pytest.fixture
def alice(manager, people, cluster):
    return Program(manager, cluster)


async def test_draft_is_planned_applied_once_and_confirmed(manager, alice, cluster, register):
    servers = FakeServers(cluster)
    async with joined(manager, servers, register):
        draft = await alice.draft()
        plan = (await alice.call("GET", f"{draft}/plan"))[1]
        assert (plan["possible"], plan["count"], plan["level"]) == (True, 1, "noted"), plan
        (one,) = (await alice.call("GET", f"{draft}/diff"))[1]["differences"]
        assert (one["name"], one["after"]) == ("exec1", "new")
        assert (await alice.call("POST", f"{draft}/apply", WISH, If_Match='"1"'))[0] == 409
        assert (await alice.call("POST", f"{draft}/apply", WISH, "bob", If_Match='"2"'))[0] == 403

        places = set()
        for _ in range(2):
            status, answer, headers = await alice.call(
                "POST", f"{draft}/apply", WISH, If_Match='"2"', Idempotency_Key="once"
            )
            assert status == 202, answer
            places.add(headers["Location"])
        (place,) = places
        request = await servers.asked("config_apply")
        trial = {"config": request["target"], "switch": msgspec.to_builtins(servers.switch(request))}
        await servers.say(servers.trying(request), **trial)
        await alice.until(place, "running", "trying")
        assert (await alice.call("POST", f"{place}/cancel", {}))[0] == 422
        assert (await alice.call("GET", f"{alice.here}/change"))[1]["change"]["may_confirm"] is True
        assert (await alice.call("POST", f"{alice.here}/change/confirm", {}, "bob"))[0] == 403
        assert (await alice.call("POST", f"{alice.here}/change/confirm", {}))[0] == 200
        kept = servers.switch(request, state="confirmed")
        await servers.say(config=request["target"], switch=msgspec.to_builtins(kept))
        await alice.until(place, "done")
        assert len((await alice.call("GET", f"{alice.here}/applies"))[1]["applies"]) == 1
    assert [one["op"] for one in servers.requests].count("config_apply") == 1


async def test_delivery_is_stopped_before_anything_has_changed(manager, alice, cluster, register):
    servers = FakeServers(cluster)
    servers.hold = asyncio.Event()
    async with joined(manager, servers, register):
        draft = await alice.draft()
        place = (await alice.call("POST", f"{draft}/apply", WISH, If_Match='"2"'))[2]["Location"]
        await servers.of("store")

        assert (await alice.call("POST", f"{place}/cancel", {}))[0] == 200
        servers.hold.set()

        assert "stopped" in (await alice.until(place, "failed"))["applied"]["text"]
    assert "config_apply" not in [one["op"] for one in servers.requests]
