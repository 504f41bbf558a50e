"""Sets of grains: the unit in which the two disks are told apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

LEAST_GRAIN = 16 * 1024
MOST_GRAINS = 64 * 1024 * 1024  # 8 MiB of bits: the cluster partition has 10 MB at least


def grain_bytes(size_bytes: int) -> int:
    """16 KiB up to 1 TiB, then as much as keeps the bits within the cluster partition."""
    grain = LEAST_GRAIN
    while size_bytes > grain * MOST_GRAINS:
        grain *= 2
    return grain


class Bits:
    """A fixed number of bits, one byte for eight, low bit first."""

    __slots__ = ("_data", "count", "size")

    def __init__(self, size: int, data: bytes | None = None) -> None:
        self.size = size
        self._data = bytearray((size + 7) // 8)
        if data is not None:
            self._data[:] = data[: len(self._data)].ljust(len(self._data), b"\0")
            if size % 8:
                self._data[-1] &= (1 << size % 8) - 1
        self.count = int.from_bytes(self._data, "little").bit_count()

    def __contains__(self, bit: int) -> bool:
        return bool(self._data[bit >> 3] & (1 << (bit & 7)))

    def __iter__(self) -> Iterator[int]:
        for at, byte in enumerate(self._data):
            if byte:
                yield from (8 * at + bit for bit in range(8) if byte & (1 << bit))

    def add(self, bit: int) -> None:
        mask = 1 << (bit & 7)
        if not self._data[bit >> 3] & mask:
            self._data[bit >> 3] |= mask
            self.count += 1

    def discard(self, bit: int) -> None:
        mask = 1 << (bit & 7)
        if self._data[bit >> 3] & mask:
            self._data[bit >> 3] ^= mask
            self.count -= 1

    def update(self, bits: Iterable[int]) -> None:
        for bit in bits:
            self.add(bit)

    def fill(self) -> None:
        self._data[:] = b"\xff" * len(self._data)
        if self.size % 8:
            self._data[-1] = (1 << self.size % 8) - 1
        self.count = self.size

    def clear(self) -> None:
        self._data[:] = bytes(len(self._data))
        self.count = 0

    def take(self, other: Bits, first: int, count: int) -> None:
        """The bits from `first` (a multiple of 8) on are as in the other set."""
        place = slice(first >> 3, (min(first + count, self.size) + 7) >> 3)
        self._data[place] = other._data[place]
        self.count = int.from_bytes(self._data, "little").bit_count()

    def next(self, start: int) -> int:
        """The first member from `start` on, -1 without one."""
        data, at = self._data, start >> 3
        if start >= self.size or not self.count:
            return -1
        byte = data[at] >> (start & 7) << (start & 7)
        while not byte:
            at += 1
            # Whole runs of nothing are skipped by the interpreter's own loop.
            while at + 64 <= len(data) and not any(data[at : at + 64]):
                at += 64
            if at >= len(data):
                return -1
            byte = data[at]
        return 8 * at + (byte & -byte).bit_length() - 1

    def part(self, first: int, count: int) -> bytes:
        """Bytes of the bits from `first` (a multiple of 8) on."""
        return bytes(self._data[first >> 3 : (first + count + 7) >> 3])
