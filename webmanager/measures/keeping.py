"""Keeps what was measured: a look each quarter minute, a frame each minute, coarser ones for a month.

Rules of this file
- Every process of the manager sees all clusters; of those that write a span the first one wins (frame_once), and the
  others' rows fall away: no process has to know of another.
- Written by the ledger's threads, so that neither agents nor browsers wait; while the database does not answer, spans
  are lost, and the chart shows a gap.
- A day of fine spans and a month of coarse ones; coarse ones are made from the fine ones by a task of Celery, which
  also makes up for those that nobody made in time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError, transaction

from webmanager import ledger
from webmanager.measures import samples
from webmanager.measures.models import Frame
from webmanager.measures.samples import COARSE_S, FINE_S, MANY, MANY_S, Collector
from webmanager.models import Cluster

if TYPE_CHECKING:
    from webmanager.hub import Hub

log = logging.getLogger(__name__)

LOOK_S = 15.0
FINE_KEPT_S = 26 * 3600  # a day, and what the coarse ones are still made of
COARSE_KEPT_S = 30 * 86400
_BATCH = 200


async def keep(hub: Hub) -> None:
    """For as long as the hub lives."""
    keeper = Keeper()
    while True:
        await asyncio.sleep(LOOK_S - time.time() % LOOK_S)
        try:
            due = keeper.look({name: room.reducer.status for name, room in hub.rooms.items()}, int(time.time()))
            for cluster, span_s, at, frames in due:
                await ledger.in_db(store, cluster, span_s, at, frames)
        except DatabaseError:
            log.exception("what was measured cannot be stored now")
        except Exception:  # Charts must not end because of one cluster's bad data.
            log.exception("what was measured cannot be read")


class Keeper:
    """The collectors of all clusters, and when each of them is due."""

    def __init__(self) -> None:
        self._collectors: dict[str, tuple[Collector, int]] = {}  # with the beginning of its span

    def look(
        self, statuses: Mapping[str, Mapping[str, Any] | None], now: int
    ) -> list[tuple[str, int, int, dict[int, bytes]]]:
        """What is complete: (cluster, span, its beginning, data by shard)."""
        due = []
        for name, status in statuses.items():
            collector, began = self._collectors.setdefault(name, (Collector(), now - now % FINE_S))
            if now - now % FINE_S > began and (closed := self._closed(collector, began, now)):
                span_s, data = closed
                due += [(name, span_s, began - began % span_s, data)] if data else []
                self._collectors[name] = collector, now - now % FINE_S
            if status is not None:
                collector.look(status)
        for gone in self._collectors.keys() - statuses.keys():
            del self._collectors[gone]
        return due

    @staticmethod
    def _closed(collector: Collector, began: int, now: int) -> tuple[int, dict[int, bytes]] | None:
        span_s = MANY_S if len(collector) > MANY else FINE_S
        if now - now % span_s <= began:
            return None
        return span_s, samples.packed(collector.close())


@transaction.atomic
def store(cluster: str, span_s: int, at: int, frames: Mapping[int, bytes]) -> None:
    key = Cluster.objects.filter(name=cluster).values_list("id", flat=True).first()
    if key is not None and frames:
        rows = [Frame(cluster_id=key, span_s=span_s, at=at, shard=shard, data=data) for shard, data in frames.items()]
        Frame.objects.bulk_create(rows, ignore_conflicts=True, batch_size=_BATCH)


def condense(now: int) -> int:
    """Makes the coarse spans that lack; returns how many rows that gave."""
    until = now - now % COARSE_S
    since = until - FINE_KEPT_S
    made = 0
    fine = Frame.objects.filter(span_s__lt=COARSE_S, at__gte=since, at__lt=until)
    done = set(Frame.objects.filter(span_s=COARSE_S, at__gte=since).values_list("cluster_id", "at").distinct())
    wanted = {(cluster, at - at % COARSE_S) for cluster, at in fine.values_list("cluster_id", "at").distinct()}
    for cluster, at in sorted(wanted - done):
        made += _condense_one(cluster, at)
    return made


def _condense_one(cluster: int, at: int) -> int:
    found = Frame.objects.filter(cluster_id=cluster, span_s__lt=COARSE_S, at__gte=at, at__lt=at + COARSE_S)
    rows = groupby(found.order_by("shard", "at").values_list("shard", "data").iterator(_BATCH), key=lambda row: row[0])
    coarse = [
        Frame(cluster_id=cluster, span_s=COARSE_S, at=at, shard=shard,
              data=samples.condensed(bytes(data) for _, data in some))
        for shard, some in rows
    ]  # fmt: skip
    Frame.objects.bulk_create(coarse, ignore_conflicts=True, batch_size=_BATCH)
    return len(coarse)


def prune(now: int) -> None:
    Frame.objects.filter(span_s__lt=COARSE_S, at__lt=now - FINE_KEPT_S).delete()
    Frame.objects.filter(span_s=COARSE_S, at__lt=now - COARSE_KEPT_S).delete()
