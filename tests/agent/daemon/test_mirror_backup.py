"""Backup and restore as the daemon of the side that stands by carries them out, and what the other one is asked."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.daemon.mirror import Standing
from agent.daemon.mirror_backup import Backups
from agent.daemon.mirror_hold import Hold, thaw_left
from agent.daemon.mirror_orders import MirrorRefusedError
from agent.messages import mirrors as md
from agent.wire.epoch import Epoch
from agent.wire.peer import Request
from tests.agent.daemon.mirrors import EPOCH, TOGETHER, Bench, bench

__all__ = ["bench"]
QUIET = {"active": False, "generation": "g1"}


class Other:
    """The daemon of server2: `answers` by what it is asked."""

    def __init__(self, bench: Bench) -> None:
        self.answers: dict[str, dict[str, Any]] = {"hold": {"ok": True, "state": "held"},
                                                   "release": {"ok": True, "held": True}}  # fmt: skip
        self.did: list[str] = []
        self._bench = bench

    async def ask(self, whom: str, what: str, **fields: Any) -> dict[str, Any]:
        assert (whom, fields["name"]) == ("server2", "md1")
        separated = bool(self._bench.process.of("separate"))
        self.did.append(f"{what}{' after' if separated else ''}")
        return self.answers.get(what, {"ok": True})


class Scene:
    def __init__(self, bench: Bench, root: Path, kind: str = "ext4") -> None:
        self.bench, self.other = bench, Other(bench)
        self.notes: list[int] = []

        async def point(name: str) -> str:
            return ""

        self.backups = Backups("server1", root, self.other, lambda name: kind, point,
                               lambda name, number, *words: self.notes.append(number))  # fmt: skip

    async def do(self, op: Any, other: dict[str, Any] | None = None, **more: Any) -> str:
        request = Request(id="1", op=op, target="md1", server="server1", **more)
        return await self.backups.carry_out(self.bench.mirror, request, {"server2": other})

    async def now(self, **changes: Any) -> None:
        self.bench.process.now(**changes)
        await self.bench.until(lambda: all(getattr(self.bench.mirror.state, k) == v for k, v in changes.items()))


@pytest.fixture
async def scene(bench: Bench, tmp_path: Path) -> Scene:
    found = Scene(bench, tmp_path)
    await found.now(peer_active=True)
    return found


async def test_file_system_is_held_still_while_this_side_is_separated(scene: Scene):
    said = await scene.do("mirror_backup_begin", mount=False)
    assert said == "md1 is separated on server1: its disk /d stands still."
    assert scene.other.did == ["hold", "release after"]
    assert scene.notes == [md.SEPARATED]

    await scene.now(separated_at=5.0, isolated=True, relation="apart")
    await scene.do("mirror_backup_begin", mount=False)
    assert len(scene.bench.process.of("separate")) == 1


async def test_nobody_is_asked_to_hold_still_what_nobody_uses(scene: Scene):
    await scene.now(peer_active=False)
    await scene.do("mirror_backup_begin", mount=False)
    assert scene.other.did == []


async def test_copy_that_would_not_be_consistent_is_none(scene: Scene):
    scene.other.answers["release"] = {"ok": True, "held": False}
    with pytest.raises(MirrorRefusedError, match="was let go before"):
        await scene.do("mirror_backup_begin", mount=False)
    assert [order["op"] for order in scene.bench.process.orders][-2:] == ["separate", "join"]
    assert scene.notes == []


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ({"ok": True, "state": "failed", "why": "/m cannot be held still: Operation not supported"}, "not supported"),
        ({"error": "The agent of server2 gave no answer."}, "gave no answer"),
    ],
)
async def test_nothing_is_separated_when_it_cannot_be_held_still(scene: Scene, monkeypatch, line, why):
    monkeypatch.setattr("agent.daemon.mirror_backup._PREPARE_S", 0.05)
    scene.other.answers["hold"] = line
    with pytest.raises(MirrorRefusedError, match=why):
        await scene.do("mirror_backup_begin", mount=False)
    assert scene.bench.process.of("separate") == []


async def test_side_joins_again_when_its_copy_cannot_be_shown(scene: Scene):
    """There is no /d."""
    with pytest.raises(MirrorRefusedError, match="No such file"):
        await scene.do("mirror_backup_begin")
    assert [order["op"] for order in scene.bench.process.orders][-2:] == ["separate", "join"]


async def test_why_a_side_cannot_be_separated_is_said_by_its_process(scene: Scene):
    scene.bench.process.answers["separate"] = lambda _: {"type": "failed", "why": "It is active on server1."}
    await scene.now(active=True)
    with pytest.raises(MirrorRefusedError, match="It is active on server1"):
        await scene.do("mirror_backup_begin")
    assert scene.other.did == []


@pytest.mark.parametrize(
    ("found", "said", "note"),
    [
        ("untouched", "Only what differs is copied.", md.JOINS),
        ("unseen", "both are compared afterwards.", md.JOINS),
        ("touched", "everything is copied to it.", md.JOINS_ALL),
    ],
)
async def test_end_says_what_is_copied(scene: Scene, found: str, said: str, note: int):
    assert await scene.do("mirror_backup_end") == "md1 is not separated on server1: nothing to do."
    await scene.now(separated_at=5.0, isolated=True, relation="apart")
    scene.bench.process.answers["join"] = lambda _: {"type": "done", "found": found}
    text = await scene.do("mirror_backup_end")
    assert text.startswith("md1 joins again on server1.")
    assert text.endswith(said)
    assert scene.notes == [note]


async def test_restore_is_refused_while_the_disk_is_in_use(scene: Scene):
    with pytest.raises(MirrorRefusedError, match="active on server2"):
        await scene.do("mirror_restore_begin", QUIET)
    await scene.now(peer_active=False)
    for other in ({**QUIET, "active": True},):
        with pytest.raises(MirrorRefusedError, match="active on server2"):
            await scene.do("mirror_restore_end", other)
    await scene.now(active=True)
    with pytest.raises(MirrorRefusedError, match="active on server1"):
        await scene.do("mirror_restore_begin", QUIET)
    assert scene.bench.process.of("restore") == []


async def test_daemon_that_begins_anew_learns_of_an_activation_by_hand(bench: Bench):
    looked = []
    bench.mirror.look = lambda: looked.append(bench.mirror.by_hand)
    bench.process.now(active=True, by_hand=True, epoch=(7, 3))
    await bench.until(lambda: bench.mirror.by_hand == Epoch(7, 3))
    assert looked == [Epoch(7, 3)]


async def test_what_a_group_activated_is_none_by_hand(bench: Bench):
    bench.mirror.stand(Standing(epoch=Epoch(7, 1), since=TOGETHER.since, held=EPOCH))
    bench.process.now(active=True, epoch=tuple(EPOCH))
    await bench.until(lambda: bench.mirror.state is not None and bench.mirror.state.active)
    assert bench.mirror.by_hand is None


# Holding still: a real file system -------------------------------------------------------------------------------


@pytest.fixture
def point(tmp_path: Path) -> Iterator[str]:
    file, point = tmp_path / "disk", tmp_path / "mounted"
    file.touch()
    os.truncate(file, 16 << 20)
    point.mkdir()
    subprocess.run(["mkfs.ext4", "-q", "-F", file], check=True)
    subprocess.run(["mount", "-o", "loop", file, point], check=True)
    yield str(point)
    thaw_left(tmp_path)
    with contextlib.suppress(FileNotFoundError):
        subprocess.run(["umount", point], check=True)


def writer(point: str) -> threading.Thread:
    thread = threading.Thread(target=lambda: Path(point, "x").write_text("x"), daemon=True)
    thread.start()
    return thread


@pytest.mark.root
@pytest.mark.slow
async def test_held_file_system_lets_writers_wait_until_it_is_let_go(point: str, tmp_path: Path):
    hold = Hold("k", "md1", point, tmp_path, limit_s=60)
    await hold.begin()
    assert hold.state == "held"
    thread = writer(point)
    await asyncio.to_thread(thread.join, 0.2)
    assert thread.is_alive()
    assert hold.release()
    await asyncio.to_thread(thread.join, 20)
    assert not thread.is_alive()
    assert not hold.release()
    assert thaw_left(tmp_path) == []


@pytest.mark.root
@pytest.mark.slow
async def test_nobody_is_held_for_long_whoever_dies(point: str, tmp_path: Path):
    hold = Hold("k", "md1", point, tmp_path, limit_s=0.05)
    await hold.begin()
    while hold.state == "held":
        await asyncio.sleep(0.01)
    assert not hold.release()
    # A daemon that died.
    left = Hold("l", "md1", point, tmp_path, limit_s=60)
    await left.begin()
    thread = writer(point)
    assert thaw_left(tmp_path) == [point]
    await asyncio.to_thread(thread.join, 20)
    assert not thread.is_alive()
    left.release()


async def test_what_is_not_mounted_any_more_is_not_held(tmp_path: Path):
    hold = Hold("k", "md1", str(tmp_path / "none"), tmp_path)
    await hold.begin()
    assert (hold.state, hold.release()) == ("failed", False)
    assert "No such file" in hold.why
    assert thaw_left(tmp_path) == []
