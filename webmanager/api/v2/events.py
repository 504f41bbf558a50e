"""Events of a cluster with a cursor: at once, as soon as there is one (long poll), or as a stream (server-sent events).

While a reply waits it is written by the event loop: it holds no connection to the database, and only a sleeping thread
(Django keeps one for each request: 0.17 MB).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from asgiref.sync import async_to_sync
from django.db import connection
from django.http import HttpResponseBase, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from webmanager import access, selectors, tail
from webmanager.api import tokens
from webmanager.api.serializers import EventsReply, Reply
from webmanager.api.v2.base import OK, TEXT, Busy, ClusterBase, documented, number_parameter
from webmanager.ledger import in_db
from webmanager.models import ApiToken, Cluster

_LIMIT, _LIMIT_MOST = 200, 1000
_WAIT_MOST_S = 60
_PING_S = 15.0  # Proxies cut connections in which nothing passes for a minute.
_RETRY_MS = 2000
_CURSOR_MOST = 2**62
Wanted = Callable[[dict[str, Any]], bool]

_AFTER = number_parameter("after", 0, _CURSOR_MOST, 0, "Cursor (`next`) of the last reply; 0: from the first on.")
_FILTERS = (
    OpenApiParameter("severity", TEXT, enum=["info", "warning", "error"], description="Only these."),
    OpenApiParameter("kind", TEXT, description="Only about objects of this kind: group, server, monitor ..."),
    OpenApiParameter("name", TEXT, description="Only about the object of this name."),
)
_LAST_EVENT_ID = OpenApiParameter(
    "Last-Event-ID", TEXT, OpenApiParameter.HEADER, description="As browsers send it; counts instead of `after`."
)


class Events(ClusterBase):
    @documented(
        {200: EventsReply, 503: Reply},
        _AFTER, *_FILTERS,
        number_parameter("limit", 1, _LIMIT_MOST, _LIMIT, "At most this many."),
        number_parameter("wait", 0, _WAIT_MOST_S, 0, "When there is none: answer as soon as one comes, at the latest "
                         "after so many seconds (long poll)."),
        operation_id="v2_events",
    )  # fmt: skip
    def get(self, request: Request, cluster: str) -> HttpResponseBase:
        """The event log in order of arrival, so that nothing that comes late is missed. Ask again with after=`next`."""
        of, wanted = self.cluster(), wanted_of(request)
        after = self.number("after", 0, 0, _CURSOR_MOST)
        limit = self.number("limit", _LIMIT, 1, _LIMIT_MOST)
        wait_s = self.number("wait", 0, 0, _WAIT_MOST_S)
        notes, after = stored(of, after, limit, wanted)
        if notes or not wait_s:
            return Response({"events": notes, "next": str(after), "result": OK})
        return streaming(_one_reply(of, after, limit, wanted, wait_s), "application/json")


class EventStreamRenderer(BaseRenderer):
    media_type = "text/event-stream"
    format = "sse"

    def render(self, data: Any, accepted_media_type: Any = None, renderer_context: Any = None) -> bytes:
        """Errors only: the stream itself is no Response."""
        return JSONRenderer().render(data)


class EventStream(ClusterBase):
    renderer_classes = (JSONRenderer, EventStreamRenderer)

    @documented(
        {(200, "text/event-stream"): OpenApiTypes.STR, 503: Reply},
        _AFTER, _LAST_EVENT_ID, *_FILTERS,
        operation_id="v2_event_stream",
    )  # fmt: skip
    def get(self, request: Request, cluster: str) -> HttpResponseBase:
        """Server-sent events without an end: `id` is the cursor, `event` is note, `data` an event as of v2_events.
        A new connection with Last-Event-ID goes on where the last one broke."""
        last = request.headers.get("Last-Event-ID", "")
        of, wanted = self.cluster(), wanted_of(request)
        after = int(last) if last.isascii() and last.isdigit() and len(last) < 19 else None
        if after is None:
            after = self.number("after", 0, 0, _CURSOR_MOST)
        return streaming(_stream(of, after, wanted, still_allowed(request, of)), "text/event-stream")


def wanted_of(request: Request) -> Wanted:
    asked = {key: value for key in ("severity", "kind", "name") if (value := request.GET.get(key, ""))}
    return lambda note: all(note[key] == value for key, value in asked.items())


def stored(cluster: Cluster, after: int, limit: int, wanted: Wanted) -> tuple[list[dict[str, Any]], int]:
    """(at most `limit` notes that are wanted, how far was read)."""
    notes: list[dict[str, Any]] = []
    while rows := selectors.events_after(cluster=cluster, after=after, limit=_LIMIT_MOST):
        for cursor, note in rows:
            after = cursor
            if wanted(note):
                notes.append(note)
            if len(notes) == limit:
                return notes, after
        if len(rows) < _LIMIT_MOST:
            break
    return notes, after


def streaming(body: AsyncIterator[str], kind: str) -> StreamingHttpResponse:
    if async_to_sync(tail.crowded)():
        raise Busy("Too many clients wait for events here already. Ask again in a minute.", 60)
    if not connection.in_atomic_block:
        connection.close()  # Else it would be held as long as the client waits.
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingHttpResponse(body, content_type=kind, headers=headers)


def still_allowed(request: Request, cluster: Cluster) -> Callable[[], bool]:
    """Asked again and again while a stream goes on: a right that was taken away ends it."""
    user, token, here = request.user, request.auth, access.origin()

    def allowed() -> bool:
        if isinstance(token, ApiToken) and not tokens.valid(digest=token.digest):
            return False
        newest = type(user)._default_manager.filter(pk=user.pk, is_active=True, password=user.password).first()
        return newest is not None and access.role_of(newest, cluster, from_=here) != ""

    return allowed


async def _one_reply(cluster: Cluster, after: int, limit: int, wanted: Wanted, wait_s: int) -> AsyncIterator[str]:
    notes: list[dict[str, Any]] = []
    follower = tail.follow(cluster, after, wait_s)
    try:
        async with asyncio.timeout(wait_s):
            async for rows in follower:
                for cursor, note in rows:
                    after = cursor
                    if wanted(note):
                        notes.append(note)
                    if len(notes) == limit:
                        break
                if notes:
                    break
    except TimeoutError:
        pass
    finally:
        await follower.aclose()
    yield json.dumps({"events": notes, "next": str(after), "result": OK})


async def _stream(cluster: Cluster, after: int, wanted: Wanted, allowed: Callable[[], bool]) -> AsyncIterator[str]:
    yield f"retry: {_RETRY_MS}\n\n"
    loop = asyncio.get_running_loop()
    asked = loop.time()
    follower = tail.follow(cluster, after, _PING_S)
    try:
        async for rows in follower:
            if loop.time() - asked >= _PING_S:
                asked = loop.time()
                if not await in_db(allowed):
                    yield "event: end\ndata: you may not read these events any more\n\n"
                    return
            told = [f"id: {cursor}\nevent: note\ndata: {json.dumps(note)}\n\n" for cursor, note in rows if wanted(note)]
            # An id without data moves the browser's cursor and nothing else.
            yield "".join(told) or (f"id: {rows[-1][0]}\n\n" if rows else ": nothing new\n\n")
    finally:
        await follower.aclose()
