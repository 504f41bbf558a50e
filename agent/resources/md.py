"""md: a mirror disk: every write goes to the disks of both servers before it is acknowledged."""

from __future__ import annotations

from agent.clpconf.schema import (
    BOOLEAN,
    DEVICE,
    PATH,
    TEXT,
    Param,
    TypeSpec,
    Values,
    choice,
    integer,
    numbered,
    seconds,
)
from agent.ports import Ports
from agent.resources import ResourceType
from agent.resources.filesystems import FILE_SYSTEMS, checking, mount_point, mounting, unmounting
from agent.resources.mounting import make, mount, point_of, unmount

_SOURCE = "clp-conf-format 7"
_FIRST, _DRIVER, _WINDOWS = "Initial construction", "Mirror driver", "Windows only"
_DRIVER_PATH = "parameters/mddriver"
_LINUX = (("parameters/volumemountpoint", ("",)),)
_MOUNTED = (("parameters/fs", FILE_SYSTEMS), *_LINUX)
_ASYNCHRONOUS = ((f"{_DRIVER_PATH}/syncmode", ("0",)),)
_TIME = seconds(1, 9999)
_PORT = integer(1024, 65535)
_STALLED_LOOKS = 4  # of half a second, for a word that lets them go on, or for a new process

_DISK = (
    Param("parameters/nmppath", "Mirror partition device", DEVICE, required=True, only_when=_LINUX,
          help="The device that the cluster makes; applications use it: /dev/NMP1.", source=_SOURCE),
    Param("parameters/diskdev/dppath", "Data partition", PATH, required=True, only_when=_LINUX,
          help="The same on both servers, 1 GB or more and a multiple of 4096 bytes; not on md or striped LVM. "
               "For a trial a file will do.",
          source="clp-conf-format 7; X 1.0 guide 5"),
    Param("parameters/diskdev/cppath", "Cluster partition", PATH, required=True, only_when=_LINUX,
          help="Of 10 MB or more, before the data partition on the disk.", source="clp-conf-format 7; X 1.0 guide 5"),
    Param("parameters/fs", "File system", choice(*FILE_SYSTEMS, ("none", "None")), default="ext3", source=_SOURCE),
    mount_point(required=True, only_when=_MOUNTED),
)  # fmt: skip
_CONNECTS = (
    Param("parameters/netdev@*/device", "Mirror disk connect", integer(400, 499), required=True, refers="device:mdc",
          section="Mirror disk connects", help="The device of each server that carries the writes.", source=_SOURCE),
    Param("parameters/netdev@*/priority", "Priority", integer(0, 99), default=0, section="Mirror disk connects",
          help="The lowest number is used first.", source=_SOURCE),
    Param("parameters/netdev@*/mdcname", "Name", TEXT, default="", section="Mirror disk connects", source=_SOURCE),
)  # fmt: skip
_CONSTRUCTION = (
    Param("parameters/fullcopy", "Copy everything at first", BOOLEAN, default=True, section=_FIRST,
          applies="noted", source=_SOURCE),
    Param("parameters/mkfs", "Make the file system at first", BOOLEAN, default=False, section=_FIRST,
          applies="noted", source=_SOURCE),
)  # fmt: skip
_PORTS = (
    Param(f"{_DRIVER_PATH}/port", "Port of the data", _PORT, default=29051, section=_DRIVER,
          help="Each mirror has its own, from 29051 on.", source="X 1.0 guide 5; commands: ports"),
    Param(f"{_DRIVER_PATH}/hbport", "Port of the keepalive", _PORT, default=29031, section=_DRIVER, advanced=True,
          help="Each mirror has its own, from 29031 on.", unused=True, source=_SOURCE),
    Param(f"{_DRIVER_PATH}/ack2port", "Port of the acknowledgements", _PORT, default=29071, section=_DRIVER,
          advanced=True, help="Each mirror has its own, from 29071 on.", unused=True, source=_SOURCE),
)  # fmt: skip
_TRANSFER = (
    Param(f"{_DRIVER_PATH}/sync", "Synchronize", BOOLEAN, default=True, section=_DRIVER, advanced=True,
          source=_SOURCE),
    Param(f"{_DRIVER_PATH}/syncmode", "Mode", choice(("1", "Synchronous"), ("0", "Asynchronous")), default="1",
          section=_DRIVER,
          help="Asynchronous: a write is acknowledged when the own disk has it. Who takes over after a crash lacks the "
          "newest ones, and says since when.",
          source=_SOURCE),
    Param(f"{_DRIVER_PATH}/sendqueuesize", "Send queue", integer(1, 65535), default=2048, unit="entries",
          section=_DRIVER, only_when=_ASYNCHRONOUS, advanced=True,
          help="Writes that may wait for the other server, with 64 MiB at most. When more come, the mirror is broken "
          "and copied anew: the applications do not wait.", source=_SOURCE),
    Param(f"{_DRIVER_PATH}/bandlimit/mode", "Limit the bandwidth", BOOLEAN, default=False, section=_DRIVER,
          only_when=_ASYNCHRONOUS, advanced=True, source=_SOURCE),
    Param(f"{_DRIVER_PATH}/bandlimit/limit", "Bandwidth", integer(1, 999_999_999), unit="KB/s", section=_DRIVER,
          only_when=(*_ASYNCHRONOUS, (f"{_DRIVER_PATH}/bandlimit/mode", ("1",))), advanced=True, source=_SOURCE),
    Param(f"{_DRIVER_PATH}/historydir", "Directory for writes that wait", PATH, default="", section=_DRIVER,
          only_when=_ASYNCHRONOUS, advanced=True, unused=True, source=_SOURCE),
    Param(f"{_DRIVER_PATH}/historymax", "Limit of waiting writes", integer(0, 999_999_999), unit="MB", section=_DRIVER,
          only_when=_ASYNCHRONOUS, advanced=True, unused=True, source=_SOURCE),
    Param(f"{_DRIVER_PATH}/compress", "Compression",
          numbered((0, "None"), (1, "Of resynchronization"), (2, "Of writes"), (3, "Of both")), default=0,
          section=_DRIVER, advanced=True, source=_SOURCE),
    Param(f"{_DRIVER_PATH}/crypto/use", "Encrypt", BOOLEAN, default=False, section=_DRIVER, advanced=True,
          source=_SOURCE),
    Param(f"{_DRIVER_PATH}/crypto/keyfile", "Key file", PATH, default="", section=_DRIVER, advanced=True,
          only_when=((f"{_DRIVER_PATH}/crypto/use", ("1",)),), help="The same on both servers.", source=_SOURCE),
)  # fmt: skip
_TIMES = (
    Param(f"{_DRIVER_PATH}/sendtimeout", "Send timeout", _TIME, default=30, unit="s", section=_DRIVER,
          advanced=True, source=_SOURCE),
    Param(f"{_DRIVER_PATH}/connecttimeout", "Connection timeout", _TIME, default=10, unit="s", section=_DRIVER,
          advanced=True, source=_SOURCE),
    Param(f"{_DRIVER_PATH}/acktimeout", "Acknowledgement timeout", _TIME, default=100, unit="s", section=_DRIVER,
          advanced=True, source=_SOURCE),
    Param(f"{_DRIVER_PATH}/recvnormaltimeout", "Receive timeout", _TIME, default=100, unit="s", section=_DRIVER,
          advanced=True, source=_SOURCE),
    Param(f"{_DRIVER_PATH}/hbinterval", "Keepalive interval", _TIME, default=10, unit="s", section=_DRIVER,
          advanced=True, source=_SOURCE),
    Param(f"{_DRIVER_PATH}/pingtimeout", "Ping timeout", _TIME, default=2, unit="s", section=_DRIVER, advanced=True,
          source=_SOURCE),
    Param(f"{_DRIVER_PATH}/pingretry", "Ping retries", integer(0, 99), default=8, section=_DRIVER, advanced=True,
          source=_SOURCE),
)  # fmt: skip
_OF_WINDOWS = tuple(
    Param(f"parameters/{path}", label, TEXT, default="", section=_WINDOWS, advanced=True, source=_SOURCE)
    for path, label in (
        ("volumemountpoint", "Drive of the data"),
        ("cpvolumemountpoint", "Drive of the cluster partition"),
        ("volumeguid", "Identifier of the data volume"),
        ("cpvolumeguid", "Identifier of the cluster volume"),
    )
)

