"""A manager brings configurations: its steps reach the agent that is meant, and their answers come back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agent.daemon.push import Configuration, Manager, ManagerLink
from tests.agent.daemon.test_push import CONFIG, Bench, bench, until_true

__all__ = ["bench"]


class Taker:
    """Stands for agent/daemon/configuration.py."""

    switching = False

    def __init__(self) -> None:
        self.asked: list[tuple[dict[str, Any] | None, str]] = []

    async def answer(self, fields: dict[str, Any] | None, by: str) -> dict[str, Any]:
        self.asked.append((fields, by))
        if fields == {"step": "fail"}:
            return {"ok": False, "error": "It cannot.", "reason": "failed"}
        return {"ok": True, "configuration": {"have": 7}}


@pytest.fixture
def taker(bench: Bench) -> Taker:
    bench.agent.console.configurations = made = Taker()  # type: ignore[assignment]
    return made


async def told(bench: Bench, **frame: Any) -> dict[str, Any]:
    await until_true(lambda: bench.manager.of("snapshot"))
    await bench.manager.send({"type": "configuration", "id": "s1", "deadline_s": 5, **frame})
    found: list[dict[str, Any]] = await until_true(lambda: bench.manager.of("configuration_result"))
    return found[0]


async def test_step_is_done_here_and_its_answer_comes_back(bench: Bench, taker: Taker):
    async with bench.linked():
        found = await told(bench, configuration={"step": "put"}, via="server1", by="alice@192.0.2.7")

    assert taker.asked == [({"step": "put"}, "alice@192.0.2.7")]
    assert found == {"type": "configuration_result", "id": "s1", "ok": True, "configuration": {"have": 7}}


async def test_step_that_cannot_be_done_says_why(bench: Bench, taker: Taker):
    async with bench.linked():
        found = await told(bench, configuration={"step": "fail"})

    assert (found["ok"], found["error"], found["reason"]) == (False, "It cannot.", "failed")


async def test_step_for_another_server_is_handed_on_to_its_agent(bench: Bench, taker: Taker):
    handed: list[tuple[str, dict[str, Any]]] = []

    async def forward(server: str, request: dict[str, Any], wait_s: float):
        handed.append((server, request["configuration"]))
        yield {"ok": True, "configuration": {"have": 9}}

    bench.agent.console.forward = forward
    async with bench.linked():
        found = await told(bench, configuration={"step": "put"}, via="server2")

    assert handed == [("server2", {"step": "put"})]
    assert (found["configuration"], taker.asked) == ({"have": 9}, [])


async def test_manager_that_may_not_configure_brings_nothing_and_begins_nothing(bench: Bench, taker: Taker):
    entry = Manager(
        url=f"ws://127.0.0.1:{bench.manager.port}/ws/agent/", node="server1", secret="s3cret", configure=False
    )
    link = ManagerLink(
        entry, Configuration(CONFIG), bench.agent.observer, bench.agent.console, lambda *words: None
    )  # fmt: skip
    task = asyncio.ensure_future(link.run())
    try:
        found = await told(bench, configuration={"step": "put"})
        request = {"op": "config_apply", "target": "0" * 16}
        await bench.manager.send({"type": "command", "id": "c1", "request": request})
        answer = (await until_true(lambda: bench.manager.of("result")))[0]["answer"]
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert (found["ok"], found["reason"]) == (False, "not_allowed")
    assert "manager.json on server1" in found["error"]
    assert (answer["code"], answer["reason"]) == (3, "not_allowed")
    assert (taker.asked, bench.agent.asked) == ([], [])
