"""The web server on sockets that the supervisor opened: `python -m webmanager.serve FD,FD`."""

from __future__ import annotations

import socket
import sys

import uvicorn

from webmanager.data import tls_files, trusted_proxies
from webmanager.frames import SIZE_LIMIT


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
        ws_max_size=SIZE_LIMIT,
        # Small JSON to many browsers: compression costs two thirds more CPU and 50 KiB a socket.
        ws_per_message_deflate=False,
        ws_ping_interval=5,
        ws_ping_timeout=10,
        timeout_graceful_shutdown=3,
    )


def main() -> None:
    sockets = [socket.socket(fileno=int(fd)) for fd in sys.argv[1].split(",")]
    uvicorn.Server(configuration()).run(sockets)


if __name__ == "__main__":
    main()
