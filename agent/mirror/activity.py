"""The activity log: extents into which something may be written, on disk before it is.

An extent is in the log on disk before a write into it is sent to either disk. It may leave when nothing is on its way
into it and every grain of it that may differ has its bit on disk (`Writing.settled`). One block holds all of it, so
that a transaction is one write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

EXTENT_BYTES = 4 * 1024 * 1024
MOST = 512  # extents at a time: 2 GiB that are compared after a crash


class ActivityLog:
    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self.durable: dict[int, None] = {}  # oldest use first
        self._writing: tuple[int, ...] | None = None  # what the transaction on its way will have made of it
        self._wanted: dict[int, None] = {}
        self.busy: dict[int, int] = {}  # extent -> writes on their way
        self._clearing = False

    def missing(self, extents: Iterable[int]) -> list[int]:
        return [one for one in extents if one not in self.durable or self._leaves(one)]

    def _leaves(self, extent: int) -> bool:
        """The transaction on its way removes it: too late to count on it."""
        return self._writing is not None and extent not in self._writing

    def use(self, extents: Iterable[int]) -> None:
        busy, durable, wanted = self.busy, self.durable, self._wanted
        for one in extents:
            busy[one] = busy.get(one, 0) + 1
            durable[one] = durable.pop(one, None)
            if wanted:
                wanted.pop(one, None)

    def release(self, extents: Iterable[int]) -> None:
        busy = self.busy
        for one in extents:
            left = busy.pop(one) - 1
            if left:
                busy[one] = left

    def want(self, extents: Iterable[int]) -> None:
        """All extents of the write that is next. Those that are there already stay, or two would take turns."""
        self._wanted = dict.fromkeys(extents)

    def transaction(self, settled: Callable[[int], bool]) -> tuple[int, ...] | None:
        """What the log shall hold next; None: nothing is wanted, one is on its way, or no room can be made now."""
        new = [one for one in self._wanted if one not in self.durable]
        if self._writing is not None or not self._wanted:
            return None
        if not new:
            return None
        stay = dict.fromkeys(self.durable)
        for old in self._idle():
            if len(stay) + len(new) <= self.most:
                break
            if settled(old):
                del stay[old]
        new = new[: max(0, self.most - len(stay))]
        if not new:
            return None
        self._writing = (*stay, *new)
        return self._writing

    def _idle(self) -> Iterator[int]:
        return (one for one in list(self.durable) if one not in self.busy and one not in self._wanted)

    def written(self) -> None:
        """The transaction is on disk."""
        assert self._writing is not None
        self.durable = dict.fromkeys(self._writing)
        self._writing = None

    @property
    def short(self) -> bool:
        """Something is wanted, and only a flush or saved bits can make room for it."""
        return self._writing is None and any(one not in self.durable for one in self._wanted)

    @property
    def rests(self) -> bool:
        """No transaction is wanted or on its way: what is in `durable` stays there."""
        return self._writing is None and not (self._wanted or self._clearing)

    def clear(self) -> None:
        """Nothing is in doubt any more; `cleared` gives the transaction that says so."""
        assert not self.busy
        self._wanted.clear()
        self._clearing = True

    def cleared(self) -> tuple[int, ...] | None:
        if not self._clearing or self._writing is not None:
            return None
        self._clearing = False
        if not self.durable:
            return None
        self._writing = ()
        return self._writing
