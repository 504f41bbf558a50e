"""The watchdog driver on a stand-in: what is written when, and which device belongs to which method."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.drivers import watchdog
from agent.drivers.watchdog import Watchdog, find_device


class StandIn:
    """A FIFO in the place of the device; `read` takes what was written."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = str(path)
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def read(self) -> bytes:
        try:
            return os.read(self._fd, 65536)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        os.close(self._fd)


@pytest.fixture
def device(tmp_path: Path) -> Iterator[StandIn]:
    made = StandIn(tmp_path / "watchdog0")
    yield made
    made.close()


def test_it_is_petted_while_it_runs_and_told_to_stop_by_the_magic_word(device: StandIn) -> None:
    dog = Watchdog(device.path, 10)

    dog.open()
    assert (dog.runs, device.read()) == (True, b"\0")
    dog.pet()
    assert device.read() == b"\0"
    assert dog.release()

    assert (dog.runs, device.read()) == (False, b"V")


def test_a_device_that_takes_nothing_now_does_not_block(device: StandIn) -> None:
    dog = Watchdog(device.path, 10)
    dog.open()

    for _ in range(100_000):
        dog.pet()

    assert dog.runs


def test_absent_device_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Watchdog(str(tmp_path / "watchdog9"), 10).open()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A computer with two devices, as the kernel shows them."""
    for name, identity in (("watchdog0", "iTCO_wdt"), ("watchdog1", "Software Watchdog"), ("watchdog2", "IPMI")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "identity").write_text(f"{identity}\n")
    monkeypatch.setattr(watchdog, "_CLASS", str(tmp_path))
    monkeypatch.setattr(watchdog, "_FIRST_PID_NAMESPACE", os.stat("/proc/self/ns/pid").st_ino)
    monkeypatch.delenv(watchdog.DEVICE, raising=False)
    return tmp_path


def test_each_method_finds_its_device(machine: Path) -> None:
    assert find_device("softdog") == ("/dev/watchdog1", "")
    assert find_device("ipmi") == ("/dev/watchdog2", "")
    assert find_device("keepalive") == ("", "")


def test_without_a_device_it_says_which_module_to_load(machine: Path) -> None:
    (machine / "watchdog2/identity").write_text("nothing")

    path, why = find_device("ipmi")

    assert path == ""
    assert "modprobe ipmi_watchdog" in why


def test_a_container_leaves_the_watchdog_to_the_machine(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "_FIRST_PID_NAMESPACE", 1)

    assert find_device("softdog") == ("", "in a container, where the watchdog belongs to the machine below")


def test_the_environment_names_another_device_or_none(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(watchdog.DEVICE, "/dev/mine")
    assert find_device("keepalive") == ("/dev/mine", "")
    monkeypatch.setenv(watchdog.DEVICE, "none")
    assert find_device("softdog") == ("", "")
