"""What the manager does on request: operations on clusters, and keeping its house."""

from __future__ import annotations

import asyncio
import datetime
import uuid
from typing import Any

import msgspec
from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from agent.wire.peer import Request
from webmanager import parts
from webmanager.accounts import audit
from webmanager.carrying import stages_of
from webmanager.hub import Hub, hub
from webmanager.ledger import in_db
from webmanager.models import Cluster, Event, KeyedRequest, Operation

DEADLINE_S = 300.0
_LOOK_AGAIN_S = 0.2
_CANCEL_S = 10.0


async def operate(
    *, cluster: Cluster, op: str, target: str, server: str, user: Any, by: str, deadline_s: float = DEADLINE_S,
    key: uuid.UUID | None = None, why: str = "",
) -> Operation:  # fmt: skip
    """Asks the cluster and waits for the end. The caller has checked the role. `key`: the operation's id; one that
    exists already is not asked for again, only its end is waited for."""
    there = await hub().ready()
    operation, new = await _begun(there, cluster, key, op=op, target=target, server=server, user=user, by=by, why=why)
    if not new:
        return await outcome(operation, deadline_s)
    await there.carrier.carry_out(operation, deadline_s)
    return operation


async def begin(
    *, cluster: Cluster, op: str, target: str, server: str, user: Any, by: str, deadline_s: float = DEADLINE_S,
    key: uuid.UUID | None = None, why: str = "", further: parts.Further | None = None,
) -> Operation:  # fmt: skip
    """Like operate, but returns at once; the operation's page and the browsers' sockets tell how it goes on."""
    there = await hub().ready()
    asked = {"op": op, "target": target, "server": server, "user": user, "by": by, "why": why}
    operation, new = await _begun(there, cluster, key, further, **asked)
    if new:
        there.spawn(there.carrier.carry_out(operation, deadline_s))
    return operation


async def _begun(
    there: Hub, cluster: Cluster, key: uuid.UUID | None, further: parts.Further | None = None, **asked: Any
) -> tuple[Operation, bool]:
    """(operation, whether it is new). What will be sent is stored with it."""
    chosen = key or uuid.uuid4()
    status = there.status(cluster.name)
    known = status or {"cluster": {"coordinator": ""}, "servers": {}, "groups": {}, "monitors": {}, "mirrors": {}}
    made = parts.stages(chosen, asked["op"], asked["target"], asked["server"], known, further)
    more = {"parts": msgspec.to_builtins(made), "told_at": timezone.now()}
    return await in_db(_begin, cluster=cluster, key=chosen, **asked, **more)


def _begin(*, cluster: Cluster, key: uuid.UUID, **asked: Any) -> tuple[Operation, bool]:
    return Operation.objects.get_or_create(id=key, defaults={"cluster": cluster, **asked})


async def outcome(operation: Operation, limit_s: float) -> Operation:
    """The same operation when it has ended, or as it is after `limit_s`. Whoever carries it out may be elsewhere."""
    end = asyncio.get_running_loop().time() + limit_s
    while not operation.ended and (left_s := end - asyncio.get_running_loop().time()) > 0:
        await asyncio.sleep(min(left_s, _LOOK_AGAIN_S))
        operation = await in_db(Operation.objects.select_related("cluster").get, id=operation.id)
    return operation


async def cancel(*, operation: Operation, by: str) -> tuple[bool, str]:
    """(whether anything was cancelled, a sentence). What was not sent yet is not sent any more; what waits in the
    cluster is taken out of its line; what has begun goes on, and the sentence says so."""
    await in_db(_mark_cancelled, operation, by)
    there = await hub().ready()
    texts = []
    for part in [part for stage in stages_of(operation) for part in stage]:
        request = Request(id=f"{part.id}:cancel:{uuid.uuid4().hex[:8]}", op="request_cancel", target=part.id, by=by)
        answer = await there.commands.ask(operation.cluster.name, request, _CANCEL_S, lambda text: None, node=part.node)
        texts.append(answer.text)
        if answer.code == 0:
            return True, answer.text
    return False, texts[0] if len(texts) == 1 else _("Parts that had not been sent yet are left out; the others go on.")


def _mark_cancelled(operation: Operation, by: str) -> None:
    Operation.objects.filter(id=operation.id, state=Operation.State.RUNNING).update(cancel=True)
    who, _at, address = by.rpartition("@")
    audit.add(
        "operation.cancel", who=who or by, address=address, target=operation.target, cluster=operation.cluster.name,
        result="asked", detail={"operation": str(operation.pk), "op": operation.op},
    )  # fmt: skip


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
    # None of the processes took it over, or it found nobody to ask.
    overdue = now - datetime.timedelta(seconds=4 * DEADLINE_S)
    Operation.objects.filter(state=Operation.State.RUNNING, at__lt=overdue).update(
        state=Operation.State.ACCEPTED,
        reason="manager_restarted",
        text="The manager was restarted meanwhile; the status shows what became of it.",
        ended_at=now,
    )
