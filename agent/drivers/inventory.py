"""What this machine has: NICs, disks, mounts, listening ports, its clock. Read from the kernel, no device is opened."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import re
import stat
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from agent.drivers.packet import mac_text
from agent.ports import Address, DriverError, Network, Nic, nic_for
from agent.wire import inventory as limits
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

GATHER_S = 10.0
_PROBE_S = 0.3
_PROBES_AT_ONCE = 32
_FILE_BYTES = 4 << 20
_MOST_PROCESSES = 4096
_MOST_DESCRIPTORS = 65536
_SECTOR = 512
_LISTEN, _UNCONNECTED = "0A", "07"
_PSEUDO = frozenset(("loop", "ram", "zram", "sr", "fd", "nbd"))
_WATCHDOG_USERS = frozenset(("watchdog", "wd_keepalive", "watchdogd", "sbd", "heartbeat"))
_OCTAL = re.compile(r"\\([0-7]{3})")
_TIMEX_BYTES, _STATUS_AT, _STA_UNSYNC, _TIME_ERROR = 512, 40, 0x40, 5

_T = TypeVar("_T")


async def gather(server: str, check: LiveCheck, network: Network) -> Inventory:
    """Raises DriverError when the machine does not answer in time (a file system that hangs, for example)."""
    began_s = time.time()
    nics = list(await network.nics())
    try:
        async with asyncio.timeout(GATHER_S):
            found, addresses = await asyncio.gather(
                asyncio.to_thread(_machine, server, check, nics), _probe_all(check, nics, network)
            )
    except TimeoutError as error:
        text = f"{server} could not look at its disks and ports within {GATHER_S:g} s; does a file system hang?"
        raise DriverError(text) from error
    clock = ClockInfo(began_s=began_s, at_s=time.time(), synchronised=_synchronised())
    return replace(found, addresses=tuple(addresses), clock=clock)


def _machine(server: str, check: LiveCheck, nics: Sequence[Nic]) -> Inventory:
    cut: list[str] = []

    def bounded(name: str, most: int, found: Iterable[_T]) -> tuple[_T, ...]:
        kept: list[_T] = []
        for one in found:
            if len(kept) == most:
                cut.append(name)
                break
            kept.append(one)
        return tuple(kept)

    disks = {disk.path: disk for disk in bounded("disks", limits.MOST_DISKS, _disks())}
    return Inventory(
        server=server,
        nics=bounded("nics", limits.MOST_NICS, map(_nic, nics)),
        disks=tuple(disk for disk in disks.values() if _kernel_name(disk.path) not in _PSEUDO),
        mounts=bounded("mounts", limits.MOST_MOUNTS, _mounts()),
        fstab=bounded("fstab", limits.MOST_MOUNTS, _fstab(Path("/etc/fstab"))),
        ports=bounded("ports", limits.MOST_PORTS, _ports()),
        watchdog_users=bounded("watchdog_users", 16, dict.fromkeys(_watchdog_users())),
        devices=tuple(_device(path, disks) for path in check.devices[: limits.MOST_CHECKS]),
        cut=tuple(cut),
    )


def _nic(nic: Nic) -> NicInfo:
    addresses = tuple(str(one) for one in nic.addresses[: limits.MOST_ADDRESSES])
    return NicInfo(name=nic.name, up=nic.up, mac=mac_text(nic.mac), addresses=addresses)


# Addresses on the LAN -----------------------------------------------------------------------------------------------


async def _probe_all(check: LiveCheck, nics: Sequence[Nic], network: Network) -> list[AddressAnswer]:
    gate = asyncio.Semaphore(_PROBES_AT_ONCE)

    async def one(text: str) -> AddressAnswer:
        async with gate:
            return await _probe(text, nics, network)

    return await asyncio.gather(*(one(text) for text in check.addresses[: limits.MOST_CHECKS]))


async def _probe(text: str, nics: Sequence[Nic], network: Network) -> AddressAnswer:
    try:
        address: Address = ip_address(text)
    except ValueError:
        return AddressAnswer(address=text[: limits.LONGEST_TEXT], error="it is no IP address")
    scope = getattr(address, "scope_id", None)
    nic = next((n for n in nics if n.name == scope), None) if scope else nic_for(nics, address)
    if nic is None:
        return AddressAnswer(address=text)
    if any(own.ip == address for own in nic.addresses):
        return AddressAnswer(address=text, nic=nic.name)  # Our own: the NICs tell.
    try:
        owner = await network.in_use(nic, address, _PROBE_S)
    except DriverError as error:
        return AddressAnswer(address=text, nic=nic.name, error=error.detail[: limits.LONGEST_TEXT])
    return AddressAnswer(address=text, nic=nic.name, owner=owner or "")


# Disks --------------------------------------------------------------------------------------------------------------


def _disks(root: Path = Path("/sys/class/block")) -> Iterator[DiskInfo]:
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(root)):
            disk = _disk(root / name)
            if disk is not None and (disk.size_bytes or disk.kind != "loop"):
                yield disk


def _disk(place: Path) -> DiskInfo | None:
    """From the files of /sys; None where they go away meanwhile."""
    try:
        real = place.resolve(strict=True)
        sectors = int(_line(real / "size"))
        number = int(_line(real / "partition") or 0)
    except (OSError, ValueError):
        return None
    disk = real.parent if number else real
    return DiskInfo(
        path=f"/dev/{real.name.replace('!', '/')}",
        kind="part" if number else _kind(real),
        size_bytes=sectors * _SECTOR,
        bus=_bus(disk),
        parent=f"/dev/{disk.name.replace('!', '/')}" if number else "",
        number=number,
        read_only=_line(real / "ro") == "1",
        held_by=tuple(f"/dev/{name}" for name in _names(real / "holders")[:16]),
    )


def _kind(real: Path) -> str:
    name = real.name
    if name.startswith("dm-"):
        return "crypt" if _line(real / "dm" / "uuid").startswith("CRYPT-") else "lvm"
    if name.startswith("md"):
        return "raid"
    return "loop" if name.startswith("loop") else "disk"


def _bus(disk: Path) -> str:
    for start, bus in (("nvme", "nvme"), ("vd", "virtio"), ("xvd", "xen"), ("mmcblk", "mmc"), ("hd", "ide")):
        if disk.name.startswith(start):
            return bus
    return "scsi" if disk.name.startswith("sd") else ""


def _device(path: str, disks: dict[str, DiskInfo]) -> DeviceAnswer:
    """By its number, so that links and names of volumes lead to the same."""
    asked = path[: limits.LONGEST_TEXT]
    try:
        found = os.stat(path)
    except OSError as error:
        return DeviceAnswer(path=asked, error=(error.strerror or str(error)).lower())
    except ValueError:
        return DeviceAnswer(path=asked, error="it is no path")
    if not stat.S_ISBLK(found.st_mode):
        return DeviceAnswer(path=asked, error="it is no block device")
    name = _name_of(found.st_rdev)
    disk = disks.get(f"/dev/{name}") or _disk(Path("/sys/class/block") / name.replace("/", "!"))
    return DeviceAnswer(path=asked, disk=disk, error="" if disk else "the kernel does not know it")


def _name_of(device: int) -> str:
    link = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    with contextlib.suppress(OSError):
        return link.resolve(strict=True).name.replace("!", "/")
    return f"{os.major(device)}:{os.minor(device)}"


def _kernel_name(path: str) -> str:
    return re.sub(r"[0-9p]+$", "", path.removeprefix("/dev/"))


# Mounts -------------------------------------------------------------------------------------------------------------


def _mounts(source: Path = Path("/proc/self/mountinfo")) -> Iterator[MountInfo]:
    """Only what a device or a server is behind; the kernel's own file systems are not of interest."""
    for line in _lines(source):
        left, _, right = line.partition(" - ")
        before, after = left.split(" "), right.split(" ")
        if len(before) < 5 or len(after) < 2:
            continue
        device = _plain(after[1])
        if device.startswith(("/dev/", "//")) or ":" in device:
            yield MountInfo(device=_canonical(device), point=_plain(before[4]), type=after[0])


