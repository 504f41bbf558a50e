"""The manager as one ASGI application: pages and REST, the agents' socket, the browsers' socket, start and stop."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import django
from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler


class Pages(ASGIHandler):
    """Each request in one thread from its first rule to its last: Django's own chain goes back and forth between loop
    and thread for each of them, some twenty times, which cost more than most answers."""

    def load_middleware(self, is_async: bool = True) -> None:
        super().load_middleware(is_async=False)
        self._middleware_chain = sync_to_async(self._middleware_chain, thread_sensitive=True)


os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webmanager.settings")
django.setup(set_prefix=False)
pages = Pages()

from webmanager.consumers import FORBIDDEN, AgentConsumer, ConsoleConsumer  # noqa: E402  (after django.setup)
from webmanager.hub import hub  # noqa: E402
from webmanager.middleware import host_is_ours  # noqa: E402
from webmanager.overview.consumer import OverviewConsumer  # noqa: E402
from webmanager.sessions import session_key  # noqa: E402

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

agent_socket = AgentConsumer.as_asgi()
console_socket = ConsoleConsumer.as_asgi()
overview_socket = OverviewConsumer.as_asgi()


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await pages(scope, receive, send)
    elif scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["path"] == "/ws/agent/":
        # No cookie, no Origin: its credentials are in the handshake (consumers.AgentConsumer).
        await agent_socket(scope, receive, send)
    elif scope["path"] in ("/ws/console/", "/ws/overview/") and _same_origin(scope["headers"]):
        scope["session_key"] = session_key(scope["headers"])
        socket = console_socket if scope["path"] == "/ws/console/" else overview_socket
        await socket(scope, receive, send)
    else:
        await receive()
        await send({"type": "websocket.close", "code": FORBIDDEN, "reason": "not here, or from a foreign page"})


def _same_origin(headers: list[tuple[bytes, bytes]]) -> bool:
    """A foreign page must not ride on the cookie of a console's user: Origin has to name this very host."""
    found = {name: value.decode("latin-1") for name, value in headers if name in (b"origin", b"host")}
    host, origin = found.get(b"host", ""), urlsplit(found.get(b"origin", ""))
    return host_is_ours(host) and origin.scheme in ("http", "https") and origin.netloc.lower() == host.lower()


async def _lifespan(receive: Receive, send: Send) -> None:
    await receive()
    try:
        await hub().ready()
    except Exception as error:
        await send({"type": "lifespan.startup.failed", "message": f"the database cannot be read: {error}"})
        raise
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await hub().stop()
    await send({"type": "lifespan.shutdown.complete"})
