"""What the manager does on request: operations on clusters, and keeping its house."""

from __future__ import annotations

import asyncio
import datetime
import logging
import uuid
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.utils import timezone
from msgspec.structs import replace

from agent.wire.peer import Answer, Request
from webmanager.hub import Hub, hub
from webmanager.ledger import in_db
from webmanager.models import Cluster, Event, KeyedRequest, Operation

log = logging.getLogger(__name__)

DEADLINE_S = 300.0
_STATES = {0: "done", 1: "accepted", 2: "refused", 3: "failed"}
_PROGRESS_LIMIT = 200
_LOOK_AGAIN_S = 0.2


async def operate(
    *, cluster: Cluster, op: str, target: str, server: str, user: Any, by: str, deadline_s: float = DEADLINE_S,
    key: uuid.UUID | None = None,
) -> Operation:  # fmt: skip
    """Asks the cluster and waits for the end. The caller has checked the role. `key`: the operation's id; one that
    exists already is not asked for again, only its end is waited for."""
    operation, new = await in_db(
        _begin, cluster=cluster, op=op, target=target, server=server, user=user, by=by, key=key
    )
    if not new:
        return await outcome(operation, deadline_s)
    await _carry_out(await hub().ready(), operation, deadline_s)
    return operation


async def begin(
    *, cluster: Cluster, op: str, target: str, server: str, user: Any, by: str, deadline_s: float = DEADLINE_S,
    key: uuid.UUID | None = None,
) -> Operation:  # fmt: skip
    """Like operate, but returns at once; the operation's page and the browsers' sockets tell how it goes on."""
    operation, new = await in_db(
        _begin, cluster=cluster, op=op, target=target, server=server, user=user, by=by, key=key
    )
    if new:
        there = await hub().ready()
        there.spawn(_carry_out(there, operation, deadline_s))
    return operation


def _begin(*, cluster: Cluster, key: uuid.UUID | None, **asked: Any) -> tuple[Operation, bool]:
    """(operation, whether it is new)."""
    return Operation.objects.get_or_create(id=key or uuid.uuid4(), defaults={"cluster": cluster, **asked})


async def outcome(operation: Operation, limit_s: float) -> Operation:
    """The same operation when it has ended, or as it is after `limit_s`. Whoever carries it out may be elsewhere."""
    end = asyncio.get_running_loop().time() + limit_s
    while not operation.ended and (left_s := end - asyncio.get_running_loop().time()) > 0:
        await asyncio.sleep(min(left_s, _LOOK_AGAIN_S))
        operation = await in_db(Operation.objects.select_related("cluster").get, id=operation.id)
    return operation


async def _carry_out(there: Hub, operation: Operation, deadline_s: float) -> None:
    cluster = operation.cluster.name

    def progress(text: str) -> None:
        if len(operation.progress) < _PROGRESS_LIMIT:
            operation.progress.append(text)
            there.announce(cluster, {"type": "operation", "operation": operation.as_dict()})
            there.spawn(in_db(_save_progress, operation.id, list(operation.progress)))

    there.announce(cluster, {"type": "operation", "operation": operation.as_dict()})
    try:
        if operation.op == "cluster_start":
            answer = await _start_cluster(there, operation, deadline_s, progress)
        elif operation.op == "fence_test":
            answer = await _test_fence(there, operation, deadline_s, progress)
        else:
            answer = await there.command(cluster, _request(operation), deadline_s, progress)
    except Exception:
        log.exception("operation %s failed in the manager", operation.id)
        answer = Answer(id=str(operation.id), code=3, reason="manager", text="The manager failed; see its log.")
    operation.state = _STATES.get(answer.code, "failed")
    operation.reason, operation.text = answer.reason, answer.text
    operation.ended_at = timezone.now()
    await in_db(operation.save)
    there.announce(cluster, {"type": "operation", "operation": operation.as_dict()})


def _save_progress(key: uuid.UUID, progress: list[str]) -> None:
    Operation.objects.filter(id=key, state=Operation.State.RUNNING).update(progress=progress)


def _request(operation: Operation) -> Request:
    return Request(
        id=str(operation.id),
        op=operation.op,  # type: ignore[arg-type]
        target=operation.target,
        server=operation.server,
        by=operation.by,
    )


async def _start_cluster(
    there: Hub, operation: Operation, deadline_s: float, progress: Callable[[str], None]
) -> Answer:
    """The engine knows the start of one server only: every server that does not run is asked for."""
    status = there.status(operation.cluster.name)
    servers = [s["name"] for s in status["servers"].values() if s["status"] != "Online"] if status else []

    async def start(server: str) -> tuple[str, Answer]:
        request = Request(id=f"{operation.id}:{server}", op="server_start", target=server, by=operation.by)
        name = operation.cluster.name
        answer = await there.command(name, request, deadline_s, lambda text: progress(f"{server}: {text}"))
        return server, answer

    answers = await asyncio.gather(*(start(server) for server in servers))
    return _worst(str(operation.id), [(server, answer) for server, answer in answers])


async def _test_fence(there: Hub, operation: Operation, deadline_s: float, progress: Callable[[str], None]) -> Answer:
    """Each server must reach the device itself, because the one that survives has to; so each is asked for itself."""
    cluster = operation.cluster.name
    status = there.status(cluster)
    known = status["servers"].values() if status else ()
    servers = [operation.server] if operation.server else [s["name"] for s in known if s["status"] == "Online"]

    async def test(server: str) -> tuple[str, Answer]:
        request = Request(id=f"{operation.id}:{server}", op="fence_test", target=operation.target, by=operation.by)
        answer = await there.commands.ask(cluster, request, deadline_s, lambda text: None, node=server)
        progress(f"{server}: {answer.text}")
        return server, answer

    answers = list(await asyncio.gather(*map(test, servers)))
    if not answers:
        return Answer(id=str(operation.id), code=2, reason="no_server", text="No server is online that could test it.")
    worst = _worst(str(operation.id), answers)
    return worst if worst.code else replace(worst, text=" ".join(f"{name}: {a.text}" for name, a in answers))


def _worst(key: str, answers: list[tuple[str, Answer]]) -> Answer:
    code = max((answer.code for _, answer in answers), default=0)
    told = [(name, answer) for name, answer in answers if answer.code]
    reason = next((answer.reason for _, answer in told if answer.code == code), "")
    return Answer(id=key, code=code, reason=reason, text=" ".join(f"{name}: {answer.text}" for name, answer in told))


def prune(*, now: datetime.datetime | None = None) -> None:
    """Keeps the newest events of each cluster and a year of operations; ends what a dead process left running."""
    now = now or timezone.now()
    for cluster in Cluster.objects.defer("config"):
        found = Event.objects.filter(cluster=cluster)
        edge = found.order_by("-id").values_list("id", flat=True)[settings.EVENTS_KEPT : settings.EVENTS_KEPT + 1]
        if edge:
            found.filter(id__lte=edge[0]).delete()
    Operation.objects.filter(at__lt=now - datetime.timedelta(days=settings.OPERATIONS_KEPT_DAYS)).delete()
    KeyedRequest.objects.filter(at__lt=now - datetime.timedelta(hours=settings.IDEMPOTENCY_KEYS_KEPT_HOURS)).delete()
    overdue = now - datetime.timedelta(seconds=DEADLINE_S + 60)
    Operation.objects.filter(state=Operation.State.RUNNING, at__lt=overdue).update(
        state=Operation.State.ACCEPTED,
        reason="manager_restarted",
        text="The manager was restarted meanwhile; the status shows what became of it.",
        ended_at=now,
    )
