"""A process in the place of a mirror process: listens, says who it is, and stays."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys

import msgspec

from agent.drivers.message_sockets import bind
from agent.mirrord.settings import Settings


def main() -> None:
    with open(sys.argv[1], "rb") as file:
        settings = msgspec.json.decode(file.read(), type=Settings)
    if settings.data == "/missing":
        sys.exit("2026-01-01 The data partition /missing cannot be opened")
    listener = bind(settings.control, socket.SOCK_SEQPACKET)
    listener.setblocking(True)
    listener.listen()
    ends = []
    while True:
        end, _ = listener.accept()
        ends.append(end)
        with contextlib.suppress(OSError):  # Who only looks has gone again.
            end.send(json.dumps({"type": "hello", "pid": os.getpid(), "mirror": settings.mirror}).encode())
            end.send(json.dumps({"type": "state", "server": settings.server}).encode())


if __name__ == "__main__":
    main()
