"""Carries operations out: sends their parts to the agents, tells how it goes, and finds out what became of lost ones.

Rules of this file
- The row is the truth. Its parts are stored before the first is sent, and whoever carries it out says every few
  seconds that it lives (`told_at`). A row whose process is silent is taken over by another one, by one atomic update.
- Whoever takes over asks for nothing anew. It asks every server what became of each part by its id: what has an end
  ends with it, what is under way is waited for, what nobody knows is told to be so. A lost answer makes no second move.
- What ends a server's life names the incarnation that is meant, so that the agents refuse it for the next one.
- A part that was not sent yet can be cancelled here; one that waits in the cluster, by the coordinator.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import uuid
from typing import TYPE_CHECKING, Any

import msgspec
from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from agent.wire.peer import Answer, Request
from webmanager import parts
from webmanager.commands import Consult
from webmanager.ledger import in_db
from webmanager.mirrors import operations as mirrors
from webmanager.models import Operation
from webmanager.parts import Part, Stages

if TYPE_CHECKING:
    from webmanager.hub import Hub

log = logging.getLogger(__name__)

STATES = {0: "done", 1: "accepted", 2: "refused", 3: "failed"}
_PROGRESS_LIMIT = 200
_AT_ONCE = 16
_STOPPED_WITHIN_S = 20.0  # from the answer to a stop until every server shows it
_LOOK_S = 0.2
_OUTCOME_S = 8.0
_PATIENCE = 10  # times the limit, for agents to come back at all
_TEXT_LIMIT = 4000
_EACH_TELLS = ("fence_test", *mirrors.BACKUPS, *mirrors.RESTORES)


class Carrier:
    """One process's operations."""

    def __init__(self, there: Hub) -> None:
        self._there = there
        self.mine: set[uuid.UUID] = set()

    async def carry_out(self, operation: Operation, deadline_s: float) -> None:
        """To its end, whatever happens. The parts are in the row."""
        await self._to_its_end(operation, self._stages(operation, deadline_s))

    async def take_over(self, operation: Operation) -> None:
        """Of a process that is gone: what has become of it?"""
        await self._to_its_end(operation, self._found_out(operation))

    async def _to_its_end(self, operation: Operation, work: Any) -> None:
        cluster = operation.cluster.name
        self.mine.add(operation.id)
        self._announce(operation)
        try:
            answer = await work
        except Exception:
            log.exception("operation %s failed in the manager", operation.id)
            answer = Answer(id=str(operation.id), code=3, reason="manager", text="The manager failed; see its log.")
        operation.state = "cancelled" if answer.reason == "cancelled" else STATES.get(answer.code, "failed")
        operation.reason, operation.text = answer.reason, answer.text[:_TEXT_LIMIT]
        operation.ended_at = timezone.now()
        await in_db(_end, operation)
        self.mine.discard(operation.id)
        self._there.announce(cluster, {"type": "operation", "operation": operation.as_dict()})

    def _announce(self, operation: Operation) -> None:
        self._there.announce(operation.cluster.name, {"type": "operation", "operation": operation.as_dict()})

    def _say(self, operation: Operation, text: str) -> None:
        if len(operation.progress) < _PROGRESS_LIMIT:
            operation.progress.append(text)
            self._announce(operation)
            self._there.spawn(in_db(_save_progress, operation.id, list(operation.progress)))

    # Asking.

    async def _stages(self, operation: Operation, deadline_s: float) -> Answer:
        end = asyncio.get_running_loop().time() + deadline_s
        answered: list[tuple[Part, Answer]] = []
        for number, stage in enumerate(stages_of(operation)):
            if number and (starting := [part.target for part in stage if part.op == "server_start"]):
                await self._until_stopped(operation, starting)
            now = await self._stage(operation, stage, end)
            answered += now
            if any(answer.code for _part, answer in now):
                break
        return _whole(operation, answered)

    async def _stage(self, operation: Operation, stage: list[Part], end: float) -> list[tuple[Part, Answer]]:
        slots, loop = asyncio.Semaphore(_AT_ONCE), asyncio.get_running_loop()

        async def one(part: Part) -> tuple[Part, Answer]:
            async with slots:
                if len(stage) > 1 and await in_db(_is_cancelled, operation.id):
                    return part, Answer(
                        id=part.id, code=3, reason="cancelled", text="It was cancelled before it began."
                    )
                return part, await self._part(operation, part, len(stage) > 1, max(0.1, end - loop.time()))

        return list(await asyncio.gather(*map(one, stage)))

    async def _part(self, operation: Operation, part: Part, several: bool, left_s: float) -> Answer:
        label = f"{part.named()}: " if several else ""
        answer = await self._there.commands.ask(
            operation.cluster.name, _request(operation, part), left_s,
            lambda text: self._say(operation, f"{label}{text}"), node=part.node, once=part.once,
        )  # fmt: skip
        if answer.reason == "link_lost":
            answer = await self._part_found_out(operation, part, _OUTCOME_S)
        answer = _of_another_life(part, answer)
        if several:
            self._say(operation, f"{label}{answer.text or STATES.get(answer.code, '')}")
        return answer

    async def _until_stopped(self, operation: Operation, servers: list[str]) -> None:
        """A service that still stops would take its start for one of a service that runs."""
        self._say(operation, "The service has stopped; it is started again.")
        end = asyncio.get_running_loop().time() + _STOPPED_WITHIN_S
        while asyncio.get_running_loop().time() < end:
            status = self._there.status(operation.cluster.name)
            if status and all(status["servers"][name]["status"] == "Offline" for name in servers):
                return
            await asyncio.sleep(_LOOK_S)

    # Finding out.

    async def _found_out(self, operation: Operation) -> Answer:
        self._say(operation, "The manager was restarted; the servers are asked what became of it.")
        answered: list[tuple[Part, Answer]] = []
        whole = Part(id=str(operation.id), op=operation.op, target=operation.target, server=operation.server)
        for stage in stages_of(operation) or [[whole]]:
            found = await asyncio.gather(
                *(self._part_found_out(operation, part, settings.OPERATION_FOUND_S) for part in stage)
            )
            answered += zip(stage, found, strict=True)
            if any(answer.code for answer in found):
                break
        return _whole(operation, answered)

    async def _part_found_out(self, operation: Operation, part: Part, limit_s: float) -> Answer:
        """By its id, of every server; what the state itself proves needs nobody's memory. The limit counts from when
        anybody answers at all: while no agent is there, nothing can be said."""
        name, loop = operation.cluster.name, asyncio.get_running_loop()
        end, at_last = loop.time() + limit_s, loop.time() + _PATIENCE * limit_s
        while True:
            known, silent, anybody = await self._memories(name, part)
            if not anybody:
                end = min(at_last, loop.time() + limit_s)
            if known is not None and known.code != 1:
                return _of_another_life(part, known)
            if known is not None:
                left_s = max(1.0, end - loop.time())
                answer = await self._there.commands.ask(
                    name, _request(operation, part), left_s, lambda text: self._say(operation, text), node=part.node,
                )  # fmt: skip
                if answer.reason != "no_agent":
                    return _of_another_life(part, answer)
            status = self._there.status(name)
            if known is None and status is not None and parts.happened(part, status, current=anybody):
                return Answer(id=part.id, code=0, text="It is so, as the servers show.")
            if loop.time() >= end or (known is None and not silent):
                return _nobody_knows(part, status, silent)
            await asyncio.sleep(_LOOK_S * 5)

    async def _memories(self, cluster: str, part: Part) -> tuple[Answer | None, list[str], bool]:
        """(what is known of it, the servers that did not say, whether anybody said anything)"""
        status = self._there.status(cluster)
        names = [part.node] if part.node else list(status["servers"]) if status else []
        found = await asyncio.gather(*(self._memory(cluster, part.id, name) for name in names))
        known = [answer for answer, _asked in found if answer is not None]
        ends = [answer for answer in known if answer.code != 1]
        silent = [name for name, (_answer, asked) in zip(names, found, strict=True) if not asked]
        return next(iter(ends or known), None), silent, len(silent) < len(names)

    async def _memory(self, cluster: str, key: str, server: str) -> tuple[Answer | None, bool]:
        question = Consult(id=uuid.uuid4().hex, via=server, op="outcome", body={"id": key})
        found = await self._there.commands.consult(cluster, question, _OUTCOME_S)
        told = found.outcome.get("answer") if found.ok else None
        return (msgspec.convert(told, Answer) if told else None), found.ok

    # Who carries what.

    async def watch(self) -> None:
        """As long as the hub lives: tell that our operations have somebody, and take over those that have nobody."""
        pause_s = settings.OPERATION_LOST_S / 4
        while True:
            try:
                for operation in await in_db(_touch_and_claim, set(self.mine)):
                    self.mine.add(operation.id)
                    self._there.spawn(self.take_over(operation))
            except Exception:  # A database that is away for a moment ends nothing.
                log.exception("operations of lost processes cannot be looked for")
            await asyncio.sleep(pause_s)


