"""What the daemons of two servers ask each other about a mirror disk, over the peer links (op "mirror").

Rules of this file
- outdate: the other side, which is active, cannot reach this one and wants to go on alone. It may when this side has
  written down that it is outdated; also when its mirror process certainly does not run, since a process that begins
  knows nothing and activates nothing without having met the other side. A process that does not answer is killed: from
  then on it runs no instruction of its own, even while the kernel still waits for its disk.
- gone: has this server, which is outside of the view, certainly stopped what it ran? Only the coordinator knows.
- number: the coordinator gives a number for an activation by hand, as it numbers its orders.
- hold, release, restored, given_up: of a backup or a restore on the other side (mirror_backup.py).
- Every question is answered in the view in which it was asked, or not at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Any, Protocol

from agent.daemon.mirror import Mirror, activation_epoch
from agent.wire.epoch import NO_EPOCH, Epoch

if TYPE_CHECKING:
    from agent.daemon.mirrors import Mirrors

_TOLD_S = 3.0  # for a mirror process to write that it is outdated
_LIMIT_S = 8.0
_END_S = 0.5
_OF_BACKUPS = ("hold", "release", "restored", "given_up")

Line = dict[str, Any]
Forward = Callable[[str, Line, float], AsyncGenerator[Line, None]]


class ClusterView(Protocol):
    """What is asked of the engine."""

    @property
    def epoch(self) -> Epoch: ...
    @property
    def members(self) -> tuple[str, ...]: ...
    @property
    def coordinator(self) -> str: ...
    def gone(self, server: str) -> bool: ...
    def next_serial(self) -> int: ...


class Questions:
    def __init__(self, me: str, mirrors: Mirrors, view: ClusterView, forward: Forward) -> None:
        self._me = me
        self._mirrors = mirrors
        self._view = view
        self._forward = forward

    # ---- asking ----
    async def _ask(self, whom: str, what: str, **fields: Any) -> Line:
        """{} when nothing came of it; whoever asks repeats it."""
        question = {"what": what, "view": list(self._view.epoch), **fields}
        async for line in self._forward(whom, {"op": "mirror", "mirror": question}, 0.0):
            return line if line.get("ok") else {}
        return {}

    async def ask(self, whom: str, what: str, **fields: Any) -> Line:
        """The answer, or {"error"}."""
        question = {"what": what, "view": list(self._view.epoch), **fields}
        async for line in self._forward(whom, {"op": "mirror", "mirror": question}, 0.0):
            return line
        return {"error": f"The agent of {whom} gave no answer."}

    async def outdate(self, mirror: Mirror, generation: str, epoch: list[int]) -> bool:
        """Has the other side written down that it is outdated?"""
        line = await self._ask(mirror.peer, "outdate", name=mirror.name, generation=generation, epoch=epoch)
        return line.get("told") == generation

    async def gone(self, server: str) -> bool:
        view = self._view
        if view.epoch == NO_EPOCH or server in view.members:
            return False
        if view.coordinator == self._me:
            return view.gone(server)
        epoch = view.epoch
        line = await self._ask(view.coordinator, "gone", server=server)
        return bool(line.get("gone")) and view.epoch == epoch

    async def number(self) -> Epoch:
        """OSError: nobody gives one now."""
        view = self._view
        if view.epoch != NO_EPOCH and view.coordinator == self._me:
            return activation_epoch(view.epoch, view.next_serial())
        line = await self._ask(view.coordinator, "number") if view.epoch != NO_EPOCH else {}
        if "serial" not in line:
            raise OSError("The coordinator of the cluster gives no number for this activation now; try again.")
        return activation_epoch(Epoch(*line["view"]), int(line["serial"]))

    # ---- answering ----
    async def answer(self, question: Line | None, by: str) -> Line:
        """`by`: "agent@SERVER" for another daemon of this cluster."""
        asker = by.removeprefix("agent@") if by.startswith("agent@") else ""
        view, question = self._view, question or {}
        if asker not in view.members or list(view.epoch) != question.get("view") or view.epoch == NO_EPOCH:
            return {"ok": False, "error": f"{self._me} is in another view."}
        if question.get("what") == "outdate":
            return await self._outdate(asker, question)
        if question.get("what") in _OF_BACKUPS:
            return await self._backup(asker, question)
        if view.coordinator != self._me:
            return {"ok": False, "error": f"{self._me} does not coordinate."}
        if question.get("what") == "gone":
            server = str(question.get("server", ""))
            return {"ok": True, "gone": server not in view.members and view.gone(server)}
        return {"ok": True, "view": list(view.epoch), "serial": view.next_serial()}

    async def _backup(self, asker: str, question: Line) -> Line:
        mirror = self._mirrors.by_name.get(str(question.get("name", "")))
        if mirror is None or mirror.peer != asker:
            return {"ok": False, "error": f"{self._me} has no such side of a mirror with {asker}."}
        return await self._mirrors.backups.asked(mirror, question)

    async def _outdate(self, asker: str, question: Line) -> Line:
        mirror = self._mirrors.by_name.get(str(question.get("name", "")))
        generation, epoch = str(question.get("generation", "")), question.get("epoch")
        if mirror is None or mirror.peer != asker or not generation or not isinstance(epoch, list):
            return {"ok": False, "error": f"{self._me} has no such side of a mirror with {asker}."}
        if mirror.standing.held is not None:
            return {"ok": False, "error": f"{mirror.name} is active on {self._me}."}
        if await self._told(mirror, generation, epoch):
            return {"ok": True, "told": generation}
        return {"ok": False, "error": f"The mirror process of {mirror.name} on {self._me} gave no answer."}

    async def _told(self, mirror: Mirror, generation: str, epoch: list[int]) -> bool:
        if mirror.client.is_connected:
            told = self._mirrors.expect(mirror.name, generation)
            mirror.client.send({"op": "outdate", "generation": generation, "epoch": epoch})
            try:
                async with asyncio.timeout(_TOLD_S):
                    return await told.wait()
            except TimeoutError:
                pass
            finally:
                self._mirrors.forget(mirror.name, generation)
        return await mirror.silence(_END_S)
