"""Fence effects in the daemon: each ends in one FenceDone, and what was found out outlives the daemon."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.clpconf.model import Cluster, FenceDevice, Server
from agent.daemon.fencing import FenceRuns
from agent.drivers.fence import FENCE_PATH
from agent.engine.effects import Fence
from agent.engine.events import FenceDone
from tests.agent.drivers.test_fence import METADATA

SCRIPT = f"""#!/bin/sh
[ "$1" = -o ] && {{ echo '{METADATA}'; exit 0; }}
options=$(cat)
case $options in *action=status*) exit 2;; *ip=broken*) echo broken; exit 1;; *ip=slow*) exec sleep 60;; esac
exit 0
"""
CLUSTER = Cluster(
    name="demo",
    servers=(Server(name="server1", priority=0), Server(name="server2", priority=1)),
    fences=tuple(
        FenceDevice(name=n, agent="fence_x", timeout_s=5, values={"ip": n}) for n in ("good", "broken", "slow")
    ),
)


class Shell:
    def __init__(self, directory: Path) -> None:
        self.results = directory / "fences.json"
        self.done: asyncio.Queue[FenceDone] = asyncio.Queue()
        self.lines: list[str] = []
        self.bugs: list[str] = []
        self.runs = self.daemon(directory)

    def daemon(self, directory: Path) -> FenceRuns:
        return FenceRuns(
            CLUSTER, self.results, directory / "cache", feed=self.done.put_nowait,
            log=lambda device, text: self.lines.append(f"{device}: {text}"), bug=self.bugs.append,
        )  # fmt: skip

    async def shoot(self, device: str, token: int = 1) -> FenceDone:
        self.runs.carry_out(Fence(token=token, server="server2", device=device))
        return await asyncio.wait_for(self.done.get(), 20)


@pytest.fixture
async def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shell]:
    (tmp_path / "fence_x").write_text(SCRIPT)
    (tmp_path / "fence_x").chmod(0o755)
    monkeypatch.setenv(FENCE_PATH, str(tmp_path))
    made = Shell(tmp_path)
    yield made
    await made.runs.close()


async def test_each_shot_is_answered_by_its_token(shell: Shell) -> None:
    assert await shell.shoot("good", 7) == FenceDone(token=7, ok=True, detail="off")
    assert await shell.shoot("broken", 8) == FenceDone(token=8, ok=False, detail="exit code 1: broken")
    assert shell.bugs == []


async def test_the_next_daemon_knows_what_was_proven(shell: Shell, tmp_path: Path) -> None:
    await shell.shoot("good")
    await shell.shoot("broken")

    found = shell.daemon(tmp_path).known().results

    assert {name: (r.result, r.detail) for name, r in found.items()} == {
        "good": ("ok", "off"), "broken": ("failed", "exit code 1: broken"),
    }  # fmt: skip
    assert found["good"].proven == found["good"].at > 0.0
    assert found["broken"].proven == 0.0


async def test_a_damaged_file_is_said_and_forgotten(shell: Shell) -> None:
    shell.results.write_text("{")

    assert shell.runs.known().results == {}
    assert "count as never tested" in shell.bugs[0]


async def test_a_shot_that_is_given_up_is_stopped_and_answered(shell: Shell) -> None:
    shell.runs.carry_out(Fence(token=3, server="server2", device="slow"))
    await asyncio.sleep(0.1)

    shell.runs.abort(3)

    assert await asyncio.wait_for(shell.done.get(), 20) == FenceDone(token=3, ok=False, detail="given up")
    assert shell.runs.known().results == {}  # That says nothing of the device.


async def test_closing_ends_what_runs_without_a_word(shell: Shell) -> None:
    shell.runs.carry_out(Fence(token=1, server="server2", device="slow"))
    await asyncio.sleep(0)

    await shell.runs.close()

    with contextlib.suppress(asyncio.QueueEmpty):
        assert shell.done.get_nowait() is None


async def test_a_state_directory_that_is_full_does_not_hinder_a_shot(shell: Shell) -> None:
    shell.results.mkdir()

    assert (await shell.shoot("good")).ok
    assert any("cannot be kept" in line for line in shell.lines)
