"""Real mirror processes under a real loop device: what applications see when they are killed, moved and replaced."""

from __future__ import annotations

import errno
import mmap
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.agent.mirrord.processes import Mirror
from tests.agent.mirrord.stress import play

SIZE = 32 << 20
BLOCK = 4096
pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.fixture
def mirror(tmp_path):
    mirror = Mirror(tmp_path, SIZE, silent_s=1.0, keepalive_s=0.3)
    yield mirror
    mirror.close()


class Disk:
    """The device, past the page cache."""

    def __init__(self, path: str) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_DIRECT)
        self.buffer = mmap.mmap(-1, BLOCK)

    def write(self, block: int, byte: bytes) -> None:
        self.buffer[:] = byte * BLOCK
        os.pwrite(self.fd, self.buffer, block * BLOCK)

    def read(self, block: int) -> bytes:
        os.preadv(self.fd, [self.buffer], block * BLOCK)
        return self.buffer[:]

    def close(self) -> None:
        os.close(self.fd)


def test_life_of_a_mirror(mirror):
    """Construction, writes, a killed process, a move, and the end in good order."""
    mirror.start()
    mirror.construct()
    mirror.activate(mirror.a)
    disk = Disk(mirror.a.attach())
    disk.write(0, b"1")
    os.fsync(disk.fd)

    mirror.a.end(signal.SIGKILL)
    mirror.a.start()
    mirror.until(lambda: mirror.a.state)
    mirror.activate(mirror.a, again=True)
    disk.write(1, b"2")
    assert disk.read(0) == b"1" * BLOCK
    mirror.until(mirror.equal)

    disk.close()
    mirror.a.holder.end()
    mirror.deactivate(mirror.a)
    mirror.activate(mirror.b)
    disk = Disk(mirror.b.attach())
    assert (disk.read(0), disk.read(1)) == (b"1" * BLOCK, b"2" * BLOCK)
    disk.close()
    mirror.b.holder.end()

    mirror.b.end(signal.SIGTERM)
    mirror.a.end(signal.SIGTERM)
    assert mirror.a.image() == mirror.b.image()
    assert mirror.a.image()[: 2 * BLOCK] == b"1" * BLOCK + b"2" * BLOCK
    mirror.start()
    mirror.until(mirror.equal)
    assert (mirror.a.state["dirty"], mirror.a.state["copied"]) == (0, 0)  # Nothing had to be repaired.


def test_paused_old_primary_writes_nothing_after_its_successor_took_over(mirror):
    mirror.start()
    mirror.construct()
    mirror.activate(mirror.a)
    device = mirror.a.attach()
    disk = Disk(device)
    disk.write(0, b"1")

    mirror.cut = True
    mirror.a.pause(True)
    ghost = subprocess.Popen(
        ["dd", "if=/dev/zero", f"of={device}", "bs=4096", "count=1", "oflag=direct", "conv=notrunc"],
        stderr=subprocess.DEVNULL,
    )
    mirror.activate(mirror.b, alone=True)
    other = Disk(mirror.b.attach())
    other.write(1, b"2")
    mirror.a.pause(False)
    mirror.until(lambda: any(event["type"] == "stood_down" for event in mirror.a.events))

    assert ghost.wait(20) != 0
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        disk.read(0)
    mirror.until(mirror.equal)
    assert other.read(0) == b"1" * BLOCK
    assert mirror.a.image() == mirror.b.image()
    disk.close()
    other.close()


def test_process_that_was_stopped_asks_anew_before_it_goes_on_alone(mirror):
    mirror.start()
    mirror.construct()
    mirror.activate(mirror.a)
    mirror.cut = True
    mirror.b.end(signal.SIGKILL)
    mirror.until(lambda: mirror.a.state["mode"] == "stalled")
    mirror.a.pause(True)
    until = time.clock_gettime(time.CLOCK_BOOTTIME)
    mirror.a.order("view", permitted=(mirror.epoch, 0), since=(1, 0), until=until)
    asked = len(mirror.a.told("ask_outdated"))
    mirror.a.pause(False)
    mirror.until(lambda: len(mirror.a.told("ask_outdated")) > asked)

    assert mirror.a.state["mode"] == "stalled"
    mirror.a.order("view", permitted=(mirror.epoch, 0), since=(1, 0), until=until + 60)
    mirror.until(lambda: mirror.a.state["mode"] == "alone")


def test_one_process_a_mirror(mirror):
    mirror.start()
    second = subprocess.run(
        [sys.executable, "-m", "agent.mirrord.main", str(mirror.a.file)], capture_output=True, text=True, timeout=20
    )

    assert (second.returncode, second.stderr.split(",")[0]) == (3, "Another process serves md1")


def test_partition_of_somebody_else_is_told_at_the_control_socket_and_left_alone(mirror):
    with open(mirror.a.settings.partition, "r+b") as file:
        file.write(b"XFSB")
    mirror.start()
    name = mirror.a.order("activate", epoch=(2, 0), since=(1, 0))
    mirror.until(lambda: mirror.a.told("refused", name))

    assert "it has an XFS file system" in mirror.a.told("refused", name)[0]["why"]
    assert mirror.a.state["error"] == mirror.a.told("refused", name)[0]["why"]
    with open(mirror.a.settings.partition, "r+b") as file:
        file.write(bytes(4))
    mirror.until(lambda: not mirror.a.state["error"])


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(1, 6))
def test_random_faults_lose_nothing_that_was_acknowledged(tmp_path, seed):
    assert play(tmp_path, seed, 20).writes > 0
