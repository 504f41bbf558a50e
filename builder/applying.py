"""Brings a configuration to a running cluster, and tells what became of it.

Rules of this file
- The manager delivers: the archive goes to every server, is checked and stored there. Until all have it, nobody has
  changed; what goes wrong is taken back on all.
- Then one request (`config_apply`, its id is the row's key) begins the change, and the servers drive it by themselves.
  The row only follows what they say: whoever runs this manager, or none, makes no difference to them.
- A job says by `beat_at` that it lives. A row whose job has died is settled by whoever looks next (`settle`): what had
  not begun was not changed, and of what had begun the servers tell the end.
- A row ends once: the update that ends it names the state that it had.
- Scripts alone (the same clp.conf) need no change-over: they are exchanged in place. Where the service is stopped
  everywhere, the files are exchanged and each agent begins anew.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import uuid
from collections.abc import Awaitable, Callable, Iterable
from hashlib import sha256
from typing import Any

from django.db import DatabaseError, transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from agent.clpconf.archive import ArchiveError, read_archive, write_archive
from agent.clpconf.document import Document
from agent.clpconf.objects import of_kind
from agent.wire.delivery import StepError
from agent.wire.peer import Request
from agent.wire.switch import config_id
from builder import contents, services
from builder.delivery import Servers
from builder.models import Apply, Draft, Version
from webmanager.accounts import signals
from webmanager.hub import Hub, hub
from webmanager.ledger import in_db
from webmanager.models import Cluster, Event

log = logging.getLogger(__name__)

ASK_S = 120.0
LOOK_S = 1.0
DEAD_S = 15.0  # without a beat
_SAID_S = 5.0
_QUIET_S = 10.0  # for the servers to have said what they are about
_STARTS_S = 60.0  # for agents that begin anew
EXCHANGING = "exchanging"
OPEN = (Apply.State.DELIVERING, Apply.State.RUNNING)

MANAGER_ENDED = gettext_noop("The manager ended in the middle of the delivery. Nothing was changed; apply it again.")
NOT_TAKEN = gettext_noop("The servers gave it up before anything was changed. The events say why.")
EXCHANGE_ENDED = gettext_noop(
    "The manager ended while the files were exchanged. Apply it again, so that all servers have the same."
)
STOPPED = gettext_noop("It was stopped before anything was changed.")


class _GivenUp(Exception):  # noqa: N818 - Somebody wanted it.
    pass


async def begin(
    *, cluster: Cluster, draft: Draft, user: Any, by: str, why: str, confirm_s: int, health: bool, anyway: str = "",
    key: uuid.UUID | None = None,
) -> Apply | None:  # fmt: skip
    """None: another change of this cluster is under way. The caller has checked the role and the draft. `key`: what was
    begun with it before is returned as it is."""
    row, new = await in_db(
        _begin, cluster=cluster, draft=draft, key=key or uuid.uuid4(), user=user, by=by, why=why, confirm_s=confirm_s,
        health=health, anyway=anyway,
    )  # fmt: skip
    if new:
        there = await hub().ready()
        there.spawn(Job(there, row, cluster.name).run())
    return row


def _begin(*, cluster: Cluster, draft: Draft, key: uuid.UUID, **fields: Any) -> tuple[Apply | None, bool]:
    """(the row, whether it is new)"""
    conf = contents.unpack(draft.conf)
    with transaction.atomic():
        # Two people at the same moment: the lock on the cluster's row lets one of them see the other's.
        Cluster.objects.select_for_update().defer("config").get(pk=cluster.pk)
        if (known := Apply.objects.select_related("cluster").filter(key=key).first()) is not None:
            return known, False
        if Apply.objects.filter(cluster=cluster, state__in=OPEN).exists():
            return None, False
        newest = Event.objects.filter(cluster=cluster).aggregate(newest=Max("id"))["newest"]
        return Apply.objects.create(
            key=key, cluster=cluster, draft=draft, name=draft.name, revision=draft.revision, conf=bytes(draft.conf),
            scripts=bytes(draft.scripts), config=config_id(conf), beat_at=timezone.now(), first_event=newest or 0,
            **fields,
        ), True  # fmt: skip


class Job:
    """One delivery, in the process that was asked for it."""

    def __init__(self, there: Hub, row: Apply, cluster: str) -> None:
        self.there = there
        self.row = row
        self.cluster = cluster
        self.servers = Servers(there, cluster, row.by)
        self.key = ""

    async def run(self) -> None:
        beat = asyncio.get_running_loop().create_task(self._beat())
        try:
            await self._deliver()
        except StepError as error:
            await self._fail(f"{error.server}: {error}")
        except _GivenUp:
            await self._fail(STOPPED)
        except Exception:
            log.exception("bringing configuration %s to %s failed in the manager", self.row.pk, self.cluster)
            if self.row.state == Apply.State.DELIVERING:  # Of what has begun the servers tell the end.
                await self._fail(gettext_noop("The manager failed; see its log."))
        finally:
            beat.cancel()

    async def _beat(self) -> None:
        while True:
            try:
                self.row.cancel = await in_db(_beaten, self.row.pk, dict(self.row.servers))
            except DatabaseError:
                log.exception("how far the delivery to %s is cannot be noted now", self.cluster)
            await asyncio.sleep(LOOK_S)

    async def _deliver(self) -> None:
        bundle = await asyncio.to_thread(lambda: self.row.bundle)
        data = await asyncio.to_thread(write_archive, bundle)
        self.key = sha256(data).hexdigest()
        names = self._names(bundle.conf)
        states = dict(zip(names, await self._each(names, self._state), strict=True))
        stopped = [name for name, state in states.items() if state["service"] == "stopped"]
        if stopped and len(stopped) < len(names):
            text = _("The service is stopped on %(names)s. Start it there, or stop it everywhere.")
            raise StepError(stopped[0], "stopped", text % {"names": ", ".join(stopped)})
        await self._keep_what_runs(names[0])
        await self._each(names, lambda name: self._store(name, data))
        if stopped:
            await self._exchange(names, restart=True)
        elif all(state["hash"].startswith(self.row.config) for state in states.values()):
            await self._exchange(names, restart=False)
        else:
            await self._ask()

    async def _keep_what_runs(self, server: str) -> None:
        """As a version, so that there is a way back also after the confirmation."""
        try:
            bundle = await asyncio.to_thread(read_archive, await self.servers.fetch(server))
        except (StepError, ArchiveError, ValueError, KeyError) as error:
            log.warning("what %s runs could not be kept as a version: %s", self.cluster, error)
            return
        await in_db(
            services.keep_version, bundle=bundle, name=self.cluster, cluster=self.row.cluster, by=self.row.by, why="",
            origin=Version.Origin.AGENT,
        )  # fmt: skip

    def _names(self, conf: bytes) -> list[str]:
        """Servers that have the change from us: those of the cluster that it keeps."""
        status = self.there.status(self.cluster)
        stay = {thing.name for thing in of_kind(Document.read(conf).root, "server")}
        return [name for name in status["servers"] if name in stay] if status else []

    async def _each(self, names: Iterable[str], work: Callable[[str], Awaitable[Any]]) -> list[Any]:
        """On all at the same time. The first one that cannot ends it, when the others are at rest too."""
        found = await asyncio.gather(*map(work, names), return_exceptions=True)
        for one in found:
            if isinstance(one, BaseException):
                raise one
        return found

    async def _state(self, name: str) -> dict[str, Any]:
        self._tell(name, "asked")
        return await self.servers.step(name, "state")

    async def _store(self, name: str, data: bytes) -> None:
        async def sent(done: int, of: int) -> None:
            self._tell(name, "sent", percent=round(100 * done / of))
            if self.row.cancel:
                raise _GivenUp

        await self.servers.put(name, data, self.key, sent)
        self._tell(name, "checked")
        await self.servers.step(name, "store", id=self.key)
        self._tell(name, "stored")
        if self.row.cancel:
            raise _GivenUp

    def _tell(self, name: str, step: str, **more: int) -> None:
        """The next beat brings it into the row."""
        self.row.servers = {**self.row.servers, name: {"step": step, **more}}

    async def _ask(self) -> None:
        """From here on the servers drive it. The row says so first, so that nobody begins it twice."""
        if not await in_db(_to_running, self.row):
            raise _GivenUp
        request = Request(
            id=str(self.row.key), op="config_apply", target=self.row.config, by=self.row.by, why=self.row.why,
            confirm_s=float(self.row.confirm_s), health=self.row.health,
        )  # fmt: skip
        answer = await self.there.command(self.cluster, request, ASK_S, lambda text: None)
        if answer.code in (2, 3) and not self._is_under_way():
            await self.discard()
            await in_db(end, self.row, Apply.State.REFUSED, answer.text or answer.reason)

    def _is_under_way(self) -> bool:
        status = self.there.status(self.cluster)
        return status is not None and status["cluster"]["configuration"]["id"] == str(self.row.key)

    async def _exchange(self, names: list[str], *, restart: bool) -> None:
        """The files alone, on one server after the other; what one cannot do is undone on all."""
        kept: dict[str, str] = {}
        for name in names:
            self._tell(name, EXCHANGING)
        if not await in_db(_to_running, self.row):
            raise _GivenUp
        try:
            for name in names:
                kept[name] = str((await self.servers.step(name, "switch", id=self.key))["kept"])
                self._tell(name, "switched")
        except StepError:
            for name, version in kept.items():
                await self._or_not(self.servers.step(name, "restore", kept=version))
            raise
        if restart:
            await self._restart(names)
        await in_db(end, self.row, Apply.State.DONE)

    async def _restart(self, names: list[str]) -> None:
        """Each agent begins anew; one that was not reached decides by itself a little later."""
        for name in names:
            await self._or_not(self.servers.step(name, "restart", id=self.key))
        until = asyncio.get_running_loop().time() + _STARTS_S
        while asyncio.get_running_loop().time() < until:
            status = self.there.status(self.cluster)
            shown = status["cluster"]["configuration"]["servers"] if status else {}
            if shown and all(one["config"] == self.row.config for one in shown.values()):
                return
            await asyncio.sleep(LOOK_S)

    async def _fail(self, text: str) -> None:
        await self.discard()
        await in_db(end, self.row, Apply.State.FAILED, text)

    async def discard(self) -> None:
        await asyncio.gather(*(self._or_not(self.servers.step(name, "discard")) for name in self.row.servers))

    @staticmethod
    async def _or_not(step: Awaitable[Any]) -> None:
        """What is only tidying up, or what the server does by itself as well."""
        try:
            await step
        except StepError as error:
            log.info("%s: %s", error.server, error)


def _beaten(key: int, servers: dict[str, Any]) -> bool:
    """True when somebody wants it stopped."""
    Apply.objects.filter(pk=key).update(beat_at=timezone.now(), servers=servers)
    return Apply.objects.filter(pk=key, cancel=True).exists()


def _to_running(row: Apply) -> bool:
    found = Apply.objects.filter(pk=row.pk, state=Apply.State.DELIVERING, cancel=False)
    changed = found.update(state=Apply.State.RUNNING, servers=row.servers, beat_at=timezone.now())
    if changed:
        row.state = Apply.State.RUNNING
    return bool(changed)


def end(row: Apply, state: Apply.State, text: str = "") -> bool:
    """Once. What is in force becomes a version."""
    with transaction.atomic():
        found = Apply.objects.filter(pk=row.pk, state__in=OPEN)
        bundle = row.bundle if state == Apply.State.DONE else None
        ended = {"state": state, "text": text, "ended_at": timezone.now(), "servers": row.servers}
        # A version has it from now on, or its draft.
        if not found.update(**ended, conf=b"", scripts=b""):
            return False
        row.state, row.text = state, text
        if bundle is not None:
            services.keep_version(
                bundle=bundle, name=row.name, cluster=row.cluster, by=row.by, why=row.why,
                origin=Version.Origin.APPLY,
            )  # fmt: skip
        signals.applied(row, str(state))
    return True


def cancel(row: Apply) -> None:
    """Only what is being delivered; a change that has begun is returned."""
    Apply.objects.filter(pk=row.pk, state=Apply.State.DELIVERING).update(cancel=True)


# What became of it.


def settle(row: Apply, status: dict[str, Any] | None, now: datetime.datetime) -> bool:
    """By what the servers say now, as the manager shows it; `status` None: nothing is known of them. True when what
    they have stored is of no use any more."""
    quiet_s = (now - row.beat_at).total_seconds()
    if row.state == Apply.State.DELIVERING:
        return quiet_s > DEAD_S and end(row, Apply.State.FAILED, MANAGER_ENDED)
    if row.state == Apply.State.RUNNING and status is not None and status["cluster"]["coordinator"]:
        _settle_running(row, status, quiet_s)
    return False


def _settle_running(row: Apply, status: dict[str, Any], quiet_s: float) -> None:
    told = status["cluster"]["configuration"]
    if told["id"] == str(row.key):
        _follow(row, told, quiet_s)
    elif any(one.get("step") == EXCHANGING for one in row.servers.values()):
        if quiet_s > DEAD_S:
            end(row, Apply.State.FAILED, EXCHANGE_ENDED)
    elif not told["phase"] and quiet_s > _QUIET_S:
        runs = {one["config"] for one in told["servers"].values()}
        if runs == {row.config}:
            end(row, Apply.State.DONE)
        elif row.config not in runs and "" not in runs:
            end(row, Apply.State.FAILED, NOT_TAKEN)


def _follow(row: Apply, told: dict[str, Any], quiet_s: float) -> None:
    if told["phase"]:
        if quiet_s > _SAID_S:
            Apply.objects.filter(pk=row.pk).update(beat_at=timezone.now())
    elif told["state"] == "confirmed":
        end(row, Apply.State.DONE)
    elif told["state"] == "returned":
        end(row, Apply.State.RETURNED, told["reason"])


async def watch(there: Hub) -> None:
    """In each process of the manager, for as long as it lives."""
    while True:
        await asyncio.sleep(LOOK_S)
        try:
            for row in await in_db(_open_rows):
                if await in_db(settle, row, there.status(row.cluster.name), timezone.now()):
                    await Job(there, row, row.cluster.name).discard()
        except Exception:  # A database that is away now must not end the watch.
            log.exception("changes of configurations cannot be followed")
            await asyncio.sleep(DEAD_S)


def _open_rows() -> list[Apply]:
    return list(Apply.objects.filter(state__in=OPEN).defer("conf", "scripts").select_related("cluster"))
