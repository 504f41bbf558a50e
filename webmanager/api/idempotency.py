"""Idempotency-Key: a request that is sent twice under the same key is carried out once, and answered twice alike.

A key belongs to its user and is kept for a day. It is fixed before anything is asked of a cluster what is asked and
under which ids (models.KeyedRequest): a request that comes again gets their outcome, also from another process of the
manager, also while the first is still under way. A request that reached no agent at all leaves no key behind.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from django.db import IntegrityError, transaction
from rest_framework import exceptions
from rest_framework.request import Request

from webmanager.models import Cluster, KeyedRequest

Ask = tuple[str, str, str]  # op, target, server
HEADER = "Idempotency-Key"
_LONGEST = 255


class Reused(exceptions.APIException):
    status_code = 422
    default_code = "key_reused"
    default_detail = f"This {HEADER} was used for another request. Use a new one for each request."


def key_of(request: Request) -> str:
    """ "" without one."""
    key = request.headers.get(HEADER, "")
    if len(key) > _LONGEST or not (key.isascii() and key.isprintable()):
        raise exceptions.ValidationError({HEADER: f"It must be 1 to {_LONGEST} printable ASCII characters."})
    return key


def find(request: Request, key: str) -> KeyedRequest | None:
    """What was made of the same request before. Raises Reused when it was another one."""
    kept = KeyedRequest.objects.select_related("cluster").filter(user=request.user, key=key).first()
    if kept is not None and kept.digest != _digest(request):
        raise Reused
    return kept


def keep(request: Request, key: str, cluster: Cluster, asked: Sequence[Ask]) -> tuple[KeyedRequest, bool]:
    """(what counts for this key, whether it is new): of two requests at the same time, the first one's."""
    try:
        with transaction.atomic():
            made = KeyedRequest.objects.create(
                user=request.user, key=key, digest=_digest(request), cluster=cluster, asked=[list(ask) for ask in asked]
            )
    except IntegrityError:
        kept = find(request, key)
        assert kept is not None
        return kept, False
    return made, True


def _digest(request: Request) -> str:
    body = json.dumps(request.data, sort_keys=True)
    return hashlib.sha256(f"{request.method}\n{request.get_full_path()}\n{body}".encode()).hexdigest()
