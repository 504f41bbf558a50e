"""Pretend disks of a mirror: what is not flushed is lost by a crash in any order, and a block may be torn."""

from __future__ import annotations

from random import Random

from agent.mirror import layout
from agent.mirror.bits import Bits
from agent.mirror.past import Past
from agent.mirror.side import Stored

SECTOR = 512
IDENTITY = b"simulated mirror"


class DataDisk:
    """Cells instead of bytes: each holds the number of the write that it has, 0 at first."""

    def __init__(self, cells: int) -> None:
        self.cells = [0] * cells  # as it is read
        self._lasting = [0] * cells
        self._late: list[tuple[int, int]] = []  # not flushed: cell, number

    def write(self, cell: int, number: int) -> None:
        self.cells[cell] = number
        self._late.append((cell, number))

    def flush(self) -> None:
        for cell, number in self._late:
            self._lasting[cell] = number
        self._late.clear()

    def spoil(self, cell: int) -> None:
        """It holds what nobody has written."""
        self.cells[cell] = self._lasting[cell] = -1
        self._late = [(one, number) for one, number in self._late if one != cell]

    def crash(self, random: Random) -> None:
        """Of each cell any of the late values, or none of them, has reached the disk."""
        values: dict[int, list[int]] = {}
        for cell, number in self._late:
            values.setdefault(cell, [self._lasting[cell]]).append(number)
        for cell, choices in values.items():
            self._lasting[cell] = random.choice(choices)
        self._late.clear()
        self.cells = list(self._lasting)


class ClusterPartition:
    """The real bytes of the layout. Each write is one of stable storage, and torn when the crash comes in it."""

    def __init__(self, grains: int) -> None:
        self.grains = grains
        self._blocks: dict[int, bytes] = {}
        self._going: list[tuple[int, bytes]] = []
        self._numbers: dict[layout.Kind, int] = {"super": 0, "log": 0}
        self._put("super", layout.past_bytes(Past()))
        self._put("super", layout.past_bytes(Past()))
        for number in range(layout.bits_blocks(grains)):
            self._blocks[self._bits_at(number)] = layout.bits_block(Bits(grains), number, IDENTITY)

    @staticmethod
    def _bits_at(number: int) -> int:
        return layout.BITS_AT + number * layout.BLOCK

    def _put(self, kind: layout.Kind, payload: bytes) -> None:
        self._numbers[kind] += 1
        number = self._numbers[kind]
        self._blocks[layout.place(kind, number)] = layout.sealed(kind, IDENTITY, number, payload)

    def begin(self, blocks: list[tuple[int, bytes]]) -> None:
        self._going.extend(blocks)

    def super(self, past: Past) -> list[tuple[int, bytes]]:
        return [self._next("super", layout.past_bytes(past))]

    def log(self, extents: tuple[int, ...]) -> list[tuple[int, bytes]]:
        return [self._next("log", layout.log_bytes(extents))]

    def bits(self, bits: Bits, blocks: tuple[int, ...]) -> list[tuple[int, bytes]]:
        return [(self._bits_at(number), layout.bits_block(bits, number, IDENTITY)) for number in blocks]

    def _next(self, kind: layout.Kind, payload: bytes) -> tuple[int, bytes]:
        self._numbers[kind] += 1
        number = self._numbers[kind]
        return layout.place(kind, number), layout.sealed(kind, IDENTITY, number, payload)

    def done(self, blocks: list[tuple[int, bytes]]) -> None:
        for block in blocks:
            self._going.remove(block)
            self._blocks[block[0]] = block[1]

    def crash(self, random: Random) -> None:
        """Of what was being written, any sectors have arrived."""
        for place, block in self._going:
            before = self._blocks.get(place, bytes(layout.BLOCK))
            parts = [
                (block if random.random() < 0.5 else before)[at : at + SECTOR] for at in range(0, len(block), SECTOR)
            ]
            self._blocks[place] = b"".join(parts)
        self._going.clear()

    def stored(self) -> Stored:
        found = {kind: self._read(kind) for kind in ("super", "log")}
        past, log = found["super"], found["log"]
        assert past is not None
        self._numbers = {"super": past.number, "log": log.number if log else 0}
        blocks = tuple(self._blocks[self._bits_at(number)] for number in range(layout.bits_blocks(self.grains)))
        bits = layout.read_bits(self.grains, IDENTITY, blocks)
        return Stored(layout.past_of(past.payload), bits, layout.log_of(log.payload) if log else ())

    def _read(self, kind: layout.Kind) -> layout.Read | None:
        return layout.newest(kind, IDENTITY, tuple(self._blocks.get(place, b"") for place in layout.PLACES[kind]))
