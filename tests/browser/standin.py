"""A stand-in for the manager, for the browser tests only: the real templates and static files, a made-up cluster.

Run as `python -m tests.browser.standin`; prints its port. POST /_do tells it what shall happen.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import django
import uvicorn
from django.conf import settings

ROOT = Path(__file__).parents[2]
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
settings.configure(
    DEBUG=False,
    SECRET_KEY="only-for-tests",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF="tests.browser.standin_pages",
    # Its models need those of others to be there; nothing is stored.
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "knox", "django.contrib.staticfiles",
                    "django_htmx", "webmanager"],
    KNOX_TOKEN_MODEL="webmanager.ApiToken",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    MIDDLEWARE=["tests.browser.standin.strict", "django.middleware.locale.LocaleMiddleware",
                "django_htmx.middleware.HtmxMiddleware"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [ROOT / "templates"],
                "APP_DIRS": True,
                "OPTIONS": {"context_processors": ["django.template.context_processors.request",
                                                   "django.template.context_processors.i18n",
                                                   "tests.browser.standin_pages.common"]}}],
    STATIC_URL="/static/",
    STATICFILES_DIRS=[ROOT / "static"],
    LANGUAGES=[("en", "English"), ("ja", "Japanese")],
    LOCALE_PATHS=[ROOT / "webmanager" / "locale"],
    TIME_ZONE="UTC",
    USE_TZ=True,
)  # fmt: skip


def strict(get_response: Callable[..., Any]) -> Callable[..., Any]:
    """The same content security policy as the manager's."""

    def answer(request: Any) -> Any:
        response = get_response(request)
        response["Content-Security-Policy"] = CSP
        return response

    return answer


class Console:
    """The browsers' side of the hub: snapshot, numbered changes, alive; and what can go wrong with it."""

    loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        self.reset({})

    def reset(self, order: dict[str, Any]) -> None:
        from tests.browser.cluster import MadeUp

        sizes = {key: order[key] for key in ("servers", "groups", "lans", "guarded") if key in order}
        self.cluster: MadeUp | None = None if order.get("empty") else MadeUp(**sizes)
        self.rev = 1
        self.shown = self.cluster.status() if self.cluster else None
        self.told = 0
        self.mute = False
        self.refuse = False
        self.silent = False  # no server is heard, but the manager is
        self.code = 1012  # with which sockets are closed
        self.version = "0.1.0"
        self.demo = bool(order.get("demo"))
        self.role = order.get("role", "administrator")
        self.outage: Any = None
        self.snapshots = 0
        self.operations: dict[str, dict[str, Any]] = {}
        self.sockets: set[asyncio.Queue[str | None]] = getattr(self, "sockets", set())

    def snapshot(self) -> dict[str, Any]:
        return {"type": "snapshot", "cluster": "demo" if self.cluster else None, "rev": self.rev, "at": time.time(),
                "status": self.shown, "events": self.events(0), "outage": self.outage, "demo": self.demo,
                "agents": self.cluster.agents() if self.cluster else {}, "version": self.version,
                "open": {"error": self.errors(), "warning": 0}, "acknowledged": {}}  # fmt: skip

    def errors(self) -> int:
        return sum(note.severity == "error" for note in self.cluster.notes) if self.cluster else 0

    def events(self, after: int) -> list[dict[str, Any]]:
        import msgspec

        return [msgspec.structs.asdict(note) for note in self.cluster.notes[after:]] if self.cluster else []

    def publish(self, lose: bool = False) -> None:
        """Everything that changed since the last time, as one change; `lose`: numbered, but never sent."""
        from agent.wire.status import diff

        assert self.cluster is not None
        assert self.shown is not None
        status = self.cluster.status()
        changes, self.shown = diff(self.shown, status), status
        self.rev += 1
        events, self.told = self.events(self.told), len(self.cluster.notes)
        if not lose:
            self.send({"type": "change", "cluster": "demo", "rev": self.rev, "at": time.time(), "changes": changes,
                       "events": events, "agents": self.cluster.agents(),
                       "open": {"error": self.errors(), "warning": 0}})  # fmt: skip

    def send(self, message: dict[str, Any]) -> None:
        if not self.mute:
            text = json.dumps(message)
            for queue in list(self.sockets):
                self.loop.call_soon_threadsafe(queue.put_nowait, text)  # Pages run in threads.

    async def alive(self) -> None:
        while True:
            await asyncio.sleep(1)
            ages = {name: 0.1 for name in self.cluster.names if name not in self.cluster.down} if self.cluster else {}
            ages = {} if self.silent else ages
            self.send({"type": "alive", "rev": self.rev, "at": time.time(), "ages": ages})

    def do(self, order: dict[str, Any]) -> dict[str, Any]:
        """One order of a test."""
        what = order.pop("do")
        if what == "reset":
            self.reset(order)
            self.drop()
        elif what == "lose":
            getattr(self.cluster, order.pop("act"))(**order)
            self.publish(lose=True)
        elif what == "set":
            vars(self).update(order)
            if "outage" in order:
                self.send({"type": "outage", "outage": self.outage})
        elif what == "mark":
            for name, values in order.items():
                getattr(self.cluster, name).update(tuple(v) if isinstance(v, list) else v for v in values)
            self.publish()
        elif what == "monitor":
            assert self.cluster is not None
            self.cluster.monitor_errors[order["name"], order["server"]] = order["detail"]
            self.publish()
        elif what == "drop":
            self.drop()
        else:
            getattr(self.cluster, what)(**order)
            self.publish()
        return {"rev": self.rev, "snapshots": self.snapshots, "sockets": len(self.sockets)}

    def drop(self) -> None:
        for queue in list(self.sockets):
            self.loop.call_soon_threadsafe(queue.put_nowait, None)