SPEC = TypeSpec(
    "md",
    "Mirror disk resource",
    params=(
        *_DISK, *_CONNECTS, *mounting(120), *unmounting(300), *checking(), *_CONSTRUCTION, *_PORTS, *_TRANSFER, *_TIMES,
        *_OF_WINDOWS,
    ),
    activation_timeout_s=7860,
    deactivation_timeout_s=1380,
    help="A disk of each server, kept the same by the cluster; no shared disk is needed.",
    family="Storage",
)  # fmt: skip


async def activate(values: Values, ports: Ports) -> None:
    """The mirror's own answer first; then its file system. May be repeated: the same activation is answered at once."""
    name = ports.place.name
    device, new = await ports.mirrors.activate(name, full=bool(values["parameters/fullcopy"]))
    if new and values["parameters/mkfs"] and point_of(values):
        ports.remember("mkfs", "due")
    if ports.recall("mkfs") == "due":
        await make(values, ports, device)
        ports.remember("mkfs", "")
    await mount(values, ports, device)


async def deactivate(values: Values, ports: Ports) -> None:
    await unmount(values, ports, _Broken(ports))
    await ports.mirrors.deactivate(ports.place.name)


class _Broken:
    """Writes wait for a word that may never come: this server is cut off, and has to let go all the same. What was
    acknowledged is on both disks by then; what waits never was."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._left = _STALLED_LOOKS
        self._aborted = False

    async def __call__(self) -> bool:
        state = await self._ports.mirrors.state(self._ports.place.name)
        serves = state is not None and state.active and state.mode != "stalled"
        self._left = _STALLED_LOOKS if serves else self._left - 1
        if self._left <= 0 and not self._aborted:
            self._aborted = True
            self._ports.note("writes wait for the other server, which does not answer: they fail now, to let go")
            await self._ports.mirrors.abort(self._ports.place.name)
        return self._aborted


async def active(values: Values, ports: Ports) -> bool:
    state = await ports.mirrors.state(ports.place.name)
    point = point_of(values)
    mounted = bool(point) and await ports.mounts.at(point) is not None
    if state is None or not state.active:
        # Its process is being started anew: the file system waits for it, and is there.
        return mounted
    return mounted or not point


TYPE = ResourceType(SPEC, activate, deactivate, active)
