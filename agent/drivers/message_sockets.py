"""Message sockets between supervisor, its children and the daemon: one JSON object a message, nothing waits."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

CONTROL_FD = 3  # of a child: its message socket to the supervisor
MESSAGE_BYTES = 64 << 10
MESSAGES_A_TURN = 64
ALL = 1024  # more than the kernel keeps for who does not read


def bind(path: str, kind: int) -> socket.socket:
    """A unix socket at `path`, in the place of one left behind, to which only its owner may speak."""
    if os.path.exists(path):
        os.unlink(path)
    end = socket.socket(socket.AF_UNIX, kind | socket.SOCK_NONBLOCK)
    old = os.umask(0o177)
    try:
        end.bind(path)
    finally:
        os.umask(old)
    return end


def listen(path: str) -> socket.socket:
    """For the daemon, which alone may speak: "online" keeps peers from taking over, a question becomes a promise."""
    end = bind(path, socket.SOCK_SEQPACKET)
    end.listen(4)
    return end


def messages(
    end: socket.socket | None, most: int = MESSAGES_A_TURN, size: int = MESSAGE_BYTES
) -> Iterator[dict[str, Any] | None]:
    """What waits in a message socket, if there is one; None at its end stands for closed or speaking rubbish."""
    if end is None:
        return
    for _ in range(most):
        try:
            data = end.recv(size, socket.MSG_DONTWAIT)
            message = json.loads(data) if data else None
        except BlockingIOError:
            return
        except (OSError, ValueError):
            message = None
        if not isinstance(message, dict):
            yield None
            return
        yield message


class Correspondent:
    """Daemon or supervisor, as a child of the supervisor speaks with it: it may stop reading, or be gone, at any time.

    `watch` and `unwatch` are the loop's; `lost` is called once for each end that was opened.
    """

    def __init__(
        self,
        watch: Callable[[int, Callable[[], None]], None],
        unwatch: Callable[[int], None],
        lost: Callable[[], None] = lambda: None,
    ) -> None:
        self._watch = watch
        self._unwatch = unwatch
        self._lost = lost
        self.socket: socket.socket | None = None
        self.behind = False  # it did not take a message

    @property
    def connected(self) -> bool:
        return self.socket is not None

    def open(self, end: socket.socket, read: Callable[[], None]) -> None:
        """In place of the one before."""
        self.close()
        end.setblocking(False)
        self.socket = end
        self._watch(end.fileno(), read)

    def accept(self, listener: socket.socket, read: Callable[[], None]) -> bool:
        """A new daemon comes only when the supervisor has ended the old one."""
        try:
            end, _ = listener.accept()
        except OSError:
            return False
        self.open(end, read)
        return True

    def close(self) -> None:
        if self.socket is not None:
            self._unwatch(self.socket.fileno())
            self.socket.close()
            self.socket = None
            self.behind = False
            self._lost()

    def send(self, message: dict[str, Any]) -> None:
        """What it does not take is lost, and `behind` says so."""
        if self.socket is None:
            return
        try:
            self.socket.send(json.dumps(message).encode(), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except BlockingIOError:
            self.behind = True
        except OSError:
            self.close()

    def read(self) -> Iterator[dict[str, Any] | None]:
        return messages(self.socket)
