"""Actions, monitors and effects with real scripts and processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from agent.clpconf.model import Monitor
from agent.daemon import actions as actions_module
from agent.daemon.peers import Carry
from agent.engine.effects import (
    Abort,
    Activate,
    Beat,
    HaltServer,
    KeepConfiguration,
    Log,
    Reply,
    RunScript,
    Save,
    Send,
    SwitchConfiguration,
)
from agent.engine.events import ActionDone, ScriptDone
from agent.monitors import Health, MonitorType
from agent.ports import DriverError
from agent.wire.epoch import Epoch
from agent.wire.peer import Answer, ReportAck
from agent.wire.switch import Switch
from tests.agent.daemon.hands import Shell, down, runs, stored, up
from tests.agent.daemon.hands import shell as shell
from tests.agent.waiting import PATIENCE_S, until_true

Check = Callable[..., Awaitable[Health]]


async def test_activation_runs_the_script_and_is_held_from_before_its_start(shell: Shell):
    shell.do(up())
    assert stored(shell).held == ["exec1"]
    assert shell.held == [True]
    await until_true(lambda: shell.done)

    assert shell.done == [ActionDone(token=1, ok=True)]
    assert (shell.root / "event").read_text() == "FAILOVER\n"


async def test_deactivation_lets_go_only_when_it_succeeded(shell: Shell):
    shell.script("stop.sh", "exit 3")
    shell.do(up())
    await until_true(lambda: len(shell.done) == 1)
    shell.do(down(2))
    await until_true(lambda: len(shell.done) == 2)
    assert stored(shell).held == ["exec1"]
    assert shell.done[1].ok is False
    assert "3" in shell.done[1].detail

    shell.script("stop.sh", "exit 0")
    shell.do(down(3))
    await until_true(lambda: len(shell.done) == 3)
    assert stored(shell).held == []


async def test_failing_script_gives_its_reason(shell: Shell):
    shell.script("start.sh", "echo no such database >&2; exit 7")
    shell.do(up())
    await until_true(lambda: shell.done)

    assert shell.done[0].ok is False
    assert "7" in shell.done[0].detail


async def test_missing_script_gives_its_path(shell: Shell):
    (shell.root / "scripts/g1/exec1/start.sh").unlink()
    shell.do(up())
    await until_true(lambda: shell.done)

    assert "start.sh" in shell.done[0].detail


@pytest.mark.slow
async def test_abort_kills_the_whole_process_group_and_ends_the_action_once(shell: Shell):
    shell.script("start.sh", f"sleep 300 & echo $! > {shell.root}/pid; wait")
    shell.do(up())
    await until_true(lambda: (shell.root / "pid").exists() and (shell.root / "pid").read_text())
    pid = int((shell.root / "pid").read_text())
    shell.do(Abort(token=1))
    await until_true(lambda: shell.done)

    assert shell.done == [ActionDone(token=1, ok=False, detail="given up")]
    assert not runs(pid)


async def test_type_that_never_ends_is_ended_from_outside(shell: Shell, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(actions_module, "OVERTIME_S", 0.01)
    shell.script("start.sh", "sleep 300")
    shell.do(up(timeout_s=0.1))
    await until_true(lambda: shell.done)

    assert shell.done[0] == ActionDone(token=1, ok=False, detail="exec1 did not finish within 0.1 s.", stalled=True)
    assert type(shell.done[0].detail) is str  # It goes into reports.


async def test_unknown_resource_fails_with_a_sentence(shell: Shell):
    shell.do(Activate(token=9, group="g1", resource="ghost", timeout_s=1, event="START"))
    await until_true(lambda: shell.done)

    assert shell.done == [ActionDone(token=9, ok=False, detail="clp.conf has no resource ghost any more.")]


async def test_error_of_our_own_is_logged_and_fails_the_action(shell: Shell, monkeypatch: pytest.MonkeyPatch):
    async def broken(*_: Any) -> None:
        raise ZeroDivisionError("oops")

    from agent import catalog
    from agent.resources import ResourceType

    real = catalog.RESOURCES["exec"]
    monkeypatch.setitem(catalog.RESOURCES, "exec", ResourceType(real.spec, broken, broken, real.active))  # type: ignore[arg-type]
    shell.do(up())
    await until_true(lambda: shell.done)

    assert shell.done[0].ok is False
    assert "ZeroDivisionError: oops" in shell.done[0].detail
    assert any("Traceback" in line for line in shell.logged)


async def test_effects_happen_in_their_order_and_state_is_written_first(shell: Shell):
    ack = ReportAck(incarnation=1, seq=1)
    shell.do(
        Save(state={"promised": [3, 1], "durable": {"ceiling": 7}}, durable=True),
        Send(to="server2", message=ack),
        Beat(epoch=Epoch(3, 1), service="online"),
        Reply(answer=Answer(id="r", code=0)),
        Log(note=shell.agent.note(5)),
        HaltServer(how="reboot", reason="asked"),
    )

    assert stored(shell).engine == {"promised": [3, 1], "durable": {"ceiling": 7}}
    assert shell.sent == [("server2", Carry(ack))]
    assert shell.beats == [(Epoch(3, 1), "online")]
    assert [n.text for n in shell.journal.notes] == ["note 5"]
    assert shell.halts == [HaltServer(how="reboot", reason="asked")]


async def test_promise_that_cannot_be_written_is_not_sent(shell: Shell):
    """Afterwards the peers would count on something that a crash makes us forget."""
    promise = Send(to="server2", message=ReportAck(incarnation=1, seq=1))
    place = shell.root / "state/state.json"
    place.unlink(missing_ok=True)
    place.mkdir()
    shell.do(Save(state={"promised": [4, 1], "durable": {"ceiling": 8}}, durable=True), promise)
    shell.do(promise)
    assert shell.sent == []
    assert "cannot be written" in shell.journal.notes[-1].text

    place.rmdir()
    shell.do(promise)
    assert len(shell.sent) == 1
    assert stored(shell).engine == {"promised": [4, 1], "durable": {"ceiling": 8}}


# Scripts before a recovery


def before(token: int = 7, timeout_s: float = PATIENCE_S) -> RunScript:
    return RunScript(token=token, monitor="pidw1", step="failover", group="g1", path="pre.sh", timeout_s=timeout_s)


def write_preaction(shell: Shell, text: str) -> None:
    path = shell.root / "scripts/monitor.s/pidw1/pre.sh"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


async def test_script_of_a_monitor_knows_what_is_recovered(shell: Shell):
    write_preaction(shell, f'echo "$CLP_MONITORNAME $CLP_RECOVERY $CLP_GROUPNAME $CLP_SERVER" > {shell.root}/told')

    shell.do(before())
    await until_true(lambda: shell.scripts_done)

    assert shell.scripts_done == [ScriptDone(token=7, ok=True)]
    assert (shell.root / "told").read_text() == "pidw1 FAILOVER g1 HOME\n"


async def test_failure_of_a_monitor_script_is_told_with_its_last_words(shell: Shell):
    write_preaction(shell, "echo no such tape; exit 3")

    shell.do(before())
    await until_true(lambda: shell.scripts_done)

    (done,) = shell.scripts_done
    assert not done.ok
    assert done.detail.endswith("pre.sh ended with code 3; it said: no such tape")


async def test_missing_monitor_script_fails_at_once(shell: Shell):
    shell.do(before())
    await until_true(lambda: shell.scripts_done)

    assert not shell.scripts_done[0].ok
    assert "pre.sh" in shell.scripts_done[0].detail


@pytest.mark.slow
async def test_monitor_script_that_takes_too_long_is_stopped_with_its_children(shell: Shell):
    write_preaction(shell, f"sleep 60 & echo $! > {shell.root}/child; wait")

    shell.do(before(timeout_s=2.0))  # Time enough to start it, on any machine.
    await until_true(lambda: shell.scripts_done)

    assert "did not end within 2 s" in shell.scripts_done[0].detail
    assert not runs(int((shell.root / "child").read_text()))


# Monitors


def monitor(**changes: Any) -> Monitor:
    return Monitor(**{"name": "m1", "type": "probe", "interval_s": 0.05, "timeout_s": 0.2, **changes})


@pytest.fixture
async def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., Shell]]:
    from agent import catalog
    from agent.clpconf.schema import TypeSpec

    shells: list[Shell] = []

    def make(check: Check, wake: Any = None, **changes: Any) -> Shell:
        kind = MonitorType(TypeSpec("probe", "Probe"), check, wake)
        monkeypatch.setitem(catalog.MONITORS, "probe", kind)  # type: ignore[arg-type]
        shells.append(Shell(tmp_path, monitor(**changes)))
        shells[-1].monitors.start("m1")
        return shells[-1]

    yield make
    for one in shells:
        await one.close()


@pytest.mark.virtual_time
async def test_monitor_runs_by_its_interval_until_stopped(watched: Callable[..., Shell]):
    times: list[float] = []

    async def check(*_: Any) -> Health:
        times.append(asyncio.get_running_loop().time())
        return Health(ok=True)

    shell = watched(check)
    await until_true(lambda: len(shell.results) >= 4)
    shell.monitors.stop("m1")
    count = len(shell.results)
    await asyncio.sleep(60)

    assert len(shell.results) == count
    assert (times[3] - times[0]) / 3 == pytest.approx(0.1)  # The shortest pause between two checks.
    assert all(r.ok and not r.warning for r in shell.results)


@pytest.mark.virtual_time
async def test_monitor_that_hangs_fails_at_its_timeout(watched: Callable[..., Shell]):
    async def check(*_: Any) -> Health:
        await asyncio.sleep(60)
        raise AssertionError

    shell = watched(check, timeout_s=0.1)
    await until_true(lambda: shell.results)

    assert shell.results[0].ok is False
    assert shell.results[0].detail == "no result within 0.1 s"


@pytest.mark.virtual_time
async def test_late_answer_is_a_warning(watched: Callable[..., Shell]):
    async def check(*_: Any) -> Health:
        await asyncio.sleep(0.17)
        return Health(ok=True)

    shell = watched(check)
    await until_true(lambda: shell.results)

    assert (shell.results[0].ok, shell.results[0].warning) == (True, True)


@pytest.mark.virtual_time
async def test_failure_of_the_machine_is_a_failure_of_the_thing(watched: Callable[..., Shell]):
    async def check(*_: Any) -> Health:
        raise DriverError("no answer from 10.0.0.1")

    shell = watched(check)
    await until_true(lambda: shell.results)

    assert (shell.results[0].ok, shell.results[0].detail) == (False, "no answer from 10.0.0.1")


@pytest.mark.virtual_time
async def test_error_of_our_own_in_a_check_moves_nobody(watched: Callable[..., Shell]):
    async def check(*_: Any) -> Health:
        raise ZeroDivisionError

    shell = watched(check)
    await until_true(lambda: shell.results)

    assert (shell.results[0].ok, shell.results[0].warning) == (True, True)
    assert any("Traceback" in line for line in shell.logged)


@pytest.mark.virtual_time
async def test_failure_during_an_own_stall_does_not_count(watched: Callable[..., Shell]):
    shells: list[Shell] = []
    calls = 0

    async def check(*_: Any) -> Health:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        if calls == 1:
            shells[0].monitors.stalled()
            return Health(ok=False, detail="slept through it")
        return Health(ok=True)

    shells.append(watched(check))
    await until_true(lambda: shells[0].results)

    assert shells[0].results[0].ok is True
    assert calls == 2


@pytest.mark.virtual_time
async def test_wake_brings_the_check_forward(watched: Callable[..., Shell]):
    gone = asyncio.Event()

    async def check(*_: Any) -> Health:
        return Health(ok=not gone.is_set())

    async def wake(*_: Any) -> None:
        await gone.wait()

    shell = watched(check, wake, interval_s=60)
    await until_true(lambda: shell.results)
    began = asyncio.get_running_loop().time()
    gone.set()
    await until_true(lambda: len(shell.results) == 2)

    assert asyncio.get_running_loop().time() - began < 1
    assert shell.results[1].ok is False


@pytest.mark.virtual_time
async def test_first_check_waits(watched: Callable[..., Shell]):
    async def check(*_: Any) -> Health:
        return Health(ok=True)

    began = asyncio.get_running_loop().time()
    shell = watched(check, first_wait_s=0.15)
    await until_true(lambda: shell.results)

    assert asyncio.get_running_loop().time() - began >= 0.15


@pytest.mark.virtual_time
async def test_monitor_of_an_unknown_type_says_so_and_reports_nothing(tmp_path: Path):
    shell = Shell(tmp_path, monitor(type="vxvolw"))
    shell.monitors.start("m1")
    await until_true(lambda: shell.complaints)

    assert shell.complaints[0][0] == "m1"
    assert "vxvolw" in shell.complaints[0][1]
    assert shell.results == []
    await shell.close()


SWITCH = Switch(id="s1", to="b" * 16, origin="a" * 16, key="k", members=("server1", "server2"))


async def test_a_switch_is_begun_and_a_confirmation_kept(shell: Shell):
    shell.do(SwitchConfiguration(switch=SWITCH), KeepConfiguration(switch=SWITCH))

    assert (shell.switches, shell.kept) == ([SWITCH], [SWITCH])


async def test_nobody_hears_of_a_confirmation_that_is_not_on_disk(shell: Shell):
    message = ReportAck(incarnation=1, seq=1)
    shell.disk_full = True
    shell.do(KeepConfiguration(switch=SWITCH), Send(to="server2", message=message))
    assert shell.sent == []

    shell.disk_full = False
    shell.do(Send(to="server2", message=message))

    assert shell.kept == [SWITCH]
    assert shell.sent == [("server2", Carry(message))]