def _fstab(source: Path) -> Iterator[MountInfo]:
    for line in _lines(source):
        fields = line.split()
        if len(fields) >= 3 and not fields[0].startswith("#") and fields[2] not in ("swap", "proc", "tmpfs", "sysfs"):
            yield MountInfo(device=_canonical(_named(_plain(fields[0]))), point=_plain(fields[1]), type=fields[2])


def _named(spec: str) -> str:
    """LABEL=, UUID= and the like as the path of the link that udev keeps for them."""
    tag, equals, value = spec.partition("=")
    folder = {"LABEL": "by-label", "UUID": "by-uuid", "PARTLABEL": "by-partlabel", "PARTUUID": "by-partuuid"}.get(tag)
    return f"/dev/disk/{folder}/{value.strip(chr(34))}" if equals and folder else spec


def _canonical(device: str) -> str:
    """The kernel's name, so that it can be compared."""
    if not device.startswith("/dev/"):
        return device[: limits.LONGEST_TEXT]
    try:
        found = os.stat(device)
    except (OSError, ValueError):
        return device[: limits.LONGEST_TEXT]
    return f"/dev/{_name_of(found.st_rdev)}" if stat.S_ISBLK(found.st_mode) else device


def _plain(text: str) -> str:
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), text)[: limits.LONGEST_TEXT]


