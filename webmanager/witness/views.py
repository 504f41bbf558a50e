"""/witness/v1/...: no login and no cookie; every request is signed with the secret of its cluster."""

from __future__ import annotations

import time

from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from agent.wire import witness as wire
from agent.witness import door
from agent.witness.http import Rate
from webmanager.accounts.marks import open_to_all
from webmanager.ledger import in_db
from webmanager.throttle import client_address
from webmanager.witness import services

_rate = Rate()


@open_to_all
@csrf_exempt
@require_POST
async def ask(request: HttpRequest, cluster: str, op: str) -> HttpResponse:
    if len(request.body) > wire.BODY_BYTES:
        return _response(door.Reply(413, wire.encode_error(f"a body has at most {wire.BODY_BYTES} bytes")))
    if not _rate.allows(client_address(request), time.monotonic()):
        return _response(door.Reply(429, wire.encode_error("too many requests from this address")))
    reply = await in_db(
        services.answer, cluster=cluster, op=op, authorization=request.headers.get("authorization", ""),
        body=request.body,
    )  # fmt: skip
    return _response(reply)


@open_to_all
@never_cache
@require_GET
async def state(request: HttpRequest, cluster: str) -> HttpResponse:
    authorization = request.headers.get("authorization", "")
    return _response(await in_db(services.show, cluster=cluster, authorization=authorization))


def _response(reply: door.Reply) -> HttpResponse:
    response = HttpResponse(reply.body, status=reply.status, content_type=door.JSON)
    if reply.signature:
        response[wire.SIGNATURE_HEADER] = reply.signature
    return response
