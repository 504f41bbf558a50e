"""The request "inventory": one agent answers for all servers, and says who did not."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.daemon.console import ControlRequest
from agent.ports import DriverError
from agent.wire.inventory import ClockInfo, Inventory, LiveCheck
from agent.wire.peer import Answer, Request
from tests.agent.daemon.shell import StandIn

HERE = Inventory(server="server1", clock=ClockInfo(began_s=1.0, at_s=1.0))


class Agents:
    """This agent, and how the other one answers."""

    def __init__(self, directory: Path) -> None:
        self.agent = StandIn(directory)
        self.looked: list[LiveCheck] = []
        self.forwarded: list[tuple[str, dict[str, Any]]] = []
        self.lines: list[dict[str, Any]] = []
        self.agent.console.inventory = self._look
        self.agent.console.forward = self._forward

    async def _look(self, check: LiveCheck) -> Inventory:
        self.looked.append(check)
        return HERE

    async def _forward(self, server: str, line: dict[str, Any], _wait_s: float) -> AsyncGenerator[dict[str, Any], None]:
        self.forwarded.append((server, line))
        for one in self.lines:
            yield one

    async def ask(self, **fields: Any) -> Answer:
        request = Request(id="1", op="inventory", **fields)
        steps = [step async for step in self.agent.console.ask(request, 10)]
        assert len(steps) == 1
        assert isinstance(steps[0], Answer)
        return steps[0]

    def other_answers(self) -> None:
        other = Inventory(server="server2", clock=ClockInfo(began_s=5.0, at_s=5.0))
        self.lines = [{"ok": True, "answer": {"text": "ok", "inventories": {"server2": msgspec.to_builtins(other)}}}]


@pytest.fixture
def agents(tmp_path: Path) -> Agents:
    return Agents(tmp_path)


async def test_all_servers_answer(agents: Agents):
    agents.other_answers()

    answer = await agents.ask(checks={"server1": LiveCheck(devices=("/dev/a",)), "server2": LiveCheck(devices=("/b",))})

    assert answer.code == 0
    assert sorted(answer.inventories) == ["server1", "server2"]
    assert agents.looked == [LiveCheck(devices=("/dev/a",))]
    (server, line), *more = agents.forwarded
    assert (server, line["op"], line["request"]["target"], more) == ("server2", "ask", "server2", [])
    assert line["request"]["checks"] == {"server2": {"devices": ("/b",)}}
    assert agents.agent.asked == []  # The engine has nothing to do with it.
    assert all(one.clock.offset_ms is not None for one in answer.inventories.values())


async def test_server_that_does_not_answer_is_named(agents: Agents):
    agents.lines = [{"ok": False, "error": "There is no link from server1 to the agent on server2."}]

    answer = await agents.ask()

    assert (answer.code, answer.reason) == (3, "not_all")
    assert answer.text.endswith("server2: There is no link from server1 to the agent on server2.")
    assert list(answer.inventories) == ["server1"]


async def test_only_the_server_that_is_meant_is_asked(agents: Agents):
    answer = await agents.ask(target="server1")

    assert (answer.code, list(answer.inventories), agents.forwarded) == (0, ["server1"], [])


async def test_unknown_server_is_refused(agents: Agents):
    assert (await agents.ask(target="server9")).reason == "unknown_server"


async def test_answer_that_is_not_understood_is_no_answer(agents: Agents):
    agents.lines = [{"ok": True, "answer": {"inventories": {"server2": {"server": 7}}}}]

    answer = await agents.ask(target="server2")

    assert answer.code == 3
    assert "not understood" in answer.text


async def test_machine_that_hangs_says_so(agents: Agents):
    async def hangs(_check: LiveCheck) -> Inventory:
        raise DriverError("server1 could not look at its disks within 10 s")

    agents.agent.console.inventory = hangs

    answer = await agents.ask(target="server1")

    assert (answer.code, answer.text) == (
        3, "Not every server answered. server1: server1 could not look at its disks within 10 s.",
    )  # fmt: skip


async def test_control_socket_carries_it(agents: Agents):
    asked = ControlRequest(op="ask", request={"op": "inventory", "target": "server1"})

    (line,) = [line async for line in agents.agent.console.answer(asked, "root@test")]

    assert line["ok"]
    assert msgspec.convert(line["answer"]["inventories"]["server1"], Inventory).server == "server1"
