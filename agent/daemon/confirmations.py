"""Where the arbiter child tells which of our beats a witness or shared disk has confirmed; standard library only."""

from __future__ import annotations

import json
import socket

from agent.drivers.message_sockets import bind

_MESSAGE_BYTES = 4096
_MESSAGES_A_TURN = 256


class Confirmations:
    """A datagram socket: neither side can hold the other up. Only its owner may speak here: it keeps leases alive."""

    def __init__(self, path: str, incarnation: int) -> None:
        self._incarnation = incarnation
        self.socket = bind(path, socket.SOCK_DGRAM)

    def read(self, now: float) -> list[tuple[str, float]]:
        """(arbiter, when we sent what it has confirmed). Words about an earlier start of this server do not count."""
        found = []
        for _ in range(_MESSAGES_A_TURN):
            try:
                message = json.loads(self.socket.recv(_MESSAGE_BYTES))
                sent_at = float(message["sent_at"])
                # Nothing that was sent later than now can have been confirmed.
                if message["incarnation"] == self._incarnation and sent_at <= now:
                    found.append((str(message["arbiter"]), sent_at))
            except BlockingIOError:
                break
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return found
