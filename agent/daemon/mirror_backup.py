"""Backup of the side of a mirror disk that stands by, and restore: ops mirror_backup_..., mirror_restore_....

Rules of this file
- Begin of a backup: the file system is held still on the active side, this side is separated, the file system is let
  go. Both have the same at that moment, so the separated disk has what a clean unmount would have left. Was it not held
  until then, this side joins again and nothing has changed.
- The group goes on meanwhile, alone. At the end this side joins, and only what differs is copied; what somebody wrote
  to the separated disk does not survive (agent/mirrord/separation.py).
- A restore begins only while the disk is active nowhere. The mirror process of this side then lets go of its data
  partition, over restarts too, and the operator writes it. At the end that is the truth: the other side gives its own
  up and gets everything, or has the same, if both were restored from one image. What the other side wrote alone since
  the begin would be lost: that wants force.
- Each step asked again does no harm: what is done already is told to be so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from agent.daemon.mirror_client import ANSWER_S, MirrorGoneError, order
from agent.daemon.mirror_hold import Hold
from agent.daemon.mirror_orders import MirrorRefusedError
from agent.daemon.mirror_snapshot import Made, Snapshot, SnapshotError
from agent.messages import mirrors as md
from agent.mirrord import offline
from agent.mirrord.disk import DiskError
from agent.wire.mirror import MirrorState
from agent.wire.peer import Request

if TYPE_CHECKING:
    from agent.daemon.mirror import Mirror

_PREPARE_S = 120.0  # for the other server to write what its memory holds
_LOOK_S = 0.2

Line = dict[str, Any]
Ask = Callable[..., Any]


class Others(Protocol):
    """How the daemon of the other server is asked (mirror_questions.Questions)."""

    async def ask(self, whom: str, what: str, **fields: Any) -> Line: ...


class Backups:
    """Of this server. `kind` and `point` tell of a mirror its file system ("" none) and where that is mounted now."""

    def __init__(
        self,
        me: str,
        run: Path,
        others: Others,
        kind: Callable[[str], str],
        point: Callable[[str], Any],
        note: Callable[..., None],
    ) -> None:
        self._me, self._run, self._others = me, run, others
        self._kind, self._point, self._note = kind, point, note
        self._holds: dict[str, Hold] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    def _snapshot(self, mirror: Mirror) -> Snapshot:
        return Snapshot(mirror.settings, self._kind(mirror.name))

    async def carry_out(self, mirror: Mirror, request: Request, sides: Mapping[str, Any]) -> str:
        """What was done, in sentences. MirrorRefusedError."""
        steps = {
            "mirror_backup_begin": self._begin_backup, "mirror_backup_end": self._end_backup,
            "mirror_restore_begin": self._begin_restore, "mirror_restore_end": self._end_restore,
        }  # fmt: skip
        async with self._locks.setdefault(mirror.name, asyncio.Lock()):
            try:
                text: str = await steps[request.op](mirror, request, sides)
            except (DiskError, SnapshotError) as error:
                raise MirrorRefusedError(str(error)) from error
            except MirrorGoneError as error:
                raise MirrorRefusedError(f"Its mirror process on {self._me} does not answer ({error}).") from error
        return text

    # ---- backup ----
    async def _begin_backup(self, mirror: Mirror, request: Request, _: Mapping[str, Any]) -> str:
        state = _state(mirror, self._me)
        if not state.separated_at:
            await self._separate(mirror, state)
        if not request.mount:
            return f"{mirror.name} is separated on {self._me}: its disk {mirror.settings.data} stands still."
        made = await self._shown(mirror, undo=not state.separated_at)
        place = made.point or made.device
        return f"{mirror.name} is separated on {self._me}, and to be read at {place}. End it with clpbackup --post."

    async def _separate(self, mirror: Mirror, state: MirrorState) -> None:
        if state.active or state.relation != "equal":
            await self._told(mirror, "separate")  # It refuses, and says why.
            raise MirrorRefusedError("The mirror changed meanwhile; try again.")
        key = uuid4().hex if state.peer_active and self._kind(mirror.name) else ""
        if key:
            await self._held(mirror, key)
        held = False
        try:
            await self._told(mirror, "separate")
        finally:
            if key:
                held = bool((await self._others.ask(mirror.peer, "release", name=mirror.name, key=key)).get("held"))
        if key and not held:
            await self._told(mirror, "join")
            raise MirrorRefusedError(
                f"The file system on {mirror.peer} was let go before {self._me} was separated, so the copy would not "
                "be consistent. Nothing has changed; try again."
            )
        self._note(mirror.name, md.SEPARATED, mirror.name, self._me, mirror.peer)

    async def _held(self, mirror: Mirror, key: str) -> None:
        """The file system on the other server is held still, or is not mounted there."""
        end = asyncio.get_running_loop().time() + _PREPARE_S
        line: Line = {}
        while asyncio.get_running_loop().time() < end:
            line = await self._others.ask(mirror.peer, "hold", name=mirror.name, key=key)
            if line.get("state") in ("held", "failed"):
                break
            await asyncio.sleep(_LOOK_S)
        if line.get("state") != "held":
            await self._others.ask(mirror.peer, "release", name=mirror.name, key=key)
            why = str(line.get("why") or line.get("error") or f"not within {_PREPARE_S:g} s").rstrip(".")
            raise MirrorRefusedError(f"The file system on {mirror.peer} could not be held still: {why}.")

    async def _shown(self, mirror: Mirror, *, undo: bool) -> Made:
        snapshot = self._snapshot(mirror)
        try:
            return await asyncio.to_thread(snapshot.take)
        except SnapshotError:
            if undo:
                await self._told(mirror, "join")
            raise

    async def _end_backup(self, mirror: Mirror, request: Request, _: Mapping[str, Any]) -> str:
        await asyncio.to_thread(self._snapshot(mirror).remove, force=request.force)
        if mirror.state is None:
            found = await asyncio.to_thread(offline.join, mirror.settings)
        elif not (mirror.state.separated_at or mirror.state.isolated):
            return f"{mirror.name} is not separated on {self._me}: nothing to do."
        else:
            found = (await self._told(mirror, "join")).get("found") or None
        self._note(mirror.name, md.JOINS_ALL if found == "touched" else md.JOINS, mirror.name, self._me)
        said = {
            "touched": "Its disk was written to by somebody else while it was separated: everything is copied to it.",
            "unseen": "Nobody watched its disk all the time, so both are compared afterwards.",
        }.get(str(found), "Only what differs is copied.")
        later = "The service is stopped there: it joins when that runs." if mirror.state is None else ""
        return " ".join(filter(None, (f"{mirror.name} joins again on {self._me}.", said, later)))

    # ---- restore ----
    async def _begin_restore(self, mirror: Mirror, request: Request, sides: Mapping[str, Any]) -> str:
        name, data = mirror.name, mirror.settings.data
        self._must_rest(mirror, sides)
        if mirror.state is None:
            raise MirrorRefusedError(f"Its mirror process does not run on {self._me}. Start the service: clpcl -s.")
        if not (await asyncio.to_thread(offline.label_of, mirror.settings)).restoring_at:
            await asyncio.to_thread(self._snapshot(mirror).remove, force=request.force)
            other = sides.get(mirror.peer)
            await self._told(mirror, "restore", over=str(other["generation"]) if other is not None else "")
            self._note(name, md.RESTORES, name, self._me)
        return f"{name} lets go of {data} on {self._me}: write the backup to it, then end it with clprestore --post."

    def _must_rest(self, mirror: Mirror, sides: Mapping[str, Any]) -> None:
        other = sides.get(mirror.peer)
        state = mirror.state
        where = [self._me] if state is not None and state.active else []
        if (other is not None and other["active"]) or (state is not None and state.peer_active):
            where.append(mirror.peer)
        if where:
            text = f"{mirror.name} is active on {where[0]}. Stop its group first: what is in use cannot be replaced."
            raise MirrorRefusedError(text)

    async def _end_restore(self, mirror: Mirror, request: Request, sides: Mapping[str, Any]) -> str:
        name, settings = mirror.name, mirror.settings
        self._must_rest(mirror, sides)
        label = await asyncio.to_thread(offline.label_of, settings)
        if not label.restoring_at:
            raise MirrorRefusedError(f"No restore of {name} was begun on {self._me} (clprestore --pre).")
        other = sides.get(mirror.peer)
        went_on = other is not None and other["generation"] != label.restoring_over
        if went_on and not request.same and not request.force:
            raise MirrorRefusedError(
                f"{mirror.peer} has written to {name} alone since the restore began on {self._me}; that would be lost. "
                "Look at it, then say --force."
            )
        generation = offline.generation(settings)
        if request.same:
            await self._other(mirror, "restored", generation=generation)
        await asyncio.to_thread(offline.restored, settings, generation, same=request.same)
        self._note(name, md.RESTORED, name, self._me)
        if request.same:
            return f"Both servers count as equal with what was restored. Prove it: clpmdctrl --verify {name}."
        try:
            await self._other(mirror, "given_up")
        except MirrorRefusedError as error:
            why = str(error).rstrip(".")
            return (
                f"What was restored on {self._me} is the truth. {mirror.peer} could not be told: {why}. When it is "
                f"back, clpmdctrl -f {self._me} {name} copies everything to it."
            )
        return f"What was restored on {self._me} is the truth. Everything is copied to {mirror.peer}."

    async def _other(self, mirror: Mirror, what: str, **fields: Any) -> None:
        line = await self._others.ask(mirror.peer, what, name=mirror.name, **fields)
        if not line.get("ok"):
            raise MirrorRefusedError(str(line.get("error") or f"{mirror.peer} gave no answer."))

    # ---- what the daemon of the other server asks ----
    async def asked(self, mirror: Mirror, question: Line) -> Line:
        what, key = question.get("what"), str(question.get("key", ""))
        if what == "hold":
            return await self._hold(mirror, key)
        if what == "release":
            hold = self._holds.get(mirror.name)
            if hold is None or hold.key != key:
                return {"ok": True, "held": False}
            del self._holds[mirror.name]
            return {"ok": True, "held": hold.release()}
        try:
            await self._settled(mirror, str(what), str(question.get("generation", "")))
        except (DiskError, MirrorRefusedError, MirrorGoneError) as error:
            return {"ok": False, "error": str(error)}
        return {"ok": True}

    async def _hold(self, mirror: Mirror, key: str) -> Line:
        hold = self._holds.get(mirror.name)
        if hold is None or hold.key != key:
            if hold is not None and hold.state in ("preparing", "held"):
                return {"ok": True, "state": "failed", "why": "it is being held for another backup"}
            point = await self._point(mirror.name)
            hold = self._holds[mirror.name] = Hold(key, mirror.name, point or "", self._run)
            if point:
                asyncio.get_running_loop().create_task(hold.begin())
            else:
                hold.nothing_mounted()
        return {"ok": True, "state": hold.state, "why": hold.why}

    async def _settled(self, mirror: Mirror, what: str, generation: str) -> None:
        """The other side of a restore: its disk holds the same, or it gives its own up."""
        if mirror.state is not None and mirror.state.active:
            raise MirrorRefusedError(f"{mirror.name} is active on {self._me}.")
        if what == "restored":
            await asyncio.to_thread(offline.restored, mirror.settings, generation, same=True)
        elif what == "given_up" and mirror.state is not None:
            await self._told(mirror, "discard")
        elif what == "given_up":
            await asyncio.to_thread(offline.discard, mirror.settings)

    # ---- the mirror process ----
    async def _told(self, mirror: Mirror, op: str, **fields: Any) -> Line:
        answer = await order(mirror.settings.control, op, ANSWER_S, **fields)
        if answer.get("type") != "done":
            raise MirrorRefusedError(str(answer.get("why") or "It refuses, and does not say why."))
        return answer

    async def end_for_activation(self, mirror: Mirror) -> None:
        """Nobody reads a disk that is about to change."""
        await asyncio.to_thread(self._snapshot(mirror).remove, force=True)

    def close(self) -> None:
        for hold in self._holds.values():
            hold.release()


def _state(mirror: Mirror, me: str) -> MirrorState:
    if mirror.state is None:
        raise MirrorRefusedError(f"Its mirror process does not run on {me}. Start the service there: clpcl -s -h {me}.")
    return mirror.state
