"""A manager's questions that change nothing: steps of a log collection, and what became of a request."""

from __future__ import annotations

from typing import Any

from agent.wire.peer import Answer
from tests.agent.daemon.test_push import Bench, bench, until_true

__all__ = ["bench"]


async def told(bench: Bench, **frame: Any) -> dict[str, Any]:
    await until_true(lambda: bench.manager.of("snapshot"))
    await bench.manager.send({"type": "consult", "id": "q1", "deadline_s": 5, **frame})
    found: list[dict[str, Any]] = await until_true(lambda: bench.manager.of("consulted"))
    return found[0]


async def test_outcome_is_told_and_nothing_is_asked_of_the_engine(bench: Bench):
    bench.agent.console.reply(Answer(id="r1", code=2, reason="no_view", text="It was refused."))
    async with bench.linked():
        found = await told(bench, op="outcome", body={"id": "r1"})

    answer = {"id": "r1", "code": 2, "reason": "no_view", "text": "It was refused."}
    assert found == {"type": "consulted", "id": "q1", "ok": True, "outcome": {"answer": answer}}
    assert bench.agent.asked == []


async def test_engine_knows_what_the_shell_has_forgotten(bench: Bench):
    bench.agent.console.outcome = lambda key: Answer(id=key, code=1, reason="under_way") if key == "r1" else None
    async with bench.linked():
        found = await told(bench, op="outcome", body={"id": "r1"})

    assert found["outcome"]["answer"]["reason"] == "under_way"


async def test_request_that_nobody_knows_has_no_answer(bench: Bench):
    async with bench.linked():
        found = await told(bench, op="outcome", body={"id": "r9"})

    assert found["outcome"] == {"answer": None}


async def test_step_of_a_log_collection_reaches_the_server_that_is_meant(bench: Bench):
    handed: list[tuple[str, dict[str, Any]]] = []

    async def forward(server: str, request: dict[str, Any], wait_s: float) -> Any:
        handed.append((server, request["logs"]))
        yield {"ok": True, "logs": {"at": 7.0}}

    bench.agent.console.forward = forward
    async with bench.linked():
        found = await told(bench, op="logs", body={"step": "clock"}, via="server2")

    assert handed == [("server2", {"step": "clock"})]
    assert (found["ok"], found["logs"]) == (True, {"at": 7.0})
