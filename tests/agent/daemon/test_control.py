"""The control socket, over a real unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent.daemon.control import MOST_CLIENTS, ControlSocket
from agent.wire.peer import Answer
from tests.agent.daemon.shell import StandIn
from tests.agent.waiting import until_true


@dataclass
class Talk:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def say(self, request: Any) -> dict[str, Any]:
        self.send(request)
        return await self.hear()

    def send(self, request: Any) -> None:
        self.writer.write((request if isinstance(request, bytes) else json.dumps(request).encode()) + b"\n")

    async def hear(self) -> dict[str, Any]:
        async with asyncio.timeout(30):
            return json.loads(await self.reader.readline())


@dataclass
class Bench:
    agent: StandIn
    socket: ControlSocket
    path: Path

    @contextlib.asynccontextmanager
    async def talk(self) -> AsyncIterator[Talk]:
        reader, writer = await asyncio.open_unix_connection(str(self.path), limit=1 << 24)
        try:
            yield Talk(reader, writer)
        finally:
            writer.close()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    agent = StandIn(tmp_path / "log")
    path = tmp_path / "run" / "agent.sock"
    socket = ControlSocket(path, agent.console)
    await socket.start()
    yield Bench(agent, socket, path)
    await socket.close()
    agent.journal.close()


async def test_only_the_owner_may_connect(bench: Bench):
    assert stat.S_IMODE(os.stat(bench.path).st_mode) == 0o600


async def test_status_is_the_own_view(bench: Bench):
    bench.agent.set_group("Online")
    async with bench.talk() as talk:
        answer = await talk.say({"op": "status"})

    assert answer["ok"] is True
    assert answer["status"]["groups"]["g1"]["current"] == "server1"
    assert answer["status"]["servers"]["server1"]["source"] == "server1"


async def test_watch_tells_each_change_and_ends_with_the_client(bench: Bench):
    async with bench.talk() as talk:
        assert (await talk.say({"op": "watch"}))["status"]["groups"]["g1"]["current"] == ""
        bench.agent.set_group("Online Pending")
        bench.agent.set_group("Online")
        assert (await talk.hear())["status"]["groups"]["g1"]["status"] == "Online"
    await until_true(lambda: not bench.agent.observer._wakers)


async def test_next_request_stops_a_watch(bench: Bench):
    async with bench.talk() as talk:
        await talk.say({"op": "watch"})
        assert (await talk.say({"op": "events"}))["notes"] == []


async def test_events_are_the_newest_and_go_on_after_a_known_one(bench: Bench):
    for number in range(5):
        bench.agent.note(number)
    async with bench.talk() as talk:
        newest = await talk.say({"op": "events", "limit": 2})
        following = await talk.say({"op": "events", "after": "server1:1:2", "limit": 9})

    assert [n["text"] for n in newest["notes"]] == ["note 3", "note 4"]
    assert [n["text"] for n in following["notes"]] == ["note 3", "note 4"]


async def test_ask_shows_progress_and_then_the_answer(bench: Bench):
    async with bench.talk() as talk:
        talk.send({"op": "ask", "request": {"op": "group_start", "target": "g1"}, "wait_s": 5})
        request = await until_true(lambda: bench.agent.asked and bench.agent.asked[0])
        bench.agent.set_group("Online Pending")
        first = await talk.hear()
        bench.agent.console.reply(Answer(id=request.id, code=1, text="accepted"))
        second = await talk.hear()
        bench.agent.console.reply(Answer(id=request.id, code=0, text="done"))
        last = await talk.hear()

    assert first == {"progress": "g1: Online Pending on server1"}
    assert second == {"progress": "accepted"}
    assert last == {"ok": True, "answer": {"id": request.id, "code": 0, "reason": "", "text": "done"}}
    assert request.origin == "server1"
    assert request.by.startswith("root@") or request.by.startswith("uid")


async def test_refusal_is_not_ok_and_names_the_reason(bench: Bench):
    bench.agent.on_ask = lambda r: bench.agent.console.reply(Answer(id=r.id, code=2, reason="no_quorum", text="Alone."))
    async with bench.talk() as talk:
        answer = await talk.say({"op": "ask", "request": {"id": "a", "op": "group_start", "target": "g1"}})

    assert answer == {"ok": False, "answer": {"id": "a", "code": 2, "reason": "no_quorum", "text": "Alone."}}


async def test_ask_that_takes_longer_says_so(bench: Bench):
    async with bench.talk() as talk:
        answer = await talk.say({"op": "ask", "request": {"op": "group_start", "target": "g1"}, "wait_s": 0.05})

    assert answer["ok"] is False
    assert answer["answer"]["code"] == 1
    assert answer["answer"]["reason"] == "not_done_yet"


async def test_same_id_asked_again_acts_once(bench: Bench):
    bench.agent.on_ask = lambda r: bench.agent.console.reply(Answer(id=r.id, code=0, text="done"))
    question = {"op": "ask", "request": {"id": "same", "op": "group_start", "target": "g1"}}
    async with bench.talk() as one, bench.talk() as two:
        answers = [await one.say(question), await two.say(question)]

    assert answers[0] == answers[1]
    assert len(bench.agent.asked) == 1


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (b"hello", "This is no request"),
        (b"[]", "This is no request"),
        (b'{"op":"explode"}', "explode"),
        (b'{"op":"status","colour":"red"}', "colour"),
        (b'{"op":"ask"}', "The request is not right"),
        (b'{"op":"ask","request":{"op":"group_paint"}}', "group_paint"),
        (b'{"op":"ask","request":{"op":"group_start","target":5}}', "target"),
        (b'{"op":"status","via":"server9"}', "There is no server server9"),
        (b'{"op":"status","via":"server2"}', "no link to server2"),
        (b"\xff\xfe", "This is no request"),
    ],
)
async def test_bad_request_gets_a_sentence_and_the_next_one_works(bench: Bench, bad: bytes, words: str):
    async with bench.talk() as talk:
        answer = await talk.say(bad)
        assert answer["ok"] is False
        assert words in answer["error"]
        assert (await talk.say({"op": "events"}))["ok"] is True
    assert bench.agent.asked == []


async def test_endless_line_is_refused(bench: Bench):
    async with bench.talk() as talk:
        talk.writer.write(b"x" * (2 << 20))
        with contextlib.suppress(ConnectionError):
            assert "more than" in (await talk.hear())["error"]
            assert await talk.reader.read() == b""


async def test_too_many_clients_are_told(bench: Bench):
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(MOST_CLIENTS):
            talk = await stack.enter_async_context(bench.talk())
            await talk.say({"op": "events"})
        late = await stack.enter_async_context(bench.talk())
        assert "clients are connected already" in (await late.hear())["error"]


async def test_client_that_shuts_its_writing_side_still_gets_its_answer(bench: Bench):
    async with bench.talk() as talk:
        talk.send({"op": "status"})
        talk.writer.write_eof()
        assert (await talk.hear())["ok"] is True


async def test_left_over_socket_of_a_dead_daemon_is_replaced(tmp_path: Path):
    agent = StandIn(tmp_path / "log")
    first, second = (ControlSocket(tmp_path / "agent.sock", agent.console) for _ in range(2))
    await first.start()
    await second.start()
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "agent.sock"))
    writer.write(b'{"op":"events"}\n')
    assert json.loads(await reader.readline())["ok"] is True
    writer.close()
    await first.close()
    await second.close()
