"""What was prepared while a server was suspected, and when it is of no use."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from agent.catalog import RESOURCES
from agent.clpconf.schema import Values
from agent.daemon.state import Stored
from agent.engine.effects import (
    Log,
    Prepare,
    Save,
    Send,
)
from agent.engine.events import ActionDone
from agent.ports import DriverError, Ports
from agent.wire.peer import ReportAck
from tests.agent.daemon.hands import Shell, down, stored, up
from tests.agent.daemon.hands import shell as shell
from tests.agent.waiting import until_true


def prepared(monkeypatch: pytest.MonkeyPatch, deed: Callable[[], None]) -> None:
    async def prepare(_values: Values, _ports: Ports) -> Callable[[], None]:
        return deed

    monkeypatch.setitem(RESOURCES, "exec", msgspec.structs.replace(RESOURCES["exec"], prepare=prepare))


async def ready(shell: Shell) -> None:
    shell.do(Prepare(resource="exec1"))
    await until_true(lambda: shell.actions.ready(up()))


async def test_what_was_prepared_is_active_within_the_step_saved_before_and_told_later(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
):
    seen: list[object] = []
    prepared(monkeypatch, lambda: seen.append((stored(shell), list(shell.held), list(shell.sent), shell.journal.total)))
    await ready(shell)

    state = {"promised": [3, 1], "durable": {}}
    shell.do(
        Save(state=state, durable=False),
        Log(note=shell.agent.note(1)),
        Send(to="server2", message=ReportAck(incarnation=1, seq=1)),
        up(),
    )

    assert seen == [(Stored(boot_id="boot", incarnation=1, held=["exec1"], engine=state), [False, True], [], 0)]
    assert shell.done == [ActionDone(token=1, ok=True)]
    assert (len(shell.sent), shell.journal.total) == (1, 1)
    shell.do(up(token=2))  # It serves once.
    assert shell.done[1:] == []


async def test_preparation_that_is_of_no_use_is_forgotten(shell: Shell, monkeypatch: pytest.MonkeyPatch):
    def refuse() -> None:
        raise DriverError("the NIC is gone")

    prepared(monkeypatch, refuse)
    await ready(shell)
    shell.do(up())
    await until_true(lambda: shell.done)

    assert shell.done == [ActionDone(token=1, ok=True)]
    assert (shell.root / "event").read_text() == "FAILOVER\n"


async def test_preparation_from_before_a_stall_or_a_stop_is_not_used(shell: Shell, monkeypatch: pytest.MonkeyPatch):
    prepared(monkeypatch, lambda: None)
    await ready(shell)
    assert not shell.actions.ready(msgspec.structs.replace(up(), announce=False))
    shell.actions.stalled()
    assert not shell.actions.ready(up())
    await ready(shell)
    shell.do(down())
    assert not shell.actions.ready(up())
    await until_true(lambda: shell.done)
