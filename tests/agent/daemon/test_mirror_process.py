"""Starting, finding and ending the process of a mirror disk, with a real process in its place."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.daemon import mirror_process
from agent.daemon.mirror_client import listener_of, look
from agent.daemon.mirror_process import MirrorProcess
from tests.agent.daemon.mirrors import settings

pytestmark = pytest.mark.slow


class Kept:
    """A process that is kept as the daemon does it."""

    def __init__(self, root: Path, **changes: str) -> None:
        self.died: list[str] = []
        self.settings = replace(settings(root), **changes)
        self.process = MirrorProcess(self.settings, root, self.died.append)
        self.task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        self.task = asyncio.ensure_future(self.process.keep(lambda: False))

    async def daemon_ends(self) -> None:
        assert self.task is not None
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def up(self, but: int = 0) -> int:
        await until(lambda: listener_of(self.settings.control) not in (0, but))
        return listener_of(self.settings.control)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
async def keep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., Awaitable[Kept]]]:
    monkeypatch.setattr(mirror_process, "MODULE", "tests.agent.daemon.mirror_standin")
    found: list[Kept] = []

    async def make(**changes: str) -> Kept:
        kept = Kept(tmp_path, **changes)
        found.append(kept)
        kept.begin()
        return kept

    yield make
    for kept in found:
        await kept.daemon_ends()
        kept.process.find()
        await kept.process.end(0.0)


async def test_it_outlives_the_daemon_and_is_found_again(keep: Callable[..., Awaitable[Kept]]):
    kept = await keep()
    pid = await kept.up()
    assert os.getsid(pid) == pid
    assert (Path(kept.settings.run) / "mirror-md1.json").stat().st_mode & 0o777 == 0o600

    await kept.daemon_ends()

    assert (await look(kept.settings.control)) is not None
    assert listener_of(kept.settings.control) == pid
    assert not kept.process.outdated
    assert MirrorProcess(replace(kept.settings, port=1), Path(kept.settings.run), print).outdated


async def test_it_is_started_anew_when_it_dies(keep: Callable[..., Awaitable[Kept]]):
    kept = await keep()
    pid = await kept.up()

    os.kill(pid, signal.SIGKILL)

    assert await kept.up(but=pid) != pid
    assert kept.died == ["it was killed by signal 9"]


async def test_why_it_does_not_start_stands_in_the_note(keep: Callable[..., Awaitable[Kept]]):
    kept = await keep(data="/missing")

    await until(lambda: bool(kept.died))
    assert kept.died[0].startswith("it ended with code 1; its log ends with: 2026-01-01 The data partition /missing")


async def test_it_can_be_ended_and_killed(keep: Callable[..., Awaitable[Kept]]):
    kept = await keep()
    pid = await kept.up()
    await kept.daemon_ends()
    kept.process.found(pid)
    assert kept.process.running

    os.kill(pid, signal.SIGSTOP)
    assert await kept.process.end(0.0)

    assert not kept.process.running
