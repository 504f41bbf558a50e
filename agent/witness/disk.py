"""A shared disk as a witness: Disk Paxos (Gafni, Lamport) on one disk, with the rules of mind.py for what is granted.

Every server writes its own block only, and reads all. A proposal of epoch e:
1. write the own block with mbal = e; read all: a higher mbal or record elsewhere - refused;
2. the record is the newest one on the disk; judge() decides, as a witness would;
3. write the own block with the proposal as its record; read all again: something higher - refused, and taken back.
Two proposals that both pass 3: one of them has written its mbal after the other's last reading of it, and so has read
the other's record in 1. So granted records form a chain, each judged against the one before it.

A confirmation of the lease: the own beat is written, then all is read: the newest record names us. Whoever leaves us
out writes its record first and reads our block after it. So a beat of ours that it does not see in that last reading
was confirmed by no reading of ours that did not show us its record.

How long ago a server was heard: since WE first saw its newest beat, which was not before it was written. What we see at
our first look counts as new, so that nobody is taken for dead by whoever has not watched for a timeout.

The awkward case: a proposer dies between 3 and the answer. Its record stands, as that of a witness whose answer was
lost does; whoever is left out waits until it was not heard for a timeout, or is let in by its members.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from agent.wire.disk import BLOCK, Block, DamagedError, Header, decode_block, encode_block, number_of
from agent.wire.epoch import Epoch
from agent.wire.witness import Answer, Ask, Record, successor
from agent.witness.mind import Promise, judge

_STOPPED = ("stopped", "released")
_LOOKS = 5  # at a block that is just being written


class Medium(Protocol):
    def read(self) -> bytes: ...
    def write(self, place: int, data: bytes) -> None: ...


class _Seen(NamedTuple):
    incarnation: int
    seq: int
    at: float  # when we saw this beat first
    timeout_s: float
    stopped: bool


class DiskWitness:
    """One server's side. Every call writes and reads, and may raise what the medium raises, or DamagedError; begin
    with a new object then, since nobody knows what was written."""

    def __init__(
        self, medium: Medium, header: Header, me: str, incarnation: int, timeout_s: float, clock: Callable[[], float]
    ) -> None:
        if me not in header.servers:
            raise DamagedError(f"{me} has no block on it; it was made for {', '.join(header.servers)}")
        self._medium = medium
        self._header = header
        self._me = me
        self._incarnation = incarnation
        self._timeout_s = timeout_s
        self._clock = clock
        self._seen: dict[str, _Seen] = {}
        self._blocks: dict[str, Block] = {}
        self._copy = self._generation = 0
        self._written: dict[int, bytes] = {}  # place on the disk -> what we wrote there last
        self._look()
        self._own = self._blocks[me]
        self._seq = 0 if self._own.incarnation != incarnation else self._own.seq

    def beat(self, service: str) -> float:
        """Say that we live. The time from which our lease counts, 0.0 when the disk does not confirm it."""
        sent_at = self._clock()
        self._seq += 1
        self._write(
            self._own._replace(incarnation=self._incarnation, seq=self._seq, service=service, timeout_s=self._timeout_s)
        )
        self._look()
        return sent_at if service not in _STOPPED and self._me in self._record().members else 0.0

    def propose(self, ask: Ask) -> Answer:
        self._look()
        if ask.epoch == self._own.record.epoch and ask.members == self._own.record.members:
            # Written before, by us, and the answer was lost.
            return self._overtaken() if self._highest() > ask.epoch else self._granted(ask)
        # Judged before anything is written: whoever would be refused need not stop others from proposing.
        refusal = self._refusal(ask)
        if refusal is None:
            self._write(self._own._replace(mbal=ask.epoch))
            self._look()
            refusal = self._refusal(ask)
        if refusal is not None:
            return refusal
        earlier = self._own
        self._write(earlier._replace(record=successor(self._record(), ask), before=self._record()))
        self._look()
        if self._highest() > ask.epoch:
            self._write(self._own._replace(record=earlier.record, before=earlier.before))
            return self._overtaken()
        return self._granted(ask)

    def _refusal(self, ask: Ask) -> Answer | None:
        own = self._own
        # The same epoch again is ours, and fine while it was not written as a record.
        if ask.epoch <= max(self._highest(), own.record.epoch) or ask.epoch < own.mbal:
            return self._overtaken()
        record, ages = self._record(), self.ages()
        verdict = judge(Promise(record), ask, ages)
        return None if verdict.granted else Answer(False, record.epoch, record, ages, verdict.detail)

    def _granted(self, ask: Ask) -> Answer:
        return Answer(True, ask.epoch, self._own.before, self.ages())

    def _overtaken(self) -> Answer:
        promised = max(self._highest(), self._own.mbal, self._own.record.epoch)
        return Answer(False, promised, self._record(), self.ages(), f"view {promised} has been proposed already")

    def ages(self) -> dict[str, float]:
        """Who may live, and how long ago it was heard."""
        now = self._clock()
        return {
            server: max(now - seen.at, 0.0)
            for server, seen in self._seen.items()
            if not seen.stopped and now - seen.at < max(seen.timeout_s, self._timeout_s)
        }

    def _record(self) -> Record:
        return max((block.record for block in self._blocks.values()), key=lambda record: record.epoch)

    def _highest(self) -> Epoch:
        """Of what others have written."""
        return max(
            (max(b.mbal, b.record.epoch) for b in self._blocks.values() if b.server != self._me), default=Epoch(0, 0)
        )

    def _write(self, block: Block) -> None:
        copy, generation = 1 - self._copy, self._generation + 1
        place = number_of(self._header, self._me, copy) * BLOCK
        self._written[place] = data = encode_block(self._header, block, copy, generation)
        self._medium.write(place, data)
        self._own, self._copy, self._generation = block, copy, generation

    def _look(self) -> None:
        """All blocks as they are now."""
        for left in reversed(range(_LOOKS)):
            area = self._medium.read()
            try:
                found = {server: decode_block(self._header, server, area) for server in self._header.servers}
                break
            except DamagedError:
                if not left:
                    raise
        now = self._clock()
        if any(area[place : place + BLOCK] != data for place, data in self._written.items()):
            raise DamagedError(f"somebody else writes the block of {self._me}: does a second agent of this name run?")
        _, self._copy, self._generation = found[self._me]
        self._blocks = {server: block for server, (block, _, _) in found.items()}
        for block in self._blocks.values():
            self._notice(block, now)

    def _notice(self, block: Block, now: float) -> None:
        seen = self._seen.get(block.server)
        if block.incarnation and (seen is None or (seen.incarnation, seen.seq) != (block.incarnation, block.seq)):
            stopped = block.service in _STOPPED
            self._seen[block.server] = _Seen(block.incarnation, block.seq, now, block.timeout_s, stopped)
