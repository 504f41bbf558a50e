"""Live checks: what is asked of each server, and the verdicts on what it answers."""

from __future__ import annotations

import msgspec
import pytest

from agent.catalog import specs
from agent.wire.inventory import (
    AddressAnswer,
    ClockInfo,
    DeviceAnswer,
    DiskInfo,
    Inventory,
    LiveCheck,
    MountInfo,
    NicInfo,
    PortInfo,
)
from agent.wire.live import checks_of, judge, subject_of

MIB = 1 << 20
CONF = """<root>
<all><serveros>linux</serveros></all>
<cluster><name>demo</name></cluster>
<server name="server1"><priority>0</priority><device id="0"><type>lan</type><info>10.0.0.1</info></device>
<device id="300"><type>disk</type><info>/dev/sdc1</info></device>
<device id="400"><type>mdc</type><info>10.0.1.1</info></device></server>
<server name="server2"><priority>1</priority><device id="0"><type>lan</type><info>10.0.0.2</info></device>
<device id="300"><type>disk</type><info>/dev/sdc1</info></device>
<device id="400"><type>mdc</type><info>10.0.1.2</info></device></server>
<heartbeat><lanhb name="lanhb1"><priority>0</priority><device>0</device></lanhb>
<diskhb name="diskhb1"><priority>1</priority><device>300</device></diskhb></heartbeat>
<group name="failover1"><resource name="fip@fip1"/><resource name="md@md1"/><resource name="disk@disk1"/></group>
<resource><fip name="fip1"><parameters><ip>10.0.0.100</ip></parameters></fip>
<md name="md1"><parameters><netdev id="0"><device>400</device></netdev><nmppath>/dev/NMP1</nmppath>
<diskdev><dppath>/dev/sdb2</dppath><cppath>/dev/sdb1</cppath></diskdev><mount><point>/mnt/md1</point></mount>
</parameters></md>
<disk name="disk1"><parameters><device>/dev/disk/by-id/x</device><mount><point>/mnt/disk1</point></mount></parameters>
</disk></resource>
<monitor><miiw name="miiw1"><parameters><object>eth0</object></parameters></miiw>
<userw name="userw"><parameters><method>softdog</method></parameters></userw></monitor>
</root>"""
SUBJECT = subject_of(CONF.encode(), specs())


def part(path: str, size_mib: float, **more: object) -> DiskInfo:
    fields = {"kind": "part", "bus": "scsi", "parent": path[:-1], "number": int(path[-1]), **more}
    return DiskInfo(path=path, size_bytes=int(size_mib * MIB), **fields)  # type: ignore[arg-type]


def answer(path: str, disk: DiskInfo | None) -> DeviceAnswer:
    return DeviceAnswer(path=path, disk=disk, error="" if disk else "no such file or directory")


DEVICES = (
    answer("/dev/sdc1", part("/dev/sdc1", 10)),
    answer("/dev/sdb2", part("/dev/sdb2", 2048)),
    answer("/dev/sdb1", part("/dev/sdb1", 10)),
    answer("/dev/disk/by-id/x", part("/dev/sdd1", 4096)),
)


def good(server: str, **more: object) -> Inventory:
    number = server[-1]
    fields: dict[str, object] = {
        "nics": (
            NicInfo(name="eth0", up=True, mac=f"02:00:00:00:00:0{number}", addresses=(f"10.0.0.{number}/24",)),
            NicInfo(name="eth1", up=True, mac=f"02:00:00:00:01:0{number}", addresses=(f"10.0.1.{number}/24",)),
        ),
        "devices": DEVICES,
        "addresses": (AddressAnswer(address="10.0.0.100", nic="eth0"),),
        "clock": ClockInfo(synchronised=True, offset_ms=0.0),
        **more,
    }
    return Inventory(server=server, **fields)  # type: ignore[arg-type]


def swap(path: str, disk: DiskInfo | None) -> tuple[DeviceAnswer, ...]:
    return tuple(answer(path, disk) if one.path == path else one for one in DEVICES)


def codes(**of_server2: object) -> list[tuple[str, str]]:
    found = judge(SUBJECT, {"server1": good("server1"), "server2": good("server2", **of_server2)})
    return [(f.severity, f.code) for f in found]


def test_each_server_is_asked_what_the_configuration_names():
    check = LiveCheck(addresses=("10.0.0.100",), devices=("/dev/sdc1", "/dev/disk/by-id/x", "/dev/sdb2", "/dev/sdb1"))

    asked = checks_of(SUBJECT)

    assert list(asked) == ["server1", "server2"]
    for one in asked.values():
        assert one.addresses == check.addresses
        assert sorted(one.devices) == sorted(check.devices)


def test_servers_as_they_should_be_bring_no_finding():
    assert codes() == []


def test_server_that_does_not_answer_is_named_and_nothing_is_concluded():
    found = judge(SUBJECT, {"server1": good("server1")})

    assert [(f.severity, f.code, f.path) for f in found] == [("warning", "live.missing", "/root/server@server2")]


def nics(*entries: tuple[str, bool, str]) -> tuple[NicInfo, ...]:
    return tuple(NicInfo(name=n, up=up, mac="02:00:00:00:00:09", addresses=(a,)) for n, up, a in entries)


