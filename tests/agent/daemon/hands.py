"""The hands of a daemon on real scripts and processes, and what they have told."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent.clpconf.model import Monitor
from agent.daemon.actions import Actions
from agent.daemon.binding import Facts, Machine
from agent.daemon.effects import Effects
from agent.daemon.fencing import FenceRuns
from agent.daemon.journal import Journal
from agent.daemon.monitors import MonitorRuns
from agent.daemon.preaction import Preactions
from agent.daemon.state import StateFile, Stored, read_state
from agent.drivers.network import KernelNetwork
from agent.drivers.processes import LocalProcesses
from agent.engine.effects import (
    Activate,
    Deactivate,
    Effect,
    HaltServer,
)
from agent.engine.events import ActionDone, MonitorResult, ScriptDone
from agent.wire.epoch import Epoch
from agent.wire.switch import Switch
from tests.agent.daemon.shell import StandIn, small_cluster
from tests.agent.waiting import PATIENCE_S


class Shell:
    """Everything that carries effects out, but for peers and heartbeats, which only write down what they are told."""

    def __init__(self, root: Path, *monitors: Monitor) -> None:
        self.root = root
        self.done: list[ActionDone] = []
        self.results: list[MonitorResult] = []
        self.logged: list[str] = []
        self.complaints: list[tuple[str, str]] = []
        self.sent: list[tuple[str, Any]] = []
        self.beats: list[tuple[Epoch, str]] = []
        self.held: list[bool] = []
        self.halts: list[HaltServer] = []
        self.switches: list[Switch] = []
        self.kept: list[Switch] = []
        self.disk_full = False
        self.network = KernelNetwork()
        (root / "state").mkdir(exist_ok=True)
        cluster = small_cluster(*monitors)
        machine = Machine(
            cluster, "server1", network=self.network, processes=LocalProcesses(root / "state/runs", root / "log"),
            scripts=root / "scripts", facts=Facts(root / "state/facts.json", "boot"),
            log=lambda name, text: self.logged.append(f"{name}: {text}"),
        )  # fmt: skip
        self.state = StateFile(root / "state/state.json", Stored(boot_id="boot", incarnation=1))
        self.actions = Actions(machine, self.state, self.done.append, self.logged.append)
        self.scripts_done: list[ScriptDone] = []
        self.preactions = Preactions(machine, root / "scripts", self.scripts_done.append, self.logged.append)
        self.monitors = MonitorRuns(
            machine, self.results.append, lambda *words: self.complaints.append(words), self.logged.append
        )
        self.journal = Journal(root / "log", server="server1", incarnation=1, now=time.time)
        self.agent = StandIn(root / "log2")
        self.effects = Effects(
            cluster, "server1", state=self.state, links=self, actions=self.actions, monitors=self.monitors,  # type: ignore[arg-type]
            heartbeat=self, journal=self.journal, console=self.agent.console, halt=self.halts.append,  # type: ignore[arg-type]
            preactions=self.preactions, switch=self.switches.append, keep=self.keep, fences=FenceRuns(
                cluster, root / "fences.json", root / "fence-agents", feed=self.done.append, log=print,  # type: ignore[arg-type]
                bug=self.logged.append,
            ),
        )  # fmt: skip

    def send(self, to: str, envelope: Any) -> bool:
        self.sent.append((to, envelope))
        return True

    def keep(self, switch: Switch) -> None:
        if self.disk_full:
            raise OSError(28, "No space left on device")
        self.kept.append(switch)

    def beat(self, epoch: Epoch, service: str, members: tuple[str, ...], *_: object) -> None:
        self.beats.append((epoch, service))

    def holding(self, holding: bool) -> None:
        if self.held[-1:] != [holding]:  # As the client does.
            self.held.append(holding)

    def do(self, *effects: Effect) -> None:
        self.effects.carry_out(effects)

    def script(self, name: str, text: str) -> None:
        path = self.root / "scripts/g1/exec1" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    async def close(self) -> None:
        await self.monitors.close()
        await self.preactions.close()
        await self.actions.close()
        self.journal.close()
        self.network.close()


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[Shell]:
    shell = Shell(tmp_path)
    shell.script("start.sh", f'echo "$CLP_EVENT" > {tmp_path}/event')
    shell.script("stop.sh", "exit 0")
    yield shell
    await shell.close()


def up(token: int = 1, timeout_s: float = PATIENCE_S) -> Activate:
    return Activate(token=token, group="g1", resource="exec1", timeout_s=timeout_s, event="FAILOVER")


def down(token: int = 2) -> Deactivate:
    return Deactivate(token=token, group="g1", resource="exec1", timeout_s=PATIENCE_S, factor="GROUPSTOP")


def stored(shell: Shell) -> Stored:
    found = read_state(shell.root / "state/state.json")
    assert found is not None
    return found


def runs(pid: int) -> bool:
    """A zombie that nobody has reaped yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
