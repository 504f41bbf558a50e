"""Beats and proposals: authentication, then the mind of the cluster's row, locked from reading to commit."""

from __future__ import annotations

import contextlib
import functools
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from django.db import DatabaseError, connection, transaction

from agent.wire import witness as wire
from agent.witness import door
from agent.witness.mind import Promise, promise_fields, promise_of
from agent.witness.mind import Witness as Mind
from webmanager.witness.models import Witness


def add(*, cluster: str, secret: bytes) -> bool:
    """The manager is a witness of this cluster from now on. False: it was before, and now has this secret."""
    _, created = Witness.objects.update_or_create(cluster=cluster, defaults={"secret": secret.hex()})
    return created


def answer(*, cluster: str, op: str, authorization: str, body: bytes) -> door.Reply:
    """In a database thread."""
    try:
        secret = _secret(cluster)
    except DatabaseError:
        return door.Reply(503, door.failure("its database does not answer"))
    admitted = door.admit(secret, wire.path_of(cluster, op), op, authorization, body)
    if isinstance(admitted, door.Reply):
        return admitted
    assert secret is not None, "nobody is admitted without a secret"
    try:
        with _durable(op == "propose"), transaction.atomic():
            status, content = _decide(cluster, admitted.content)
    except DatabaseError as error:
        # Whatever was decided is not kept, so nobody hears of it.
        status, content = 503, door.failure(error)
    except ValueError:
        status, content = 503, wire.encode_error("the promise in its database is damaged; see manage.py witness list")
    return door.signed(secret, admitted.signature, status, content)


def show(*, cluster: str, authorization: str) -> door.Reply:
    row = Witness.objects.filter(cluster=cluster).first()
    if row is None or not wire.may_view(bytes.fromhex(row.secret), authorization):
        return door.Reply(401, wire.encode_error(door.STRANGER))
    now = _steady()
    return door.show(_mind(row, now), cluster, now)


def _secret(cluster: str) -> bytes | None:
    found = Witness.objects.filter(cluster=cluster).values_list("secret", flat=True).first()
    return bytes.fromhex(found) if found else None


def _decide(cluster: str, content: wire.Beat | wire.Ask) -> tuple[int, bytes]:
    row = Witness.objects.select_for_update().get(cluster=cluster)
    now = _steady()
    mind = _mind(row, now)
    status, body, promise = door.answer(mind, content, now)
    row.boot, row.memory = _boot(), mind.memory()
    fields = ["boot", "memory"]
    if promise is not None:
        row.promise = promise_fields(promise)
        fields.append("promise")
    row.save(update_fields=fields)
    return status, body


def _mind(row: Witness, now: float) -> Mind:
    """ValueError for a damaged promise: it must not be taken for none."""
    promise = promise_of(row.promise) if row.promise else Promise()
    if row.boot == _boot() and row.memory:
        return Mind.from_memory(promise, row.memory)
    return Mind(promise, now, secrets.token_hex(16))


@contextlib.contextmanager
def _durable(wanted: bool) -> Iterator[None]:
    """SQLite as the manager uses it may lose the last commits in a power cut. A promise must not be among them."""
    if not wanted or connection.vendor != "sqlite":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA synchronous=FULL")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA synchronous=NORMAL")


def _steady() -> float:
    """Counts what the machine slept: leases do, too. All processes of this machine have the same."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@functools.cache
def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
