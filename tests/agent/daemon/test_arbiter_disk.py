"""A shared disk that hangs or fails for real: a file on a file system that is frozen or shut down."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.daemon.arbiters import ArbiterProcess, arbiter_process, disk_at, make_disk, witness_at
from tests.agent.waiting import until
from tests.agent.witness.servers import witness_process

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(90)]

# FS_IOC_SHUTDOWN without flushing the log, as if the disk had gone.
_SHUTDOWN = """
import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack("I", 2))
"""


class FileSystem:
    """ext4 in a mount namespace that ends with this process."""

    def __init__(self, directory: Path) -> None:
        self.place = directory / "mount"
        self.place.mkdir()
        image = directory / "ext4.img"
        with image.open("wb") as file:
            file.truncate(32 << 20)
        subprocess.run(["mkfs.ext4", "-q", str(image)], check=True, capture_output=True, timeout=30)
        script = f"mount -o loop {image} {self.place} && echo ready; exec cat"
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]
        self._holder = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self._holder.stdout is not None
        self.mounted = self._holder.stdout.readline() == "ready\n"
        self.enter = [shutil.which("nsenter") or "nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt"]

    def run(self, *argv: str, check: bool = True) -> None:
        subprocess.run([*self.enter, *argv], check=check, capture_output=True, timeout=30)

    def freeze(self) -> None:
        self.run("fsfreeze", "-f", str(self.place))

    def thaw(self) -> None:
        self.run("fsfreeze", "-u", str(self.place), check=False)

    def shut_down(self) -> None:
        self.run(sys.executable, "-c", _SHUTDOWN, str(self.place))

    def close(self) -> None:
        if self.mounted:
            self.thaw()
        self._holder.communicate()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[tuple[FileSystem, Path]]:
    system = FileSystem(tmp_path)
    try:
        if not system.mounted:
            pytest.skip("no loop devices here: run as root of the machine")
        made = make_disk(tmp_path)
        shared = system.place / "shared.img"
        system.run("cp", str(made), str(shared))
        yield system, shared
    finally:
        system.close()


@contextlib.contextmanager
def child(system: FileSystem, directory: Path, *arbiters: dict[str, object]) -> Iterator[ArbiterProcess]:
    with arbiter_process(directory, "server1", *arbiters, enter=system.enter) as one:
        try:
            one.connect()
            until(lambda: one.state("disknp1")["ok"])
            one.answer("disknp1", 1, "server1")
            one.wait_confirmed("disknp1")
            yield one
        finally:
            system.thaw()  # Else its thread could not end.


def test_disk_that_hangs_is_told_and_takes_nothing_else_along(tmp_path: Path, disk: tuple[FileSystem, Path]):
    system, path = disk
    with witness_process(tmp_path) as witness, child(system, tmp_path, disk_at(path), witness_at(witness.port)) as one:
        one.answer("httpnp1", 1, "server1")
        system.freeze()
        until(lambda: one.state("disknp1")["ok"] is False)
        assert "has not answered for" in one.state("disknp1")["detail"]
        assert not one.is_confirmed_for("disknp1", 0.2)
        assert one.wait_confirmed("httpnp1")
        assert one.state("httpnp1")["ok"]

        system.thaw()
        until(lambda: one.state("disknp1")["ok"])
        assert one.wait_confirmed("disknp1")


def test_nobody_writes_beside_a_write_that_hangs(tmp_path: Path, disk: tuple[FileSystem, Path]):
    system, path = disk
    with child(system, tmp_path, disk_at(path)) as one:
        system.freeze()
        until(lambda: one.state("disknp1")["ok"] is False)
        ghost = one.pid
        one.signal(signal.SIGKILL)
        one.start("online")
        one.connect()
        until(lambda: one.state("disknp1")["ok"] is False)
        assert "an earlier process of this agent still waits for it" in one.state("disknp1")["detail"]
        assert not one.is_confirmed_for("disknp1", 0.3)

        system.thaw()
        successor, one.pid = one.pid, ghost
        assert one.wait() == -signal.SIGKILL
        one.pid = successor
        until(lambda: one.state("disknp1")["ok"])
        assert one.wait_confirmed("disknp1")


def test_disk_that_fails_is_named_with_its_error(tmp_path: Path, disk: tuple[FileSystem, Path]):
    system, path = disk
    with child(system, tmp_path, disk_at(path)) as one:
        system.shut_down()
        until(lambda: one.state("disknp1")["ok"] is False)

        assert "Input/output error" in one.state("disknp1")["detail"]
        assert str(path) in one.state("disknp1")["detail"]
        assert not one.is_confirmed_for("disknp1", 0.3)