def stages_of(operation: Operation) -> Stages:
    return msgspec.convert(operation.parts, Stages)


def _request(operation: Operation, part: Part) -> Request:
    return Request(
        id=part.id,
        op=part.op,  # type: ignore[arg-type]
        target=part.target,
        server=part.server,
        by=operation.by,
        why=operation.why,
        lives=part.lives,
        bytes_s=part.bytes_s,
        force=part.force,
        mount=part.mount,
        same=part.same,
    )


def _of_another_life(part: Part, answer: Answer) -> Answer:
    """Who was to be rebooted and has begun anew has done what was wanted."""
    if answer.reason == "new_life" and part.op.endswith("_reboot"):
        return Answer(id=part.id, code=0, text=answer.text)
    return answer


def _nobody_knows(part: Part, status: parts.Status | None, silent: list[str]) -> Answer:
    asked = [name for name in (status["servers"] if status else ()) if name not in silent]
    who = f"{', '.join(asked)} answered and know of no such request" if asked else "No server answered"
    rest = f"; {', '.join(silent)} did not answer" if silent and asked else ""
    text = (
        f"The way to the servers was lost before an answer came. {who}{rest}. Nothing was asked again: look at the "
        "status, then decide whether to."
    )
    return Answer(id=part.id, code=3, reason="outcome_unknown" if silent else "not_carried_out", text=text)


