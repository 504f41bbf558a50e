"""The manager's link, against a real websocket server that keeps the manager's side of the protocol."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from websockets.asyncio.server import Server, ServerConnection, serve

from agent.daemon import push
from agent.daemon.push import Configuration, Manager, ManagerFileError, ManagerLink, read_managers
from agent.wire.peer import Answer, Table
from agent.wire.report import Report
from agent.wire.report_part import Part, version_of, with_part
from tests.agent.daemon.shell import StandIn
from tests.agent.waiting import until_true

CONFIG = b"<root>conf</root>"


class FakeManager:
    """Collects frames per connection."""

    def __init__(self) -> None:
        self.connections: list[ServerConnection] = []
        self.frames: list[dict[str, Any]] = []
        self.server: Server | None = None
        self.port = 0
        self.reading = asyncio.Event()
        self.reading.set()

    async def _serve(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        async for frame in connection:
            await self.reading.wait()
            assert isinstance(frame, str)
            self.frames.append(json.loads(frame))

    async def start(self) -> None:
        self.server = await serve(self._serve, "127.0.0.1", self.port, max_size=4 << 20, max_queue=1)
        self.port = next(iter(self.server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        if self.server is not None:
            self.server.close()
            await self.server.wait_closed()

    async def send(self, frame: dict[str, Any]) -> None:
        await self.connections[-1].send(json.dumps(frame))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [f for f in self.frames if f["type"] == kind]

    def state(self) -> dict[str, Any]:
        """What a manager that follows the protocol holds now; fails on a gap."""
        reports: dict[str, Any] = {}
        table, rev, notes = None, None, []
        for frame in self.frames:
            if frame["type"] == "snapshot":
                reports, table, rev, notes = dict(frame["reports"]), frame["table"], frame["rev"], list(frame["notes"])
            elif frame["type"] == "change":
                assert rev is not None
                assert frame["rev"] == rev + 1
                rev = frame["rev"]
                for server, told in frame.get("reports", {}).items():
                    reports[server] = _put_together(reports.get(server), told)
                table = frame.get("table", table)
                notes += frame["notes"]
            elif frame["type"] == "alive":
                assert frame["rev"] == rev
        return {"reports": reports, "table": table, "notes": [n["id"] for n in notes]}


def _put_together(known: dict[str, Any] | None, told: dict[str, Any]) -> dict[str, Any]:
    if "report" in told:
        return told
    assert known is not None
    before = msgspec.convert(known["report"], Report, strict=False)
    assert version_of(before) == tuple(told["base"])
    return {"report": as_json(with_part(before, msgspec.convert(told["part"], Part))), "age_s": told["age_s"]}


def as_json(thing: Any) -> Any:
    return json.loads(msgspec.json.encode(thing))


class Bench:
    def __init__(self, agent: StandIn, manager: FakeManager) -> None:
        self.agent = agent
        self.manager = manager
        self.complaints: list[tuple[str, str]] = []

    @contextlib.asynccontextmanager
    async def linked(self) -> AsyncIterator[None]:
        entry = Manager(url=f"ws://127.0.0.1:{self.manager.port}/ws/agent/", node="server1", secret="s3cret")
        link = ManagerLink(
            entry, Configuration(CONFIG), self.agent.observer, self.agent.console,
            lambda *words: self.complaints.append(words),
        )  # fmt: skip
        task = asyncio.ensure_future(link.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr(push, "FIRST_PAUSE_S", 0.02)
    agent, manager = StandIn(tmp_path / "log"), FakeManager()
    await manager.start()
    yield Bench(agent, manager)
    await manager.stop()
    agent.journal.close()


async def test_hello_and_snapshot_come_first(bench: Bench):
    bench.agent.note(1)
    async with bench.linked():
        await until_true(lambda: bench.manager.of("snapshot"))

    hello, snapshot = bench.manager.frames[:2]
    assert bench.manager.connections[0].request is not None
    assert bench.manager.connections[0].request.headers["Authorization"] == "Bearer server1:s3cret"
    assert hello == {
        "type": "hello", "version": 2, "node": "server1", "cluster": "c",
        "config": base64.b64encode(CONFIG).decode(), "config_hash": hashlib.sha256(CONFIG).hexdigest(),
    }  # fmt: skip
    assert snapshot["type"] == "snapshot"
    assert msgspec.convert(snapshot["reports"]["server1"]["report"], Report, strict=False) == bench.agent.report
    assert snapshot["reports"]["server1"]["age_s"] == 0
    assert msgspec.convert(snapshot["table"], Table) == bench.agent.table
    assert [n["text"] for n in snapshot["notes"]] == ["note 1"]


async def test_changes_are_numbered_and_hold_only_what_is_new(bench: Bench):
    async with bench.linked():
        await until_true(lambda: bench.manager.of("snapshot"))
        bench.agent.set_group("Online")
        bench.agent.note(7)
        await until_true(lambda: bench.manager.of("change"))

    (change,) = bench.manager.of("change")
    assert change["rev"] == bench.manager.of("snapshot")[0]["rev"] + 1
    told = change["reports"]["server1"]
    assert "report" not in told
    assert told["part"].keys() <= {"seq", "groups"}
    assert told["part"]["groups"]["g1"]["state"] == "Online"
    assert [n["id"] for n in change["notes"]] == ["server1:1:7"]
    assert "table" not in change


async def test_snapshot_and_changes_equal_a_fresh_snapshot(bench: Bench):
    async with bench.linked():
        await until_true(lambda: bench.manager.of("snapshot"))
        for number in range(200):
            bench.agent.set_group("Online" if number % 2 else "Online Pending", f"{number}")
            bench.agent.note(number)
            if number % 10 == 0:
                bench.agent.table = msgspec.structs.replace(bench.agent.table, version=number + 2)
                await asyncio.sleep(0)
        await until_true(lambda: bench.manager.state()["notes"][-1:] == ["server1:1:199"])

    state = bench.manager.state()
    assert state["reports"]["server1"]["report"] == as_json(bench.agent.report)
    assert state["table"] == as_json(bench.agent.table)
    assert state["notes"] == [f"server1:1:{n}" for n in range(200)]


async def test_a_server_that_began_anew_is_told_as_a_whole(bench: Bench):
    again = Report(server="server2", incarnation=2, seq=1)
    bench.agent.reports["server2"] = (Report(server="server2", incarnation=1, seq=5), 1000.0)
    async with bench.linked():
        await until_true(lambda: bench.manager.of("snapshot"))
        bench.agent.reports["server2"] = (again, 1001.0)
        bench.agent.observer.touch()
        await until_true(lambda: bench.manager.of("change"))

    assert bench.manager.of("change")[0]["reports"]["server2"]["report"] == as_json(again)


@pytest.mark.slow
async def test_own_word_goes_at_once_and_the_others_follow_together(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(push, "RELAY_S", 0.3)
    others = [f"server{n}" for n in range(2, 6)]
    async with bench.linked():
        await until_true(lambda: bench.manager.of("snapshot"))
        for name in others:
            bench.agent.reports[name] = (Report(server=name, incarnation=1, seq=1), 1000.0)
            bench.agent.observer.touch()
            await asyncio.sleep(0.01)
        bench.agent.set_group("Online")
        await until_true(lambda: len(bench.manager.state()["reports"]) == 5)

    told = [set(frame["reports"]) for frame in bench.manager.of("change")]
    assert told == [{"server1"}, set(others)]


class Times:
    """What the link knows of time: its rests are noted and not taken, what telling costs is said here."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rests: list[float] = []
        self.cost_s = self.quiet_s = self._spent_s = 0.0
        monkeypatch.setattr(push, "asyncio", self)
        monkeypatch.setattr(push, "time", self)

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    def get_running_loop(self) -> Any:
        return self

    def time(self) -> float:
        return asyncio.get_running_loop().time() + self.quiet_s

    def thread_time(self) -> float:
        self._spent_s += self.cost_s / 2
        return self._spent_s

    async def sleep(self, delay_s: float) -> None:
        self.rests.append(delay_s)


