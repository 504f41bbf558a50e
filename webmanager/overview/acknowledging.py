"""Somebody has seen an event and says so: who, when, with which words; each event once, and it stays.

Rules of this file
- Warnings and errors want it; what only informs needs nobody.
- Only what somebody can have seen is acknowledged: whoever asks for "all" names the newest event that he saw.
- The first one counts: a second acknowledgement of the same event changes nothing.
"""

from __future__ import annotations

import time
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet

from webmanager import heard
from webmanager.accounts import audit
from webmanager.models import Cluster, Event
from webmanager.overview import filters
from webmanager.overview.models import Attention

COMMENT_LONGEST = 500
IDS_MOST = 1000
_TOLD = 20  # ids in the audit


def acknowledge(
    *, cluster: Cluster, found: QuerySet[Event], who: str, address: str, comment: str, detail: dict[str, Any]
) -> int:
    """How many were open and are acknowledged now. `detail`: what was asked for, for the audit."""
    comment = comment.replace("\0", "\ufffd").strip()[:COMMENT_LONGEST]
    changed = {"acked_at": time.time(), "acked_by": who, "ack_comment": comment}
    with transaction.atomic():
        count = filters.unacknowledged(found).update(**changed)
        if count:
            Attention.objects.get_or_create(cluster=cluster)
            Attention.objects.filter(cluster=cluster).update(serial=F("serial") + 1)
            audit.add(
                "events.acknowledge", who=who, address=address, cluster=cluster.name,
                detail={**detail, "count": count, "comment": comment},
            )  # fmt: skip
    return count


def these(*, cluster: Cluster, ids: list[str]) -> tuple[QuerySet[Event], dict[str, Any]]:
    """By the ids of notes, or by the numbers under which the manager keeps them."""
    numbers = [int(one) for one in ids[:IDS_MOST] if one.isascii() and one.isdigit() and len(one) < 18]
    names = [one for one in ids[:IDS_MOST] if ":" in one]
    heard.missing(cluster=cluster, ids=names)  # One that is on its way would be left out.
    found = Event.objects.filter(cluster=cluster).filter(Q(pk__in=numbers) | Q(note_id__in=names))
    return found, {"events": ids[:_TOLD]}


def matching(*, cluster: Cluster, wanted: filters.Filter, seen: int) -> tuple[QuerySet[Event], dict[str, Any]]:
    """All that fit, of those that had arrived when the newest one that was seen did."""
    return filters.events(cluster, wanted).filter(pk__lte=seen), {"filter": wanted.as_dict(), "seen": seen}


def up_to(
    *, cluster: Cluster, wanted: filters.Filter, last: Event, seen: int
) -> tuple[QuerySet[Event], dict[str, Any]]:
    """The event and all that fit and happened before it."""
    found, detail = matching(cluster=cluster, wanted=wanted, seen=max(seen, last.pk))
    earlier = Q(time__lt=last.time) | Q(time=last.time, note_id__lte=last.note_id)
    return found.filter(earlier), {**detail, "until": last.note_id}