def _whole(operation: Operation, answered: list[tuple[Part, Answer]]) -> Answer:
    """The worst counts, and each that is not well is named."""
    key = str(operation.id)
    if not answered:
        return Answer(id=key, code=0, text="There was nothing to do.")
    if len(answered) == 1:
        part, only = answered[0]
        return msgspec.structs.replace(only, id=key, text=f"{part.node}: {only.text}" if part.node else only.text)
    worst = max(answered, key=lambda one: one[1].code)[1]
    told = [(part, answer) for part, answer in answered if answer.code]
    if not told and operation.op in _EACH_TELLS:
        told = answered  # What each of them has seen is the result.
    text = " ".join(f"{part.named()}: {answer.text}" for part, answer in told)
    return Answer(id=key, code=worst.code, reason=worst.reason if worst.code else "", text=text)


# In the database.


def _save_progress(key: uuid.UUID, progress: list[str]) -> None:
    Operation.objects.filter(id=key, state=Operation.State.RUNNING).update(progress=progress)


def _end(operation: Operation) -> None:
    """Once: two processes that both carried it out for a moment have found out the same."""
    if Operation.objects.filter(id=operation.id, state=Operation.State.RUNNING).exists():
        operation.save(update_fields=("state", "reason", "text", "ended_at", "progress"))


def _is_cancelled(key: uuid.UUID) -> bool:
    return Operation.objects.filter(id=key, cancel=True).exists()


def _touch_and_claim(mine: set[uuid.UUID]) -> list[Operation]:
    now = timezone.now()
    if mine:
        Operation.objects.filter(id__in=mine).update(told_at=now)
    since = now - datetime.timedelta(seconds=settings.OPERATION_LOST_S)
    running = Operation.objects.filter(state=Operation.State.RUNNING).exclude(id__in=mine).select_related("cluster")
    lost = list(running.filter(Q(told_at__lt=since) | Q(told_at=None, at__lt=since))[:_AT_ONCE])
    return [one for one in lost if _claim(one, now)]


def _claim(operation: Operation, now: datetime.datetime) -> bool:
    """Of several processes that want it, the database lets one have it."""
    seen = Operation.objects.filter(id=operation.id, state=Operation.State.RUNNING, told_at=operation.told_at)
    return seen.update(told_at=now) == 1