LAN2 = ("eth1", True, "10.0.1.2/24")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (nics(("eth0", True, "10.0.0.7/24"), LAN2), [("error", "address.absent")]),
        (nics(("eth0", False, "10.0.0.2/24"), LAN2), [("warning", "nic.down")]),
        (nics(("eth0", True, "10.0.0.2/30"), LAN2), [("error", "fip.network")]),
        (nics(("eth0", True, "10.0.0.2/24"), LAN2, ("eth2", True, "10.0.0.100/24")), [("error", "fip.fixed")]),
        (nics(("eth0", True, "10.0.0.2/24"), LAN2, ("eth2", True, "10.0.0.100/32")), []),
        (nics(("eth5", True, "10.0.0.2/24"), LAN2), [("error", "nic.absent")]),
        (nics(("eth0", True, "10.0.0.2/24"), LAN2, ("enp1s0f0", True, "10.9.0.1/24")), [("note", "nic.name")]),
    ],
)
def test_addresses_and_nics_are_compared(found, expected):
    assert codes(nics=found) == expected


def test_address_that_somebody_else_has_is_found():
    taken = AddressAnswer(address="10.0.0.100", nic="eth0", owner="02:ff:ff:ff:ff:ff")
    assert codes(addresses=(taken,)) == [("error", "fip.in_use")]

    # The other server of this cluster runs the group.
    ours = msgspec.structs.replace(taken, owner="02:00:00:00:00:01")
    assert codes(addresses=(ours,)) == []


@pytest.mark.parametrize(
    ("path", "disk", "expected"),
    [
        ("/dev/sdb1", None, [("error", "device.absent")]),
        ("/dev/sdb1", part("/dev/sdb1", 5), [("error", "device.small")]),
        ("/dev/sdc1", part("/dev/sdc1", 8), [("error", "device.small")]),
        ("/dev/sdb2", part("/dev/sdb2", 1000), [("error", "md.size"), ("error", "device.small")]),
        ("/dev/sdb2", part("/dev/sdb2", 2047), [("error", "md.size")]),
        ("/dev/sdb2", part("/dev/sdb2", 2049), [("note", "md.size")]),
        ("/dev/sdb2", part("/dev/sdb2", 2048, bus="ide"), [("warning", "md.bus")]),
        ("/dev/sdb2", part("/dev/sdb2", 2048.0005), [("note", "md.size"), ("error", "md.block")]),
        ("/dev/sdb2", part("/dev/sdb2", 2048, held_by=("/dev/md0",)), [("error", "device.held")]),
        ("/dev/sdb2", part("/dev/sdb2", 2048, kind="raid"), [("warning", "md.layered")]),
        ("/dev/disk/by-id/x", part("/dev/sdd1", 4095), [("error", "disk.size")]),
    ],
)
def test_disks_are_compared(path, disk, expected):
    assert sorted(codes(devices=swap(path, disk))) == sorted(expected)


@pytest.mark.parametrize(
    ("device", "point", "expected"),
    [
        ("/dev/sdb2", "/mnt/other", ["device.mounted"]),
        ("/dev/sdb2", "/mnt/md1", []),
        ("/dev/sdc1", "/mnt/md1", ["device.mounted"]),
        ("/dev/sdd1", "/mnt/disk1/", []),
        ("/dev/sde1", "/data", []),
    ],
)
def test_device_is_mounted_by_the_cluster_only(device, point, expected):
    assert [code for _, code in codes(mounts=(MountInfo(device=device, point=point),))] == expected


def test_partition_of_a_whole_disk_counts_as_mounted():
    whole = DiskInfo(path="/dev/sdb", size_bytes=4096 * MIB, bus="scsi")

    found = codes(devices=swap("/dev/sdb1", whole), mounts=(MountInfo(device="/dev/sdb3", point="/data"),))

    assert ("error", "device.mounted") in found


@pytest.mark.parametrize("device", ["/dev/sdb2", "/dev/sdd1"])
def test_fstab_leaves_the_clusters_disks_alone(device):
    assert codes(fstab=(MountInfo(device=device, point="/mnt/md1"),)) == [("error", "fstab.entry")]


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        (PortInfo(protocol="tcp", port=29051, process="nginx"), [("error", "port.in_use")]),
        (PortInfo(protocol="tcp", port=29051, process="clpd", own=True), []),
        (PortInfo(protocol="udp", port=29051), []),
        (PortInfo(protocol="tcp", port=80), []),
    ],
)
def test_ports_of_mirrors_are_free(port, expected):
    assert codes(ports=(port,)) == expected


@pytest.mark.parametrize(
    ("clock", "expected"),
    [
        (ClockInfo(synchronised=True, offset_ms=1500, uncertain_ms=10), [("warning", "clock.offset")]),
        (ClockInfo(synchronised=True, offset_ms=-1500, uncertain_ms=10), [("warning", "clock.offset")]),
        (ClockInfo(synchronised=True, offset_ms=1500, uncertain_ms=600), []),
        (ClockInfo(synchronised=False, offset_ms=0), [("note", "clock.free")]),
        (ClockInfo(synchronised=None), []),
    ],
)
def test_clocks_are_compared_as_far_as_it_is_certain(clock, expected):
    assert codes(clock=clock) == expected


def test_watchdog_has_no_other_user():
    assert codes(watchdog_users=("wd_keepalive",)) == [("error", "watchdog.user")]


def test_offset_of_a_clock_leaves_out_the_time_of_looking():
    """Asked at 100, 0.1 s on the way, 5 s of looking, 0.1 s back; its clock is 2 s ahead."""
    told = Inventory(server="server1", clock=ClockInfo(began_s=102.1, at_s=107.1))

    clock = told.heard(100.0, 105.2).clock

    assert clock.offset_ms == pytest.approx(2000, abs=0.2)
    assert clock.uncertain_ms == pytest.approx(100, abs=0.2)


def test_answers_survive_the_way():
    for inventory in (good("server1"), Inventory(server="x")):
        assert msgspec.json.decode(msgspec.json.encode(inventory), type=Inventory) == inventory
