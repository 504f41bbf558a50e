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

from webmanager.api.errors import NoAgent
from webmanager.models import Cluster, KeyedRequest, Operation

Ask = tuple[str, str, str]  # op, target, server
HEADER = "Idempotency-Key"
_LONGEST = 255
_TRIES = 3


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
    """What was made of the same request before; None also when it reached nobody. Raises Reused when it was another."""
    kept = KeyedRequest.objects.select_related("cluster").filter(user=request.user, key=key).first()
    if kept is not None and kept.digest != _digest(request):
        raise Reused
    if kept is not None and _reached_nobody(kept):
        kept.delete()
        return None
    return kept


def _reached_nobody(kept: KeyedRequest) -> bool:
    reasons = Operation.objects.filter(id__in=kept.operation_ids()).values_list("reason", flat=True)
    return bool(reasons) and set(reasons) == {"no_agent"}


def keep(request: Request, key: str, cluster: Cluster, asked: Sequence[Ask]) -> tuple[KeyedRequest, bool]:
    """(what counts for this key, whether it is new): of two requests at the same time, the first one's."""
    asks, digest = [list(ask) for ask in asked], _digest(request)
    for _ in range(_TRIES):
        try:
            with transaction.atomic():
                fields = {"user": request.user, "key": key, "digest": digest, "cluster": cluster, "asked": asks}
                return KeyedRequest.objects.create(**fields), True
        except IntegrityError:
            # None: the other one has reached nobody, just now.
            if (kept := find(request, key)) is not None:
                return kept, False
    raise NoAgent("Others use the same key at the same time, and no agent is connected. Repeat it in a moment.")


def _digest(request: Request) -> str:
    body = json.dumps(request.data, sort_keys=True)
    return hashlib.sha256(f"{request.method}\n{request.get_full_path()}\n{body}".encode()).hexdigest()
