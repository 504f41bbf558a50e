"""Writes what is recorded, piece by piece, and keeps it within its limits."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet, Sum

from webmanager.history import tape
from webmanager.history.models import Piece, Tape
from webmanager.models import Cluster

log = logging.getLogger(__name__)

_BATCH = 500
# A tape to which nothing was added for so long has lost its writer.
_ABANDONED_S = 3600.0


class OpenTape:
    """A tape that is being written: what the database has of it, and what it shall have."""

    def __init__(self, cluster: str, writer: str, began: float) -> None:
        self.cluster = cluster
        self.writer = writer
        self.began = self.ended = began
        self.frames = 0
        self.closed = False
        self.key: int | None = None  # of its row
        self.pieces: list[bytes] = []
        self.written = 0  # pieces
        self.size_bytes = 0

    def grow(self, piece: bytes, until: float, made: tape.Recorder) -> None:
        if piece:
            self.pieces.append(piece)
        self.ended = max(self.ended, until, made.at)
        self.frames, self.size_bytes = made.frames, made.size_bytes

    @property
    def quiet(self) -> bool:
        """Nothing is to be written but that it goes on."""
        return self.key is not None and not self.closed and self.written == len(self.pieces)

    @property
    def unwritten_bytes(self) -> int:
        return sum(map(len, self.pieces[self.written :]))


def store(tapes: Sequence[OpenTape]) -> list[str]:
    """All or nothing, and again with more when it fails. Returns the clusters that are no longer known."""
    names = {one.cluster for one in tapes}
    with transaction.atomic():
        keys = dict(Cluster.objects.filter(name__in=names).values_list("name", "id"))
        known = [one for one in tapes if one.cluster in keys]
        quiet = {one.key: one.ended for one in known if one.quiet}
        if quiet:
            Tape.objects.filter(pk__in=quiet).update(ended=min(quiet.values()))
        written = [(one, _store(one, keys[one.cluster])) for one in known if not one.quiet]
    for one, key in written:
        one.key, one.written = key, len(one.pieces)
    return [name for name in names if name not in keys]


def _store(one: OpenTape, cluster: int) -> int:
    """Returns the key of its row. When somebody has deleted that one, all is written anew."""
    values = {"ended": one.ended, "frames": one.frames, "size_bytes": one.size_bytes, "closed": one.closed}
    if one.closed:
        values["data"] = b"".join(one.pieces)
    key, written = one.key, one.written
    if key is None or not Tape.objects.filter(pk=key).update(**values):
        key = Tape.objects.create(cluster_id=cluster, writer=one.writer, began=one.began, **values).pk
        written = 0
    if one.closed:
        Piece.objects.filter(tape_id=key).delete()
    else:
        fresh = enumerate(one.pieces[written:], written)
        # A commit whose answer was lost is repeated.
        Piece.objects.bulk_create([Piece(tape_id=key, number=n, data=data) for n, data in fresh], ignore_conflicts=True)
    return int(key)


def prune(*, now: float | None = None) -> None:
    """What is older than HISTORY_DAYS goes; of a cluster that needs more than HISTORY_MB the oldest."""
    now = time.time() if now is None else now
    edge = now - settings.HISTORY_DAYS * 86400
    Tape.objects.filter(ended__lt=edge).delete()
    for cluster in Cluster.objects.values_list("id", flat=True):
        _shorten(Tape.objects.filter(cluster_id=cluster))
    for left in Tape.objects.filter(closed=False, ended__lt=now - _ABANDONED_S).defer("data")[:_BATCH]:
        _fold(left)


def _shorten(tapes: QuerySet[Tape]) -> None:
    limit = settings.HISTORY_MB * 1024 * 1024
    total = tapes.aggregate(total=Sum("size_bytes"))["total"] or 0
    over, doomed = total - limit, []
    for key, size in tapes.order_by("began").values_list("id", "size_bytes") if over > 0 else ():
        if over <= 0:
            break
        doomed.append(key)
        over -= size
    for start in range(0, len(doomed), _BATCH):
        Tape.objects.filter(id__in=doomed[start : start + _BATCH]).delete()


@transaction.atomic
def _fold(left: Tape) -> None:
    data = b"".join(bytes(piece) for piece in left.pieces.values_list("data", flat=True))
    Tape.objects.filter(pk=left.pk, closed=False).update(data=data, closed=True)
    left.pieces.all().delete()