async def test_changes_in_a_row_go_at_once_until_too_much_is_owed(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    times = Times(monkeypatch)
    monkeypatch.setattr(push, "_AHEAD_S", 10_000.0)
    async with bench.linked():
        await until_true(lambda: times.rests)
        times.rests.clear()
        times.quiet_s, times.cost_s = 20_000.0, 2 * 4_000.0 / push._SHARE
        for number, state in enumerate(("Online", "Offline", "Online"), 1):
            bench.agent.set_group(state)
            await until_true(
                lambda number=number: len(bench.manager.of("change")) == number and times.rests[number - 1 :]
            )
    assert times.rests == [0.0, 0.0, push.ALIVE_S]


async def test_alive_comes_each_second_with_the_ages(bench: Bench):
    async with bench.linked():
        await until_true(lambda: len(bench.manager.of("alive")) == 2)

    assert bench.manager.of("alive")[0]["ages"] == {"server1": 0.0}
    assert bench.manager.of("alive")[0]["rev"] == 1


async def test_resync_brings_a_new_snapshot(bench: Bench):
    async with bench.linked():
        await until_true(lambda: bench.manager.of("snapshot"))
        await bench.manager.send({"type": "resync"})
        await until_true(lambda: len(bench.manager.of("snapshot")) == 2)


async def test_command_is_asked_and_its_result_comes_back(bench: Bench):
    async with bench.linked():
        await until_true(lambda: bench.manager.of("snapshot"))
        request = {"op": "group_move", "target": "g1", "server": "server2", "by": "alice@192.0.2.7"}
        await bench.manager.send({"type": "command", "id": "c1", "request": request, "deadline_s": 5})
        asked = await until_true(lambda: bench.agent.asked and bench.agent.asked[0])
        bench.agent.set_group("Offline Pending")
        await until_true(lambda: bench.manager.of("progress"))
        bench.agent.console.reply(Answer(id="c1", code=0, text="done"))
        await until_true(lambda: bench.manager.of("result"))

    assert (asked.id, asked.origin, asked.by) == ("c1", "server1", "alice@192.0.2.7")
    assert bench.manager.of("progress")[0] == {
        "type": "progress", "id": "c1", "text": "g1: Offline Pending on server1",
    }  # fmt: skip
    answer = {"id": "c1", "code": 0, "reason": "", "text": "done"}
    assert bench.manager.of("result") == [{"type": "result", "id": "c1", "answer": answer}]


async def test_command_repeated_after_a_broken_connection_acts_once(bench: Bench):
    command = {"type": "command", "id": "c1", "request": {"op": "group_stop", "target": "g1"}, "deadline_s": 5}
    bench.agent.on_ask = lambda r: bench.agent.console.reply(Answer(id=r.id, code=0, text="done"))
    async with bench.linked():
        await until_true(lambda: bench.manager.of("snapshot"))
        await bench.manager.send(command)
        await until_true(lambda: len(bench.manager.of("result")) == 1)
        await bench.manager.connections[0].close()
        await until_true(lambda: len(bench.manager.of("snapshot")) == 2)
        await bench.manager.send(command)
        await until_true(lambda: len(bench.manager.of("result")) == 2)

    assert len(bench.agent.asked) == 1


async def test_bad_command_fails_and_moves_nothing(bench: Bench):
    async with bench.linked():
        await until_true(lambda: bench.manager.of("snapshot"))
        await bench.manager.send({"type": "command", "id": "c1", "request": {"op": "format_disks"}})
        await until_true(lambda: bench.manager.of("result"))

    assert bench.manager.of("result")[0]["answer"]["code"] == 3
    assert bench.agent.asked == []


async def test_unknown_frame_closes_with_4400(bench: Bench):
    async with bench.linked():
        await until_true(lambda: bench.manager.of("snapshot"))
        await bench.manager.send({"type": "dance"})
        await until_true(lambda: bench.manager.connections[0].close_code)

    assert bench.manager.connections[0].close_code == 4400


async def test_manager_that_is_away_is_found_when_it_comes_back(bench: Bench):
    await bench.manager.stop()
    async with bench.linked():
        await until_true(lambda: bench.complaints)
        await bench.manager.start()
        await until_true(lambda: bench.manager.of("snapshot"))

    assert bench.complaints[0][0] == f"ws://127.0.0.1:{bench.manager.port}/ws/agent/"


async def test_refused_secret_is_told(bench: Bench):
    async def refuse(connection: ServerConnection) -> None:
        await connection.close(4401, "unknown node or secret")

    async with serve(refuse, "127.0.0.1", 0) as server:
        bench.manager.port = next(iter(server.sockets)).getsockname()[1]
        async with bench.linked():
            await until_true(lambda: bench.complaints)

    assert "unknown node or secret" in bench.complaints[0][1]


async def test_slow_manager_gets_fewer_changes_and_holds_nobody_up(bench: Bench):
    async with bench.linked():
        await until_true(lambda: bench.manager.of("snapshot"))
        bench.manager.reading.clear()
        for number in range(2000):
            bench.agent.set_group("Online" if number % 2 else "Online Pending", f"{number} " + "x" * 20_000)
            if number % 100 == 0:
                await asyncio.sleep(0.02)
        bench.manager.reading.set()
        await until_true(lambda: "1999 " in str(bench.manager.state()["reports"]))

    assert len(bench.manager.of("change")) < 100


async def test_reports_that_do_not_fit_into_a_frame_follow_in_changes(bench: Bench):
    big = "x" * (1 << 20)
    for number in range(2, 8):
        report = Report(server=f"server{number}", incarnation=1, seq=1, detail=big)
        bench.agent.reports[f"server{number}"] = (report, 0.0)
    async with bench.linked():
        await until_true(lambda: len(bench.manager.frames) > 1 and len(bench.manager.state()["reports"]) == 7)

    assert len(bench.manager.of("snapshot")) == 1
    assert len(bench.manager.of("change")) >= 2


def test_manager_file(tmp_path: Path):
    place = tmp_path / "manager.json"
    assert read_managers(place) == []
    place.write_text('[{"url": "http://10.0.0.1:29003", "node": "server1", "secret": "x"}]')
    (manager,) = read_managers(place)
    assert manager.endpoint() == "ws://10.0.0.1:29003/ws/agent/"
    assert Manager(url="wss://h/ws/agent/", node="n", secret="s").endpoint() == "wss://h/ws/agent/"
    for bad in ("{", "{}", '[{"url": "ftp://x", "node": "n", "secret": "s"}]', '[{"url": "ws://x"}]'):
        place.write_text(bad)
        with pytest.raises(ManagerFileError, match=r"manager\.json"):
            read_managers(place)


def test_bad_manager_file_does_not_show_the_secret(tmp_path: Path):
    place = tmp_path / "manager.json"
    place.write_text('[{"url": "ftp://x", "node": "n", "secret": "TOPSECRET"}]')
    with pytest.raises(ManagerFileError) as caught:
        read_managers(place)
    assert "TOPSECRET" not in str(caught.value)


def test_the_library_is_not_loaded_without_a_manager():
    import subprocess
    import sys

    code = "import sys; import agent.daemon.main; print('websockets' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "False\n"
