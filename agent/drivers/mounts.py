"""File systems that are mounted here, and who uses them. Read from /proc: nothing is asked of a disk that may hang."""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import signal
from collections.abc import Iterator, Sequence

from agent.drivers import procfs
from agent.ports import DriverError, Mounted

_OCTAL = re.compile(r"\\([0-7]{3})")
_MNT_DETACH = 2
_KILLED_S = 3.0  # from SIGKILL until we give up
_STEP_S = 0.05
_FILE_BYTES = 4 << 20
_libc = ctypes.CDLL(None, use_errno=True)


class LocalMounts:
    """Implements `ports.Mounts`."""

    async def at(self, point: str) -> Mounted | None:
        found = [mounted for _, mounted in _mounts() if mounted.point == point.rstrip("/")]
        return found[-1] if found else None

    async def of(self, device: str) -> Sequence[Mounted]:
        number = _number(device)
        return [mounted for at, mounted in _mounts() if at == number or mounted.source == device]

    async def users(self, point: str) -> Sequence[tuple[int, str]]:
        found = await asyncio.to_thread(_users, point)
        return [(process.pid, _name(process.pid)) for process in found]

    async def end_users(self, point: str, grace_s: float) -> None:
        loop = asyncio.get_running_loop()
        told: set[int] = set()
        began, number = loop.time(), signal.SIGTERM
        while users := await asyncio.to_thread(_users, point):
            if loop.time() - began > grace_s + _KILLED_S:
                return
            if loop.time() - began > grace_s:
                number = signal.SIGKILL
            new = [user for user in users if number == signal.SIGKILL or user.pid not in told]
            procfs.send(new, number)
            told.update(user.pid for user in new)
            await asyncio.sleep(_STEP_S)

    async def detach(self, point: str) -> None:
        done = await asyncio.to_thread(_libc.umount2, os.fsencode(point), _MNT_DETACH)
        if done != 0 and await self.at(point) is not None:
            raise DriverError(f"{point} cannot be detached: {os.strerror(ctypes.get_errno())}")


def _mounts() -> Iterator[tuple[str, Mounted]]:
    """With the number of the device."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file.read(_FILE_BYTES).splitlines():
            fields, _, rest = line.partition(" - ")
            words, kind = fields.split(), rest.split()
            if len(words) > 4 and len(kind) > 1:
                yield words[2], Mounted(_plain(kind[1]), _plain(words[4]), kind[0])


def _plain(text: str) -> str:
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), text)


def _number(device: str) -> str:
    try:
        found = os.stat(device).st_rdev
    except OSError:
        return ""
    return f"{os.major(found)}:{os.minor(found)}"


def _users(point: str) -> list[procfs.Process]:
    """Processes with a file, a directory or a program of that file system open, but ourselves."""
    point = os.path.normpath(point)
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid() and any(_below(path, point) for path in _paths(name)):
            process = procfs.find(int(name))
            if process is not None and not process.ended:
                found.append(process)
    return found


def _below(path: str, point: str) -> bool:
    return path == point or path.startswith(f"{point}/")


def _paths(pid: str) -> Iterator[str]:
    for link in ("cwd", "root", "exe"):
        yield _target(f"/proc/{pid}/{link}")
    try:
        for number in os.listdir(f"/proc/{pid}/fd"):
            yield _target(f"/proc/{pid}/fd/{number}")
        with open(f"/proc/{pid}/maps", encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                if "/" in line:
                    yield line[line.index("/") :].rstrip("\n")
    except OSError:
        return  # It has ended meanwhile.


def _target(link: str) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""


def _name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read(64).strip()
    except OSError:
        return "?"
