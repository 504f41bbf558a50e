"""Collects the logs of several servers, in a Celery worker, in the database's sight.

The row says how far each server is and is asked whether to go on; a worker that is silent for LOST_S was killed. What
one server cannot give is told and keeps nothing else away. Nobody reads here, so its sentences are English ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import time
import uuid
from pathlib import Path
from typing import Any

import msgspec
from django.utils import timezone

from agent.wire.logs import archive, conversation
from agent.wire.logs.archive import Fetched, Pages
from agent.wire.logs.conversation import Ask, BrokenError, Pause, Talk
from agent.wire.logs.timeline import Clock
from agent.wire.report import Note
from webmanager.commands import Consult
from webmanager.errands import Errands
from webmanager.ledger import in_db
from webmanager.logs import files
from webmanager.logs.models import Collection

LIMIT_S = 1800.0
LOST_S = 60.0
_TOLD_EVERY_S = 0.5
_RETRIES = 3
_PAUSE_S = 1.0
_NOTES = 20_000  # of the manager's own, for servers that gave nothing
_CAUSE_CHARACTERS = 200_000


class StepError(Exception):
    """One server's own sentence."""


def collect(key: uuid.UUID) -> None:
    """Of the row `key`, once."""
    waiting = Collection.objects.filter(pk=key, state=Collection.State.WAITING)
    if not waiting.update(state=Collection.State.RUNNING, told_at=timezone.now()):
        return
    row = Collection.objects.select_related("cluster").get(pk=key)
    try:
        asyncio.run(_Collector(row).run())
    except Exception:
        _end(row, Collection.State.FAILED, error="The manager failed at this; see its log.")
        raise
    finally:
        if Collection.objects.filter(pk=key).exclude(state=Collection.State.DONE).exists():
            files.remove(key)


class _Collector:
    def __init__(self, row: Collection) -> None:
        self.row = row
        self.ends = time.monotonic() + LIMIT_S
        self.place = files.workplace(row.pk)

    async def run(self) -> None:
        await asyncio.to_thread(self.place.mkdir, mode=0o700, exist_ok=True)
        async with Errands() as errands:
            fetching = asyncio.create_task(self._all(errands))
            why = await self._watch(fetching)
        if why:
            state, error = why
            await in_db(_end, self.row, state, error=error)
            return
        pages = await asyncio.to_thread(self._write, fetching.result())
        await in_db(self._done, pages)

    async def _watch(self, fetching: asyncio.Task[list[Fetched]]) -> tuple[str, str] | None:
        """Tells the database how far it is until it is done; else why it was given up."""
        try:
            while not fetching.done():
                await asyncio.wait((fetching,), timeout=_TOLD_EVERY_S)
                if await in_db(self._cancelled):
                    return Collection.State.CANCELLED, ""
                if time.monotonic() > self.ends:
                    return Collection.State.FAILED, f"It was given up after {LIMIT_S // 60:.0f} minutes."
                if await asyncio.to_thread(files.is_full):
                    return Collection.State.FAILED, "The disk of the manager is nearly full. Delete what is not needed."
            return None
        finally:
            fetching.cancel()
            await asyncio.gather(fetching, return_exceptions=True)

    def _cancelled(self) -> bool:
        """The row that was deleted meanwhile is cancelled as well."""
        Collection.objects.filter(pk=self.row.pk).update(servers=self.row.servers, told_at=timezone.now())
        return not Collection.objects.filter(pk=self.row.pk, cancel=False).exists()

    async def _all(self, errands: Errands) -> list[Fetched]:
        slots = asyncio.Semaphore(conversation.AT_ONCE)

        async def one(server: str) -> Fetched:
            async with slots:
                return await self._fetch(errands, server)

        return list(await asyncio.gather(*map(one, self.row.servers)))

    async def _fetch(self, errands: Errands, server: str) -> Fetched:
        key, path, told = uuid.uuid4().hex, self.place / f"{server}.tar.gz", self.row.servers[server]
        source = _Source(errands, self.row, server)
        try:
            with path.open("wb") as file:
                limit = self.row.limit_mib << 20
                talk = conversation.fetch(key, self.row.kind, limit, file.write, lambda n: told.update(percent=n))
                clock = await source.converse(talk)
            told.update(percent=100, clock=[clock.ahead_s, clock.within_s])
            return Fetched(server, path, clock)
        except (StepError, BrokenError, KeyError, TypeError, ValueError) as error:
            text = str(error) if isinstance(error, StepError | BrokenError) else "Its answer makes no sense."
        except OSError as error:
            text = f"It cannot be written: {error.strerror or error}."
        finally:
            await source.discard(key)
        told.update(error=text)
        return Fetched(server, None, None, text)

    def _write(self, fetched: list[Fetched]) -> Pages:
        notes = _own_notes(self.row) if any(one.path is None for one in fetched) else []
        return archive.write(files.archive(self.row.pk), fetched, self.row.standing, time.time(), notes)

    def _done(self, pages: Pages) -> None:
        path = files.archive(self.row.pk)
        _remove_parts(self.place)
        if len(self.row.missing) == len(self.row.servers):
            _end(self.row, Collection.State.FAILED, error="No server gave its logs.")
            return
        more = {"size": path.stat().st_size, "notes": pages.notes, "cause": pages.cause[:_CAUSE_CHARACTERS]}
        _end(self.row, Collection.State.DONE, **more)


