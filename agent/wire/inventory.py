"""What a server has, as far as a configuration depends on it: pure data, asked for by the Builder and clpcfctrl.

`LiveCheck` says what is to be looked at beside the usual; `Inventory` is the answer, bounded in every list.
"""

from __future__ import annotations

import msgspec

MOST_NICS = 256
MOST_ADDRESSES = 1024
MOST_DISKS = 1024
MOST_MOUNTS = 2048
MOST_PORTS = 2048
MOST_CHECKS = 512  # addresses and devices of one LiveCheck, each
LONGEST_TEXT = 255


class _Frozen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    pass


class LiveCheck(_Frozen, frozen=True, kw_only=True):
    """Questions that cost something, so that they are asked one by one."""

    addresses: tuple[str, ...] = ()  # does anybody on the LAN have it?
    devices: tuple[str, ...] = ()  # paths, links and volumes included


class NicInfo(_Frozen, frozen=True, kw_only=True):
    name: str
    up: bool = False  # switched on, and with a carrier
    mac: str = ""
    addresses: tuple[str, ...] = ()  # "192.0.2.11/24"; floating addresses have /32 or /128


class DiskInfo(_Frozen, frozen=True, kw_only=True):
    """A block device: a disk, a partition, a volume."""

    path: str  # as the kernel names it
    kind: str = "disk"  # disk, part, lvm, raid, crypt, loop, other
    size_bytes: int = 0
    bus: str = ""  # scsi, ide, nvme, virtio, xen, mmc; "" where there is none
    parent: str = ""  # of a partition: its disk
    number: int = 0  # of a partition
    read_only: bool = False
    held_by: tuple[str, ...] = ()  # volumes, RAIDs and the like that are built on it


class DeviceAnswer(_Frozen, frozen=True, kw_only=True):
    """What stands behind a path that was asked for."""

    path: str  # as it was asked
    disk: DiskInfo | None = None
    error: str = ""  # why there is none


class AddressAnswer(_Frozen, frozen=True, kw_only=True):
    """Who has an address that was asked for."""

    address: str
    nic: str = ""  # of this server through which was asked; "": none is in its network
    owner: str = ""  # MAC of somebody who is no server of this cluster, "" when nobody answered
    error: str = ""  # why it could not be asked


class MountInfo(_Frozen, frozen=True, kw_only=True):
    device: str  # as the kernel names it where it is a block device, else as it is mounted
    point: str
    type: str = ""


class PortInfo(_Frozen, frozen=True, kw_only=True):
    protocol: str  # tcp, udp
    port: int
    address: str = ""  # "" on all
    process: str = ""  # name, where it could be found
    own: bool = False  # of this product


class ClockInfo(_Frozen, frozen=True, kw_only=True):
    began_s: float = 0.0  # seconds since 1970 by this server's clock, when it was asked
    at_s: float = 0.0  # and when it answered
    synchronised: bool | None = None  # as the kernel was told by its time service; None: unknown
    offset_ms: float | None = None  # against the server that asked; filled in by it
    uncertain_ms: float = 0.0  # of that: half of the way there and back


class Inventory(_Frozen, frozen=True, kw_only=True):
    server: str
    nics: tuple[NicInfo, ...] = ()
    disks: tuple[DiskInfo, ...] = ()
    mounts: tuple[MountInfo, ...] = ()
    fstab: tuple[MountInfo, ...] = ()  # what the operating system mounts at boot, or on demand
    ports: tuple[PortInfo, ...] = ()  # somebody listens there
    clock: ClockInfo = ClockInfo()
    watchdog_users: tuple[str, ...] = ()  # programs of the operating system that keep a watchdog
    devices: tuple[DeviceAnswer, ...] = ()
    addresses: tuple[AddressAnswer, ...] = ()
    cut: tuple[str, ...] = ()  # lists that were longer than their limit

    def device(self, path: str) -> DeviceAnswer | None:
        return next((one for one in self.devices if one.path == path), None)

    def address(self, text: str) -> AddressAnswer | None:
        return next((one for one in self.addresses if one.address == text), None)

    def heard(self, sent_s: float, received_s: float) -> Inventory:
        """With the offset of its clock against ours, whose times of asking and of the answer these are."""
        began_s, at_s = self.clock.began_s, self.clock.at_s
        offset_s = ((began_s - sent_s) + (at_s - received_s)) / 2
        way_s = max(0.0, (received_s - sent_s) - (at_s - began_s))
        clock = msgspec.structs.replace(
            self.clock, offset_ms=round(offset_s * 1000, 1), uncertain_ms=round(way_s * 500, 1)
        )
        return msgspec.structs.replace(self, clock=clock)
