"""Writes to the cluster partition: one after the other, each on stable storage before the next begins."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from agent.mirrord.partition import Blocks, Partition
from agent.mirrord.poller import Poller

RETRY_S = 1.0
TRIES = 3


class Saves:
    """`failed` is called once, with a sentence, when the partition cannot be written: nothing follows then."""

    def __init__(self, partition: Partition, poller: Poller, failed: Callable[[str], None]) -> None:
        self._partition, self._poller, self._failed = partition, poller, failed
        self._waiting: deque[tuple[Blocks, Callable[[], None]]] = deque()
        self._tries = 0
        self.broken = False

    @property
    def idle(self) -> bool:
        return not self._waiting

    def put(self, blocks: Blocks, then: Callable[[], None] = lambda: None) -> None:
        if self.broken:
            return
        self._waiting.append((blocks, then))
        if len(self._waiting) == 1:
            self._next()

    def _next(self) -> None:
        blocks, _ = self._waiting[0]
        self._poller.work(lambda: self._partition.write(blocks), self._written)

    def _written(self, _: None, error: BaseException | None) -> None:
        if error is not None:
            if not isinstance(error, OSError):
                raise error
            self._again(error)
            return
        self._tries = 0
        then = self._waiting.popleft()[1]
        if self._waiting:
            self._next()
        then()

    def _again(self, error: OSError) -> None:
        self._tries += 1
        if self._tries < TRIES:
            self._poller.after(RETRY_S, self._next)
            return
        self.broken = True
        self._waiting.clear()
        self._failed(f"The cluster partition {self._partition.path} could not be written: {error.strerror}.")
