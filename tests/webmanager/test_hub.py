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
from webmanager.reducer import encode
from webmanager.sockets import WebSocket
from webmanager.sockets import frame as frame_of
from webmanager.turns import Turns, clock


class Browser:
    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []

    def begin(self, snapshot: str) -> None:
        self.put(snapshot)

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
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(10):
        while room._due is not None or not room.rev or loop.time() < max(room._rests_until, room._turns._free_at):
            await asyncio.sleep(0.01)
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
    hub.rooms["c"]._rests_until = asyncio.get_running_loop().time() + 0.5  # as after a costly one
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
    hub.rooms["c"]._rest(clock.now(), 10.0)
    assert hub.rooms["c"]._rests_until > loop.time() + 30


async def test_changes_in_a_row_are_told_at_once_until_too_much_is_owed():
    room, loop = Room("c"), asyncio.get_running_loop()
    for _ in range(3):  # Ten milliseconds of processor time each.
        room._rest(clock.now(), 0.01)
        assert room._rests_until <= loop.time() + 0.01
    room._rest(clock.now(), 1.0)
    assert room._rests_until > loop.time() + 3


async def test_rooms_that_are_due_together_publish_one_after_the_other_for_half_of_the_time(monkeypatch):
    loop, turns, told = asyncio.get_running_loop(), Turns(), []
    now, timers = [10.0], []
    monkeypatch.setattr(loop, "time", lambda: now[0])
    monkeypatch.setattr(loop, "call_at", lambda at, call: timers.append((at, call)))
    for name in ("a", "b", "c", "d"):
        turns.ask(name, lambda name=name: told.append(name))
    turns.ask("b", lambda: told.append("b once more"))
    assert (told, timers) == (["a"], [])  # What it costs is not known yet.
    turns.give_up("c")
    for cost_s, then in ((0.1, "b"), (0.3, "d")):
        now[0] += cost_s
        turns.paid(cost_s)
        ((at, call),) = timers
        timers.clear()
        assert at == pytest.approx(now[0] + cost_s)
        now[0] = at
        call()
        assert told[-1] == then
    now[0] += 5.0
    turns.paid(0.0)
    turns.ask("e", lambda: told.append("e"))
    assert (told, timers) == (["a", "b", "d", "e"], [])  # What was not used is not saved up, and no hole is left.


async def test_room_that_cannot_publish_does_not_keep_the_others_waiting():
    turns, told = Turns(), []
    with pytest.raises(ZeroDivisionError):
        turns.ask("broken", lambda: 1 / 0)
    turns.ask("next", lambda: told.append("next"))
    assert told == ["next"]


async def test_what_publishing_costs_is_not_what_the_process_reads_meanwhile():
    room = Room("c")
    start = clock.now()
    reading = clock.now()
    while clock.now() - reading < 0.05:  # Frames of many agents, in the same step of the loop.
        pass
    clock.rewind(reading)
    room._rest(start, 0.0)
    assert room._rests_until < asyncio.get_running_loop().time() + 0.02


async def test_browsers_that_come_together_get_one_snapshot_and_what_is_told_makes_it_old(hub: Hub):
    room, made = hub.rooms["c"], []
    small = {kind: {} for kind in ("servers", "groups", "resources", "monitors")}
    room.snapshot = lambda outage: made.append(1) or {"type": "snapshot", "n": len(made), "status": small}
    room.browsers.clear()
    one, two, three = Browser(), Browser(), Browser()
    hub.watch(one, "c")
    hub.watch(two, "c")
    room.tell(encode({"type": "acknowledged"}))
    hub.watch(three, "c")
    assert [b.heard[0]["n"] for b in (one, two, three)] == [1, 1, 2]
    assert [m["type"] for m in one.heard] == ["snapshot", "acknowledged"]


def test_browser_that_reads_too_slowly_is_refused_what_would_wait_and_a_closed_one_is_left_alone():
    class Transport:
        waiting, closing, written = 0, False, b""

        def get_write_buffer_size(self) -> int:
            return self.waiting

        def is_closing(self) -> bool:
            return self.closing

        def write(self, data: bytes) -> None:
            self.written += data

    socket = WebSocket.__new__(WebSocket)
    socket.disconnected, socket.close_sent, socket.transport = False, False, Transport()
    assert socket.write_frame(frame_of("ü"), 10)
    assert socket.transport.written == b"\x81\x02\xc3\xbc"
    socket.transport.waiting = 11
    assert not socket.write_frame(b"more", 10)
    socket.transport.closing = True
    assert socket.write_frame(b"more", 10)
    assert socket.transport.written == b"\x81\x02\xc3\xbc"
