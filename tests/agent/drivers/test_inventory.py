"""What the driver reads of this machine, compared with what else is known of it."""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path

import pytest

from agent.drivers import inventory as driver
from agent.drivers.inventory import gather
from agent.drivers.network import KernelNetwork
from agent.ports import DriverError
from agent.wire.inventory import Inventory, LiveCheck


async def look(**check: tuple[str, ...]) -> Inventory:
    network = KernelNetwork()
    try:
        return await gather("server1", LiveCheck(**check), network)
    finally:
        network.close()


async def test_nics_disks_and_clock_are_those_of_this_machine():
    before = time.time()
    found = await look()

    assert sorted(nic.name for nic in found.nics) == sorted(name for _, name in socket.if_nameindex())
    loopback = next(nic for nic in found.nics if nic.name == "lo")
    assert "127.0.0.1/8" in loopback.addresses or not loopback.up
    for disk in found.disks:
        sectors = Path(f"/sys/class/block/{disk.path.removeprefix('/dev/').replace('/', '!')}/size").read_text()
        assert disk.size_bytes == int(sectors) * 512
    assert before <= found.clock.began_s <= found.clock.at_s <= time.time()


async def test_listening_socket_is_found_with_its_owner():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        wanted = {("tcp", server.getsockname()[1]), ("udp", other.getsockname()[1])}

        found = await look()

        ours = [port for port in found.ports if (port.protocol, port.port) in wanted]
        assert {(port.protocol, port.port) for port in ours} == wanted
        assert all(port.own and port.address == "127.0.0.1" for port in ours)
        assert {port.process for port in ours} == {Path("/proc/self/comm").read_text().strip()}


async def test_socket_that_is_only_connected_does_not_listen():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        found = await look()

        assert client.getsockname()[1] not in {port.port for port in found.ports if port.protocol == "tcp"}


async def test_path_that_is_no_device_says_why(tmp_path: Path):
    plain = tmp_path / "file"
    plain.write_text("x")

    found = await look(devices=(str(tmp_path / "none"), str(plain), "/dev/null", "\0"))

    assert [(one.disk, one.error) for one in found.devices] == [
        (None, "no such file or directory"), (None, "it is no block device"), (None, "it is no block device"),
        (None, "it is no path"),
    ]  # fmt: skip


async def test_link_leads_to_the_kernels_device(tmp_path: Path):
    blocks = [name for name in sorted(os.listdir("/sys/class/block")) if Path(f"/dev/{name}").exists()]
    if not blocks:
        pytest.skip("no block device here")
    link = tmp_path / "link"
    link.symlink_to(f"/dev/{blocks[0]}")

    (answer,) = (await look(devices=(str(link),))).devices

    assert answer.path == str(link)
    assert answer.disk is not None
    assert answer.disk.path == f"/dev/{blocks[0]}"


async def test_address_outside_of_every_network_and_no_address_are_told_apart():
    found = await look(addresses=("198.51.100.7", "127.0.0.1", "nonsense"))

    assert [bool(one.error) for one in found.addresses] == [False, False, True]
    assert found.address("127.0.0.1").owner == ""  # type: ignore[union-attr]
    assert found.address("nonsense").error == "it is no IP address"  # type: ignore[union-attr]


async def test_machine_that_does_not_answer_in_time_is_an_error(monkeypatch: pytest.MonkeyPatch):
    release = threading.Event()
    monkeypatch.setattr(driver, "GATHER_S", 0.05)
    monkeypatch.setattr(driver, "_machine", lambda *_: release.wait(10))
    try:
        with pytest.raises(DriverError, match="could not look"):
            await look()
    finally:
        release.set()


def test_fstab_is_read_by_the_kernels_names(tmp_path: Path):
    fstab = tmp_path / "fstab"
    fstab.write_text("# c\n\n/dev/none1 /data ext4 defaults 0 0\nUUID=abc /u xfs\nnas:/x /n nfs\n/dev/s none swap sw\n"
                     "/dev/none2 /with\\040blank ext4\ntmpfs /t tmpfs\nshort\n")  # fmt: skip

    assert [(one.device, one.point, one.type) for one in driver._fstab(fstab)] == [
        ("/dev/none1", "/data", "ext4"), ("/dev/disk/by-uuid/abc", "/u", "xfs"), ("nas:/x", "/n", "nfs"),
        ("/dev/none2", "/with blank", "ext4"),
    ]  # fmt: skip


def test_addresses_of_proc_are_understood():
    assert driver._address("0100007F") == "127.0.0.1"
    assert driver._address("00000000") == ""
    assert driver._address("00000000000000000000000001000000") == "::1"


def test_disk_is_described_by_sys(tmp_path: Path):
    disk = tmp_path / "block" / "sdb"
    part = disk / "sdb2"
    (part / "holders" / "dm-0").mkdir(parents=True)
    for folder, name, text in (
        (disk, "size", "1000"), (disk, "ro", "0"), (part, "size", "400"), (part, "partition", "2"), (part, "ro", "1"),
    ):  # fmt: skip
        (folder / name).write_text(f"{text}\n")
    (tmp_path / "class").mkdir()
    for name, folder in (("sdb", disk), ("sdb2", part)):
        (tmp_path / "class" / name).symlink_to(folder)
    (tmp_path / "class" / "gone").symlink_to(tmp_path / "nowhere")

    whole, second = driver._disks(tmp_path / "class")

    assert (whole.path, whole.kind, whole.bus, whole.size_bytes, whole.number) == (
        "/dev/sdb",
        "disk",
        "scsi",
        512000,
        0,
    )
    assert (second.kind, second.parent, second.number, second.read_only) == ("part", "/dev/sdb", 2, True)
    assert second.held_by == ("/dev/dm-0",)


async def test_lists_are_cut_at_their_limit_and_say_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(driver.limits, "MOST_NICS", 0)

    found = await look()

    assert found.nics == ()
    assert "nics" in found.cut