# Ports --------------------------------------------------------------------------------------------------------------


def _ports() -> Iterator[PortInfo]:
    sockets = list(_sockets())
    owners = _owners({inode for *_, inode in sockets})
    seen = set()
    for protocol, port, address, inode in sockets:
        process, own = owners.get(inode, ("", False))
        info = PortInfo(protocol=protocol, port=port, address=address, process=process, own=own)
        if info not in seen:
            seen.add(info)
            yield info


def _sockets() -> Iterator[tuple[str, int, str, int]]:
    """(protocol, port, address, inode)."""
    for name, state in (("tcp", _LISTEN), ("tcp6", _LISTEN), ("udp", _UNCONNECTED), ("udp6", _UNCONNECTED)):
        for line in list(_lines(Path(f"/proc/net/{name}")))[1:]:
            fields = line.split()
            if len(fields) > 9 and fields[3] == state:
                host, _, port = fields[1].rpartition(":")
                yield name.rstrip("6"), int(port, 16), _address(host), int(fields[9])


def _address(host: str) -> str:
    """As /proc writes it: words of four bytes in the order of this machine. "" for all addresses."""
    words = [int(host[at : at + 8], 16) for at in range(0, len(host), 8)]
    packed = b"".join(struct.pack("=I", word) for word in words)
    return "" if not any(packed) else str(ip_address(packed))


def _owners(inodes: set[int]) -> dict[int, tuple[str, bool]]:
    """Inode of a socket -> (name of its process, is it one of ours?)."""
    found: dict[int, tuple[str, bool]] = {}
    left = _MOST_DESCRIPTORS
    ours = {os.getpid(), os.getppid()}
    for pid in _pids():
        if left <= 0 or len(found) == len(inodes):
            break
        folder = Path(f"/proc/{pid}/fd")
        numbers = _names(folder)
        left -= len(numbers)
        for number in numbers:
            with contextlib.suppress(OSError, ValueError):
                target = os.readlink(folder / number)
                inode = int(target[8:-1]) if target.startswith("socket:[") else -1
                if inode in inodes:
                    found.setdefault(inode, (_line(Path(f"/proc/{pid}/comm")), bool(ours & {pid, _parent(pid)})))
    return found


def _pids() -> list[int]:
    return [int(name) for name in _names(Path("/proc")) if name.isdecimal()][:_MOST_PROCESSES]


def _parent(pid: int) -> int:
    text = _line(Path(f"/proc/{pid}/stat"))
    fields = text[text.rfind(")") + 2 :].split()
    return int(fields[1]) if len(fields) > 1 else 0


# Watchdog and clock -------------------------------------------------------------------------------------------------


def _watchdog_users() -> Iterator[str]:
    for pid in _pids():
        name = _line(Path(f"/proc/{pid}/comm"))
        # The kernel's own threads, which have no command line, carry such names as well.
        if name in _WATCHDOG_USERS and _line(Path(f"/proc/{pid}/cmdline")):
            yield name
    for number in _names(Path("/proc/1/fd")):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/1/fd/{number}").startswith("/dev/watchdog"):
                yield _line(Path("/proc/1/comm"))
                return


def _synchronised() -> bool | None:
    """What the time service has told the kernel."""
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)
    try:
        adjtimex: Callable[[object], int] = ctypes.CDLL(None, use_errno=True).adjtimex
        state = adjtimex(timex)
    except (OSError, AttributeError):
        return None
    if state < 0:
        return None
    status = int(struct.unpack_from("=i", timex, _STATUS_AT)[0])
    return state != _TIME_ERROR and not status & _STA_UNSYNC


# Files of the kernel ------------------------------------------------------------------------------------------------


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open("r", encoding="utf-8", errors="replace") as file:
            yield from file.read(_FILE_BYTES).splitlines()
    except OSError:
        return


def _line(path: Path) -> str:
    return next(_lines(path), "").strip()


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
