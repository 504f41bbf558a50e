"""A mirror disk for tests: holder, loop device, and something that serves it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from agent.mirrord.device import Device
from agent.mirrord.fuse import DeviceError
from agent.mirrord.holder import Holder, cleanup
from agent.mirrord.settings import Settings
from tests.agent.mirrord.mini import Mini

SIZE = 32 << 20
_LIMIT_S = 60.0  # after which a test that hangs gets errors instead
_ROOT = Path(__file__).parents[3]


class Disk:
    def __init__(self, place: Path, size: int = SIZE) -> None:
        self.data = place / "data"
        with self.data.open("wb") as file:
            file.truncate(size)
        self.link = place / "NMP1"
        self.settings = Settings(
            mirror="md1", cluster="test", server="server1", peer="server2", key="", data=str(self.data), partition="",
            run=str(place), device=str(self.link), boot="",
        )  # fmt: skip
        self.holder = Holder(self.settings, limit_s=10)
        self.held = self.holder.start(size)
        self._processes: list[subprocess.Popen[bytes]] = []

    def connect(self) -> Device:
        return Device.connect(self.settings.holder, 10)

    def process(self) -> subprocess.Popen[bytes]:
        """Serves the device when this returns."""
        command = [sys.executable, "-m", "tests.agent.mirrord.mini", self.settings.holder, str(self.data)]
        process = subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE)
        self._processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"serves\n"
        return process

    def attach(self) -> int:
        """The loop device, opened for direct I/O."""
        return os.open(self.holder.attach(), os.O_RDWR | os.O_DIRECT)

    def remove(self) -> None:
        with contextlib.suppress(DeviceError):
            self.holder.abort()
        for process in self._processes:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
        with contextlib.suppress(DeviceError):
            self.holder.end()
        if self.holder.held() is None:
            cleanup(self.settings)


@contextlib.contextmanager
def disk(place: Path) -> Iterator[Disk]:
    made = Disk(place)
    alarm = threading.Timer(_LIMIT_S, made.holder.abort)
    alarm.start()
    try:
        yield made
    finally:
        alarm.cancel()
        made.remove()


@contextlib.contextmanager
def serving(mini: Mini) -> Iterator[Mini]:
    """In a thread of this process."""
    stop = threading.Event()
    thread = threading.Thread(target=mini.serve, args=(stop,))
    thread.start()
    try:
        yield mini
    finally:
        stop.set()
        thread.join()
        mini.device.close()