CONSOLE = Console()


async def serve_socket(receive: Callable[[], Awaitable[dict[str, Any]]], send: Callable[..., Awaitable[None]]) -> None:
    """One browser."""
    await receive()
    if CONSOLE.refuse:
        await send({"type": "websocket.close", "code": 1012})
        return
    await send({"type": "websocket.accept"})
    queue: asyncio.Queue[str | None] = asyncio.Queue()
    CONSOLE.sockets.add(queue)
    writer = asyncio.create_task(_write(queue, send))
    await _show(queue)
    try:
        while (message := await receive())["type"] == "websocket.receive":
            if json.loads(message["text"]) == {"type": "resync"}:
                await _show(queue)
    finally:
        CONSOLE.sockets.discard(queue)
        writer.cancel()


async def _show(queue: asyncio.Queue[str | None]) -> None:
    CONSOLE.snapshots += 1
    if not CONSOLE.mute:
        queue.put_nowait(json.dumps(CONSOLE.snapshot()))


async def _write(queue: asyncio.Queue[str | None], send: Callable[..., Awaitable[None]]) -> None:
    while (text := await queue.get()) is not None:
        await send({"type": "websocket.send", "text": text})
    await send({"type": "websocket.close", "code": CONSOLE.code})


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await serve_socket(receive, send)
    elif scope["type"] == "http":
        await PAGES(scope, receive, send)


async def main() -> None:
    CONSOLE.loop = asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    alive = asyncio.create_task(CONSOLE.alive())
    config = uvicorn.Config(application, lifespan="off", log_level="warning", ws="websockets-sansio")
    server = uvicorn.Server(config)
    # The test's process holds our stdin: when it is gone, we go.
    gone = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    gone.add_done_callback(lambda _: setattr(server, "should_exit", True))
    await server.serve(sockets=[listener])
    alive.cancel()


if __name__ == "__main__":
    # The pages import this module by its name: one Console for both.
    sys.modules["tests.browser.standin"] = sys.modules["__main__"]
    django.setup()
    from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
    from django.core.asgi import get_asgi_application

    PAGES: Any = ASGIStaticFilesHandler(get_asgi_application())
    asyncio.run(main())
