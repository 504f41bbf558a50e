"""Web servers for bench push: `python -m tests.bench.push_server ours|stock FD`.

`ours` is the manager as it is, with one path more: /bench/burst?CLUSTER&N has the hub tell N messages at once, each
made and encoded by itself. `stock` is Channels as its tutorial has it: every browser is a member of one group.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import time
from typing import Any
from urllib.parse import parse_qs

import uvicorn

from webmanager import serve

FILL = "x" * 200
urlpatterns: list[Any] = []  # of the stock one, which has no pages


def ours() -> uvicorn.Config:
    from webmanager.asgi import application
    from webmanager.hub import hub

    async def with_burst(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope.get("path") != "/bench/burst":
            await application(scope, receive, send)
            return
        asked = parse_qs(scope["query_string"].decode())
        there, start = await hub().ready(), time.monotonic()
        for number in range(int(asked["n"][0])):
            message = {"type": "outage", "outage": {"mark": f"bench {number} {time.monotonic():.6f}", "fill": FILL}}
            there.announce(asked["cluster"][0], message)
            await asyncio.sleep(0)
        await _answer(send, start)

    config = serve.configuration()
    config.app = with_burst
    return config


async def _answer(send: Any, start: float) -> None:
    body = json.dumps({"start": start}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


def stock() -> uvicorn.Config:
    from django.conf import settings

    hosts = [{"address": os.environ["REDIS_URL"], "max_connections": 1000}]
    layer = {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": hosts, "capacity": 1000},
    }
    settings.configure(CHANNEL_LAYERS={"default": layer}, ROOT_URLCONF="tests.bench.push_server")
    from channels.generic.websocket import AsyncWebsocketConsumer
    from channels.layers import get_channel_layer
    from channels.routing import ProtocolTypeRouter, URLRouter
    from django.core.asgi import get_asgi_application
    from django.urls import re_path

    class Browser(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            await self.channel_layer.group_add("cluster", self.channel_name)
            await self.accept()
            await self.send(text_data=json.dumps({"type": "welcome"}).replace(" ", ""))

        async def disconnect(self, code: int) -> None:
            await self.channel_layer.group_discard("cluster", self.channel_name)

        async def change(self, event: dict[str, Any]) -> None:
            await self.send(text_data=json.dumps({"message": event["message"]}))

    class Feed(AsyncWebsocketConsumer):
        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            message = json.loads(text_data or "{}")
            await self.channel_layer.group_send("cluster", {"type": "change", "message": message})

    async def burst(scope: dict[str, Any], receive: Any, send: Any) -> None:
        layer, start = get_channel_layer(), time.monotonic()
        for number in range(int(parse_qs(scope["query_string"].decode())["n"][0])):
            message = {"mark": f"bench {number} {time.monotonic():.6f}", "fill": FILL}
            await layer.group_send("cluster", {"type": "change", "message": message})
        await _answer(send, start)

    django = get_asgi_application()

    async def http(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await (burst if scope["path"] == "/bench/burst" else django)(scope, receive, send)

    sockets = URLRouter([re_path(r"^ws/console/$", Browser.as_asgi()), re_path(r"^feed/$", Feed.as_asgi())])
    application = ProtocolTypeRouter({"http": http, "websocket": sockets})
    return uvicorn.Config(
        application, lifespan="off", log_config=None, access_log=False, ws_per_message_deflate=False,
        ws_ping_interval=None,  # Behind a queue of seconds it would end connections that are only slow.
    )  # fmt: skip


def main() -> None:
    config = {"ours": ours, "stock": stock}[sys.argv[1]]()
    serve.run(config, [socket.socket(fileno=int(sys.argv[2]))])  # Both have its care for memory.


if __name__ == "__main__":
    main()
