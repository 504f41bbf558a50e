"""How a resource checks, mounts and unmounts its file system (parameters: filesystems.py).

Rules of this file
- A file system is checked before it is mounted as the configuration says, and again when mounting fails. ext's e2fsck
  says by 1 that it has mended something, which is good.
- Who uses the file system when it is unmounted is ended, if the configuration says so; then it is tried again.
- A device that has begun to fail (`broken`) is not waited for: the file system is detached and goes when it can.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable

from agent.clpconf.schema import Values
from agent.ports import DriverError, Exit, Ports, Run

_ALWAYS, _EVERY_NTH = "1", "2"
_CHECKERS = {"xfs": "xfs_repair", "btrfs": ""}  # others: fsck.KIND; "": it checks itself
_MENDED = (0, 1)
_MAKE_S = 3600.0
_GRACE_S = 5.0  # from SIGTERM to SIGKILL of who uses it
_LOOK_S = 0.5
_PATIENCE = 6  # looks at a broken device, before its file system is detached
_SHOWN = 200


def point_of(values: Values) -> str:
    """ "" without a file system."""
    return "" if values.get("parameters/fs") == "none" else str(values["parameters/mount/point"] or "")


async def make(values: Values, ports: Ports, device: str) -> None:
    """A new file system; what the device held is gone."""
    kind = str(values["parameters/fs"])
    force = "-f" if kind in ("xfs", "btrfs", "reiserfs", "jfs") else "-F"
    words = (f"mkfs.{kind}", "-q", force) if kind != "btrfs" else ("mkfs.btrfs", "-q", "-f")
    done = await _run(ports, "mkfs", (*words, device), _MAKE_S)
    if done.code != 0:
        raise DriverError(f"a file system {kind} cannot be made on {device}{_said(done)}")
    ports.note(f"a file system {kind} was made on {device}")


async def mount(values: Values, ports: Ports, device: str) -> None:
    """Nothing to do when it is mounted there already."""
    point = point_of(values)
    if not point:
        return
    there = await ports.mounts.at(point)
    if there is not None:
        if any(mounted.point == there.point for mounted in await ports.mounts.of(device)):
            return
        raise DriverError(f"{there.source} is mounted at {point} already; unmount it, or correct the mount point")
    try:
        os.makedirs(point, exist_ok=True)
    except OSError as error:
        raise DriverError(f"the mount point {point} cannot be made: {error.strerror}") from error
    if _is_due(values, ports):
        await check(values, ports, device)
    failure = ""
    for attempt in range(1 + _integer(values, "parameters/mount/retry")):
        if attempt == 1 and _mends(values):
            await check(values, ports, device)
        failure = await _mounted(values, ports, device, point)
        if not failure:
            return
    raise DriverError(f"{device} cannot be mounted at {point}: {failure}")


async def _mounted(values: Values, ports: Ports, device: str, point: str) -> str:
    """Why not."""
    words = ("mount", "-t", str(values["parameters/fs"]), "-o", str(values["parameters/mount/option"]), device, point)
    done = await _run(ports, "mount", words, _seconds(values, "parameters/mount/timeout"))
    if done.code == 0 or await ports.mounts.at(point) is not None:
        return ""
    return f"mount {_ending(done)}{_said(done)}"


def _mends(values: Values) -> bool:
    """When mounting has failed."""
    return bool(values["parameters/mount/xfsaction" if values["parameters/fs"] == "xfs" else "parameters/mount/action"])


def _is_due(values: Values, ports: Ports) -> bool:
    timing = values["parameters/fsck/timing"]
    if timing != _EVERY_NTH or values["parameters/fs"] == "xfs":
        return timing == _ALWAYS and values["parameters/fs"] != "xfs"
    count = int(ports.recall("mounts") or 0) + 1
    ports.remember("mounts", str(count))
    return count % _integer(values, "parameters/fsck/interval") == 0


async def check(values: Values, ports: Ports, device: str) -> None:
    """DriverError: it is damaged beyond what may be mended by itself."""
    kind = str(values["parameters/fs"])
    xfs = kind == "xfs"
    program = _CHECKERS.get(kind, f"fsck.{kind}")
    if not program:
        return
    options = str(values["parameters/fsck/xfsoption" if xfs else "parameters/fsck/option"] or "").split()
    limit_s = _seconds(values, "parameters/fsck/xfstimeout" if xfs else "parameters/fsck/timeout")
    done = await _run(ports, "fsck", (program, *options, device), limit_s)
    if done.code not in _MENDED:
        raise DriverError(f"{program} of {device} {_ending(done)}{_said(done)}; check it by hand")


async def unmount(values: Values, ports: Ports, broken: Callable[[], Awaitable[bool]]) -> None:
    """`broken`: its device fails or waits for ever; asked from time to time."""
    point = point_of(values)
    failure = ""
    for attempt in range(1 + _integer(values, "parameters/umount/retry")):
        if not point or await ports.mounts.at(point) is None:
            return
        if attempt:
            await asyncio.sleep(_seconds(values, "parameters/umount/interval") if failure else 0)
        if values["parameters/umount/action"] == "kill":
            await ports.mounts.end_users(point, _GRACE_S)
        failure = await _unmounted(values, ports, point, broken)
        if not failure:
            return
    users = ", ".join(f"{name} ({pid})" for pid, name in (await ports.mounts.users(point))[:5])
    raise DriverError(f"{point} cannot be unmounted: {failure}{f'; used by {users}' if users else ''}")


async def _unmounted(values: Values, ports: Ports, point: str, broken: Callable[[], Awaitable[bool]]) -> str:
    """Why not."""
    limit_s = _seconds(values, "parameters/umount/timeout")
    running = asyncio.ensure_future(_run(ports, "umount", ("umount", point), limit_s))
    try:
        patience = _PATIENCE
        while not running.done() and patience:
            await asyncio.wait((running,), timeout=_LOOK_S)
            if not running.done() and await broken():
                patience -= 1
        if not running.done():
            ports.note(f"the device of {point} does not answer: the file system is detached and goes when it can")
            await ports.mounts.detach(point)
    finally:
        if not running.done():
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError, DriverError):
                await running
    if await ports.mounts.at(point) is None:
        return ""
    done = running.result() if not running.cancelled() else None
    return f"umount {_ending(done)}{_said(done)}" if done is not None else "umount was given up"


async def _run(ports: Ports, step: str, argv: tuple[str, ...], timeout_s: float) -> Exit:
    key = f"{ports.place.name}.{step}"
    return await ports.processes.run(Run(key=key, argv=argv, environment={}, directory="/", timeout_s=timeout_s))


def _ending(done: Exit) -> str:
    return f"ended with code {done.code}" if done.code is not None else f"did not end within {done.seconds:.0f} s"


def _said(done: Exit) -> str:
    lines = [line.strip() for line in done.tail.splitlines() if line.strip()]
    if len(lines) > 1 and lines[-1].startswith("dmesg(1) may"):
        # mount says the reason before it; who asks the kernel finds more.
        return f"; it said: {lines[-2][:_SHOWN]} See also what the kernel says (dmesg)."
    return f"; it said: {lines[-1][:_SHOWN]}" if lines else ""


def _seconds(values: Values, path: str) -> float:
    found = values[path]
    assert isinstance(found, int | float)
    return float(found)


def _integer(values: Values, path: str) -> int:
    return int(_seconds(values, path))
