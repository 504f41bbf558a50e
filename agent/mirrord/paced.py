"""What goes to the other side no faster than the administrator allows, in order (asynchronous mode).

How much can wait here is bounded by those who send: the writes by the queue of the mind, the copy by its window.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from agent.mirrord.disk import Buffer
from agent.mirrord.poller import Poller, Timer

_BURST_S = 0.25  # of the allowed rate may go at once after a rest
_HEAD_BYTES = 64  # of a frame, about

_Frame = tuple[int, int, tuple[int, int], int, bytes, int]


class _Link(Protocol):
    def send(self, kind: int, seq: int, epoch: tuple[int, int], offset: int, payload: Buffer, spare: int) -> None: ...


class Paced:
    """`send` as that of a link; `clear` when what was said on it does not hold any more."""

    def __init__(self, poller: Poller, link: _Link, bytes_s: int) -> None:
        self._poller, self._link, self._bytes_s = poller, link, bytes_s
        self._waiting: deque[_Frame] = deque()
        self._timer: Timer | None = None
        self._allowed = 0.0  # bytes; below zero: in debt
        self._at = poller.now()

    def send(
        self,
        kind: int,
        seq: int = 0,
        epoch: tuple[int, int] = (0, 0),
        offset: int = 0,
        payload: Buffer = b"",
        spare: int = 0,
    ) -> None:
        if not self._waiting and self._may():
            self._allowed -= _HEAD_BYTES + len(payload)
            self._link.send(kind, seq, epoch, offset, payload, spare)
        else:
            self._waiting.append((kind, seq, epoch, offset, bytes(payload), spare))
            self._arm()

    def clear(self) -> None:
        self._waiting.clear()

    def _may(self) -> bool:
        now = self._poller.now()
        self._allowed = min(self._allowed + (now - self._at) * self._bytes_s, self._bytes_s * _BURST_S)
        self._at = now
        return self._allowed >= 0

    def _arm(self) -> None:
        if self._timer is None:
            self._timer = self._poller.after(max(-self._allowed / self._bytes_s, 0.0), self._go)

    def _go(self) -> None:
        self._timer = None
        while self._waiting and self._may():
            frame = self._waiting.popleft()
            self._allowed -= _HEAD_BYTES + len(frame[4])
            self._link.send(*frame)
        if self._waiting:
            self._arm()