class _Source:
    """One server's agent, through whichever web process answers."""

    def __init__(self, errands: Errands, row: Collection, server: str) -> None:
        self._errands = errands
        self._row = row
        self._server = server
        self._began = False

    async def converse(self, talk: Talk) -> Clock:
        wish = next(talk)
        try:
            while True:
                if isinstance(wish, Pause):
                    await asyncio.sleep(wish.seconds)
                    wish = next(talk)
                elif wish.here:
                    wish = talk.send({"at": time.time()})
                else:
                    wish = talk.send(await self._ask(wish))
        except StopIteration as done:
            clock: Clock = done.value
            return clock

    async def discard(self, key: str) -> None:
        if self._began:
            with contextlib.suppress(StepError):
                await self._ask(conversation.discard(key), retries=1)

    async def _ask(self, wish: Ask, retries: int = _RETRIES) -> dict[str, Any]:
        self._began = self._began or wish.step["step"] == "pack"
        for attempt in range(retries):
            question = Consult(id=uuid.uuid4().hex, via=self._server, op="logs", body=wish.step, by=self._row.by)
            found = await self._errands.consult(self._row.cluster.name, question, conversation.STEP_S)
            if found.ok:
                return found.logs
            if not found.reason or attempt == retries - 1:  # The agent's own word; or nobody answers.
                raise StepError(found.error or f"{self._server} has no answer.")
            await asyncio.sleep(_PAUSE_S)
        raise AssertionError("unreachable")


def _own_notes(row: Collection) -> list[Note]:
    """What servers that are silent now have told the manager before."""
    found = row.cluster.events.order_by("-time").values_list("note", flat=True)[:_NOTES]
    notes = []
    for note in found:
        with contextlib.suppress(msgspec.ValidationError):
            notes.append(msgspec.convert(note, Note))
    return notes


def _remove_parts(place: Path) -> None:
    for path in place.iterdir():
        path.unlink(missing_ok=True)
    place.rmdir()


def _end(row: Collection, state: str, **more: Any) -> None:
    Collection.objects.filter(pk=row.pk).update(
        state=state, servers=row.servers, ended_at=timezone.now(), told_at=timezone.now(), **more
    )


def end_lost(*, now: datetime.datetime | None = None) -> None:
    """A worker that was killed can end nothing."""
    since = (now or timezone.now()) - datetime.timedelta(seconds=LOST_S)
    lost = Collection.objects.filter(state=Collection.State.RUNNING, told_at__lt=since)
    for key in lost.values_list("pk", flat=True):
        files.remove(key)
    lost.update(
        state=Collection.State.FAILED, ended_at=timezone.now(),
        error="The worker that collected them ended in the middle. Collect them again.",
    )  # fmt: skip
