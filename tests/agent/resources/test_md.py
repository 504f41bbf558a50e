"""md with real file systems on a loop device; the mirror itself is played by the test."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.drivers.mounts import LocalMounts
from agent.drivers.processes import LocalProcesses
from agent.ports import DriverError, Exit, Place
from agent.resources import md as module
from agent.resources import mounting
from agent.resources.md import SPEC, TYPE
from agent.wire.mirror import MirrorState

pytestmark = [pytest.mark.root, pytest.mark.slow]


class Mirrors:
    """`device` is what it gives; `new`: as if it was constructed just now."""

    def __init__(self, device: str) -> None:
        self.device, self.new, self.refuses = device, False, ""
        self.did: list[str] = []
        self.seen: MirrorState | None = MirrorState(active=True, mode="mirrored")

    async def state(self, name: str) -> MirrorState | None:
        return self.seen

    async def activate(self, name: str, *, full: bool) -> tuple[str, bool]:
        if self.refuses:
            raise DriverError(self.refuses)
        self.did.append(f"activate {full}")
        return self.device, self.new

    async def deactivate(self, name: str) -> None:
        self.did.append("deactivate")

    async def abort(self, name: str) -> None:
        self.did.append("abort")


@pytest.fixture
def device(tmp_path: Path) -> Iterator[str]:
    file = tmp_path / "disk"
    file.touch()
    os.truncate(file, 16 << 20)
    done = subprocess.run(["losetup", "--find", "--show", str(file)], capture_output=True, text=True, check=True)
    yield done.stdout.strip()
    subprocess.run(["losetup", "-d", done.stdout.strip()], check=True)


@pytest.fixture
async def ports(make_ports: Any, tmp_path: Path, device: str) -> AsyncIterator[Any]:
    processes = LocalProcesses(tmp_path / "runs", tmp_path / "logs")
    found = make_ports(processes=processes, place=Place("demo", "server1", "failover1", "md1", True, 1))
    found.mirrors, found.mounts = Mirrors(device), LocalMounts()
    yield found
    processes.close()
    subprocess.run(["umount", "-l", str(tmp_path / "point")], capture_output=True, check=False)


@pytest.fixture
def values(tmp_path: Path) -> Any:
    raw = {
        "parameters/nmppath": "/dev/NMP1", "parameters/diskdev/dppath": "/d", "parameters/diskdev/cppath": "/p",
        "parameters/fs": "ext4", "parameters/mount/point": str(tmp_path / "point"), "parameters/mkfs": "1",
        "parameters/fullcopy": "0", "parameters/umount/interval": "0",
    }  # fmt: skip
    return lambda **more: SPEC.values({**raw, **{f"parameters/{k.replace('_', '/')}": v for k, v in more.items()}})


async def test_first_start_makes_the_file_system_once(ports: Any, values: Any, tmp_path: Path):
    ports.mirrors.new = True
    await TYPE.activate(values(), ports)
    (tmp_path / "point/kept").write_text("data")
    assert await TYPE.active(values(), ports)

    await TYPE.deactivate(values(), ports)
    ports.mirrors.new = False
    await TYPE.activate(values(), ports)

    assert (tmp_path / "point/kept").read_text() == "data"
    assert ports.mirrors.did == ["activate False", "deactivate", "activate False"]


async def test_refusal_mounts_nothing(ports: Any, values: Any, tmp_path: Path):
    ports.mirrors.refuses = "The mirror md1 refuses: old data"

    with pytest.raises(DriverError, match="old data"):
        await TYPE.activate(values(), ports)

    assert not (tmp_path / "point").exists()


async def test_empty_disk_is_not_formatted_unless_it_was_just_constructed(ports: Any, values: Any):
    with pytest.raises(DriverError, match=r"cannot be mounted|check it by hand"):
        await TYPE.activate(values(), ports)


def test_failed_mount_says_the_reason_and_where_there_is_more():
    tail = (
        "mount: /data: wrong fs type, bad option, bad superblock on /dev/loop1.\n"
        "       dmesg(1) may have more information after failed mount system call.\n"
    )

    said = mounting._said(Exit(code=32, tail=tail, seconds=0.1))

    assert said == (
        "; it said: mount: /data: wrong fs type, bad option, bad superblock on /dev/loop1. "
        "See also what the kernel says (dmesg)."
    )


async def test_who_uses_it_is_ended(ports: Any, values: Any, tmp_path: Path):
    ports.mirrors.new = True
    await TYPE.activate(values(), ports)
    user = await asyncio.create_subprocess_exec("sleep", "1000", cwd=tmp_path / "point")
    assert [pid for pid, _ in await ports.mounts.users(str(tmp_path / "point"))] == [user.pid]

    await TYPE.deactivate(values(), ports)

    assert await user.wait() == -15
    assert await ports.mounts.at(str(tmp_path / "point")) is None


async def test_who_may_not_be_ended_is_named(ports: Any, values: Any, tmp_path: Path):
    ports.mirrors.new = True
    await TYPE.activate(values(), ports)
    user = await asyncio.create_subprocess_exec("sleep", "1000", cwd=tmp_path / "point")

    with pytest.raises(DriverError, match=rf"used by sleep \({user.pid}\)"):
        await TYPE.deactivate(values(umount_action="none", umount_retry="0"), ports)

    assert ports.mirrors.did == ["activate False"]
    user.kill()
    await user.wait()
    await TYPE.deactivate(values(), ports)


async def test_device_whose_writes_wait_is_made_to_fail(ports: Any, values: Any, monkeypatch: pytest.MonkeyPatch):
    """umount would wait for ever."""
    monkeypatch.setattr(mounting, "_LOOK_S", 0.01)
    ports.mirrors.seen = MirrorState(active=True, mode="stalled")

    broken = module._Broken(ports)
    answers = [await broken() for _ in range(6)]

    assert answers == [False, False, False, True, True, True]
    assert ports.mirrors.did == ["abort"]


async def test_without_a_file_system_the_device_is_all(ports: Any, values: Any):
    await TYPE.activate(values(fs="none", mount_point=""), ports)
    assert await TYPE.active(values(fs="none", mount_point=""), ports)
    ports.mirrors.seen = MirrorState()
    assert not await TYPE.active(values(fs="none", mount_point=""), ports)
    await TYPE.deactivate(values(fs="none", mount_point=""), ports)
    assert ports.mirrors.did == ["activate False", "deactivate"]


async def test_what_is_mounted_elsewhere_is_not_covered(ports: Any, values: Any, tmp_path: Path):
    ports.mirrors.new = True
    (tmp_path / "point").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "other", str(tmp_path / "point")], check=True)

    with pytest.raises(DriverError, match=r"other is mounted at .* already"):
        await TYPE.activate(values(), ports)
