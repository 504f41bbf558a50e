"""The audit: rows that are only added, each holding the hash of the one before.

Rules of this file
- A row's hash is SHA-256 over its fields in a fixed form, so an exported file can be checked without this program.
- Whoever can write to the database could compute all of that anew, but not the head's seal: SECRET_KEY is in it.
- Rows are added one after the other: the head is locked from reading to commit, in the transaction of what is told.
- No secret, no password and no token ever comes here; who adds a row says what of it may be read.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone

from webmanager.accounts import seal
from webmanager.accounts.models import AuditEntry, AuditHead

FIELDS = ("number", "at", "who", "address", "action", "target", "cluster", "result", "detail", "before")
_CHUNK = 2000
_START = "0" * 64


@dataclass(frozen=True)
class Verdict:
    """`wrong`: number of the first row that is not as it was written, 0 for the head."""

    rows: int
    wrong: int | None = None
    why: str = ""

    @property
    def whole(self) -> bool:
        return self.wrong is None


def add(
    action: str, *, who: str, address: str = "", target: str = "", cluster: str = "", result: str = "done",
    detail: dict[str, Any] | None = None,
) -> AuditEntry:  # fmt: skip
    with transaction.atomic():
        head = AuditHead.objects.select_for_update().filter(id=1).first() or AuditHead.objects.create(id=1)
        entry = AuditEntry(
            number=head.number + 1,
            at=timezone.now().isoformat(timespec="microseconds"),
            who=_clean(who, 150), address=_clean(address, 64), action=action, target=_clean(target, 255),
            cluster=_clean(cluster, 64), result=result, detail=detail or {}, before=head.hash or _START,
        )  # fmt: skip
        entry.hash = hash_of(as_dict(entry))
        entry.save(force_insert=True)
        head.number, head.hash, head.seal = entry.number, entry.hash, _seal(entry.number, entry.hash)
        head.save()
    return entry


def _clean(text: str, longest: int) -> str:
    """PostgreSQL refuses NUL, no database takes half a character, and a failed sign-in may bring any name."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()[:longest]


def as_dict(entry: AuditEntry) -> dict[str, Any]:
    return {field: getattr(entry, field) for field in FIELDS}


def hash_of(fields: dict[str, Any]) -> str:
    text = json.dumps(fields, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _seal(number: int, digest: str) -> str:
    return hmac.new(seal.key("audit"), f"{number} {digest}".encode(), hashlib.sha256).hexdigest()


def verify() -> Verdict:
    """Reads the whole chain, oldest first. Nobody waits for it: rows that come meanwhile are left to the next time."""
    newest = AuditEntry.objects.order_by("-number").values_list("number", flat=True).first() or 0
    head = AuditHead.objects.filter(id=1).first() or AuditHead(id=1)
    before, count = _START, 0
    for entry in rows(limit=head.number):
        if entry.number != count + 1:
            return Verdict(count, count + 1, f"Row {count + 1} is missing.")
        if entry.before != before or hash_of(as_dict(entry)) != entry.hash:
            return Verdict(count, count + 1, f"Row {count + 1} is not as it was written.")
        before, count = entry.hash, entry.number
    if newest > head.number:
        return Verdict(count, 0, f"Row {newest} was not added by this program.")
    return _verify_head(head, count, before)


def _verify_head(head: AuditHead, count: int, newest: str) -> Verdict:
    if head.number != count or (count and head.hash != newest):
        return Verdict(count, 0, f"The end is missing: row {head.number} was the newest, row {count} is there.")
    if count and not hmac.compare_digest(head.seal, _seal(head.number, head.hash)):
        return Verdict(count, 0, "The seal does not fit: the rows were made anew, or SECRET_KEY is another one.")
    return Verdict(count)


def rows(after: int = 0, limit: int | None = None) -> Iterator[AuditEntry]:
    """Oldest first."""
    found = AuditEntry.objects.filter(number__gt=after).order_by("number")
    return (found[:limit] if limit is not None else found).iterator(chunk_size=_CHUNK)


def lines(after: int = 0, limit: int | None = None) -> Iterator[str]:
    """JSON lines; each holds its hash and that of the row before."""
    for entry in rows(after, limit):
        yield json.dumps({**as_dict(entry), "hash": entry.hash}, sort_keys=True, ensure_ascii=False) + "\n"
