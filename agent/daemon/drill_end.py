"""The signed word that ends a drill at once, sent to the heartbeat port of a server that hears nobody else.

It names the drill, so that it ends no later one; whoever repeats it does no harm. Standard library only.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable

# As they are there: the heartbeat child must not load OpenSSL.
from agent.wire.heartbeat import blake2b, compare_digest  # type: ignore[attr-defined]

MAGIC = b"openclp drill end 1\n"
_MAC_BYTES = 32
_COPIES = 3


def word(key: bytes, cluster: str, drill: str) -> bytes:
    return MAGIC + _mac(key, cluster, drill)


def is_word(data: bytes, key: bytes, cluster: str, drill: str) -> bool:
    """Does it end this drill?"""
    return data.startswith(MAGIC) and compare_digest(data[len(MAGIC) :], _mac(key, cluster, drill))


def _mac(key: bytes, cluster: str, drill: str) -> bytes:
    return blake2b(f"{cluster}\n{drill}".encode(), key=key, digest_size=_MAC_BYTES, person=b"openclp-drill").digest()


def send(data: bytes, addresses: Iterable[str], port: int) -> None:
    """To every address, whichever of them is reached."""
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as end:
                for _ in range(_COPIES):
                    end.sendto(data, (address.split("%")[0], port))
        except OSError:
            continue  # Another path may carry it.
