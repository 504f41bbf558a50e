"""Logs of this server for clplogcc (op "logs" of the control socket): packed beside the daemon, fetched in parts.

`clock` says what time it is here. `pack` begins, `state` says how far it is, `get` brings parts of 256 KiB, `discard`
ends it. Every step is short and may be repeated, so they go over the peer links as other questions do.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec

from agent.daemon.tasks import give_up

PART_BYTES = 256 << 10
AT_ONCE = 4
PACK_S = 300.0
KEEP_S = 1800.0  # for whoever never says discard
_WORK = (sys.executable, "-m", "agent.daemon.collection_work")
_SAID_BYTES = 4096

Line = dict[str, Any]


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    step: Literal["clock", "pack", "state", "get", "discard"]
    id: str = ""
    kind: Literal["type1", "type2", "type3"] = "type1"
    most_bytes: int = 256 << 20
    offset: int = 0


class _Pack(msgspec.Struct):
    path: Path
    began: float
    percent: int = 0
    error: str = ""
    done: bool = False
    process: Process | None = None
    task: asyncio.Task[None] | None = None


class Collections:
    def __init__(self, directory: Path, me: str, now: Callable[[], float]) -> None:
        self._directory = directory
        self._me = me
        self._now = now
        self._packs: dict[str, _Pack] = {}

    async def answer(self, fields: dict[str, Any] | None) -> Line:
        try:
            step = msgspec.convert(fields or {}, Step)
        except msgspec.ValidationError as error:
            return _error(f"This is no step of a log collection: {error}.")
        if step.step == "clock":
            return {"ok": True, "logs": {"at": self._now()}}
        if not (step.id.isalnum() and len(step.id) <= 64):
            return _error("A log collection is named by letters and digits, at most 64.")
        if step.step == "pack":
            return self._begin(step)
        pack = self._packs.get(step.id)
        if pack is None:
            return _error(f"{self._me} knows no such log collection (any more). Begin again.")
        if step.step == "discard":
            await self._end(step.id)
            return {"ok": True, "logs": {}}
        if step.step == "state":
            return self._state(pack)
        return await asyncio.to_thread(_part, pack.path, step.offset)

    async def close(self) -> None:
        for name in tuple(self._packs):
            await self._end(name)

    def _begin(self, step: Step) -> Line:
        if step.id in self._packs:
            return self._state(self._packs[step.id])
        for name, old in tuple(self._packs.items()):
            if time.monotonic() - old.began > KEEP_S:
                old.path.unlink(missing_ok=True)
                del self._packs[name]
        if len(self._packs) >= AT_ONCE:
            return _error(f"{self._me} collects logs {AT_ONCE} times already. Wait until one is done.")
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._packs:
            for left in self._directory.iterdir():  # of a daemon that was killed
                left.unlink(missing_ok=True)
        pack = self._packs[step.id] = _Pack(self._directory / f"{step.id}.tar.gz", time.monotonic())
        pack.task = asyncio.get_running_loop().create_task(self._work(pack, step))
        return self._state(pack)

    def _state(self, pack: _Pack) -> Line:
        if pack.error:
            return _error(pack.error)
        size = pack.path.stat().st_size if pack.done else 0
        return {"ok": True, "logs": {"percent": 100 if pack.done else pack.percent, "done": pack.done, "size": size}}

    async def _work(self, pack: _Pack, step: Step) -> None:
        command = (*_WORK, step.kind, str(max(1 << 20, step.most_bytes)), str(pack.path))
        try:
            async with asyncio.timeout(PACK_S):
                pack.process = process = await asyncio.create_subprocess_exec(
                    *command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, start_new_session=True
                )
                assert process.stdout is not None
                assert process.stderr is not None
                async for line in process.stdout:
                    pack.percent = int(line)
                said = (await process.stderr.read(_SAID_BYTES)).decode("utf-8", "replace").strip()
                code = await process.wait()
                pack.done = code == 0 and pack.path.exists()
                if not pack.done:
                    pack.error = f"{self._me} could not collect its logs: {said or f'code {code}'}."
        except TimeoutError:
            pack.error = f"{self._me} could not collect its logs within {PACK_S:g} s."
        except OSError as error:
            pack.error = f"{self._me} could not collect its logs: {error.strerror}."
        finally:
            await _stop(pack.process)

    async def _end(self, name: str) -> None:
        pack = self._packs.pop(name)
        if pack.task is not None:
            await give_up((pack.task,))
        for path in (pack.path, pack.path.with_suffix(".part")):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


async def _stop(process: Process | None) -> None:
    if process is not None and process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        await process.wait()


def _part(path: Path, offset: int) -> Line:
    try:
        with path.open("rb") as file:
            data = os.pread(file.fileno(), PART_BYTES, max(0, offset))
    except OSError as error:
        return _error(f"The collected logs cannot be read: {error.strerror}.")
    return {"ok": True, "logs": {"offset": offset, "data": base64.b64encode(data).decode("ascii")}}


def _error(text: str) -> Line:
    return {"ok": False, "error": text}
