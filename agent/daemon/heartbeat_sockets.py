"""The heartbeat child's sockets towards daemon and supervisor: one JSON object a message, nothing waits."""

from __future__ import annotations

import json
import os
import socket
from typing import Any

MESSAGE_BYTES = 64 << 10
_MESSAGES_A_TURN = 64


def listener(path: str) -> socket.socket:
    """Only the owner may speak: whoever says "online" here keeps peers from taking over."""
    if os.path.exists(path):
        os.unlink(path)
    end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    old = os.umask(0o177)
    try:
        end.bind(path)
    finally:
        os.umask(old)
    end.listen(4)
    return end


def messages(end: socket.socket | None) -> list[dict[str, Any] | None]:
    """What waits in a message socket; None at its end stands for closed or speaking rubbish."""
    found: list[dict[str, Any] | None] = []
    for _ in range(_MESSAGES_A_TURN):
        try:
            data = end.recv(MESSAGE_BYTES, socket.MSG_DONTWAIT) if end is not None else b""
            message = json.loads(data) if data else None
        except BlockingIOError:
            break
        except (OSError, ValueError):
            message = None
        found.append(message if isinstance(message, dict) else None)
        if found[-1] is None:
            break
    return found
