"""The web server on sockets that the supervisor opened: `python -m webmanager.serve FD,FD`."""

from __future__ import annotations

import gc
import socket
import sys

import uvicorn

from webmanager import memory
from webmanager.data import tls_files, trusted_proxies
from webmanager.frames import SIZE_LIMIT
from webmanager.sockets import WebSocket

# How long a thread that works for the database may keep Python's lock from the event loop: Python's own 5 ms would be a
# quarter of what a change may take from the agent to the browser.
_SWITCH_S = 0.0005


def configuration() -> uvicorn.Config:
    proxies = trusted_proxies()
    certificate, key = tls_files()
    return uvicorn.Config(
        "webmanager.asgi:application",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        # Addresses of clients come from a proxy only where one is announced.
        proxy_headers=bool(proxies),
        forwarded_allow_ips=proxies,
        ssl_certfile=certificate or None,
        ssl_keyfile=key or None,
        ws=WebSocket,
        ws_max_size=SIZE_LIMIT,
        # Small JSON to many browsers: compression costs two thirds more CPU and 50 KiB a socket.
        ws_per_message_deflate=False,
        ws_ping_interval=5,
        ws_ping_timeout=10,
        timeout_graceful_shutdown=3,
    )


def run(config: uvicorn.Config, sockets: list[socket.socket]) -> None:
    memory.limit()
    sys.setswitchinterval(_SWITCH_S)
    config.load()
    # What is there now stays: the collector need not look at it again. What agents tell is made of thousands of objects
    # without a cycle among them; with Python's own thresholds a quarter of the time would go into looking for one.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    uvicorn.Server(config).run(sockets)


def main() -> None:
    run(configuration(), [socket.socket(fileno=int(fd)) for fd in sys.argv[1].split(",")])


if __name__ == "__main__":
    main()
