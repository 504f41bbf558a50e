"""When a room publishes: at once after a quiet time, together in a burst, not at all without news."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.webmanager import stack
from tests.webmanager.stack import note, report
from tests.webmanager.test_reducer import frame
from webmanager import configs
from webmanager.hub import Hub, Room


class Browser:
    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []

    def put(self, text: str) -> None:
        self.heard.append(json.loads(text))


@pytest.fixture
async def hub() -> Hub:
    """Without database and bus; a browser watches, all servers have spoken, and it has been quiet since."""
    hub = Hub()
    room = hub.rooms["c"] = Room("c")
    room.reducer.configure(*configs.load(stack.config("c")))
    for node in stack.SERVERS:
        room.reducer.hello(node, "h", 0.0)
        hub.take("c", node, frame("snapshot", 1, *(report(server) for server in stack.SERVERS)))
    await asyncio.sleep(0.05)
    room.browsers.add(Browser())
    return hub


def heard(hub: Hub) -> list[dict[str, Any]]:
    (browser,) = hub.rooms["c"].browsers
    assert isinstance(browser, Browser)
    return browser.heard


async def test_first_news_after_a_quiet_time_goes_out_in_the_next_step_of_the_loop(hub: Hub):
    hub.take("c", "server1", frame("change", 2, report("server1", 2, runs=("failover1",)), notes=(note(1),)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    (change,) = heard(hub)
    assert [event["id"] for event in change["events"]] == ["server1:1:1"]
    assert ["groups", "failover1"] in [one[:2] for one in change["changes"]]


async def test_what_follows_closely_is_one_message_more(hub: Hub):
    hub.take("c", "server1", frame("change", 2, notes=(note(1),)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    hub.rooms["c"]._rests_until = asyncio.get_running_loop().time() + 0.1  # as after a costly one
    for rev in range(3, 13):
        hub.take("c", "server1", frame("change", rev, notes=(note(rev),)))
        await asyncio.sleep(0)
    assert len(heard(hub)) == 1
    async with asyncio.timeout(10):
        while len(heard(hub)) < 2:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.15)
    assert [len(message["events"]) for message in heard(hub)] == [1, 10]
    assert [message["rev"] for message in heard(hub)] == [hub.rooms["c"].rev - 1, hub.rooms["c"].rev]


async def test_the_same_from_other_agents_is_told_once(hub: Hub):
    for node in stack.SERVERS:
        hub.take("c", node, frame("change", 2, report("server1", 2, runs=("failover1",))))
        await asyncio.sleep(0.02)
    changed = [sorted(one[1] for one in message["changes"] if one[0] == "groups") for message in heard(hub)]
    assert changed == [["failover1"]]


async def test_rest_is_in_proportion_to_what_publishing_cost(hub: Hub):
    loop = asyncio.get_running_loop()
    hub.rooms["c"]._rest(-10.0)  # It began ten seconds of processor time ago.
    assert hub.rooms["c"]._rests_until > loop.time() + 30
