"""The mind that brings every server's alerts to every other server; no clock, no socket, no disk of its own.

Rules
1. Every server numbers what it writes. Streams are kept without gaps: an entry is taken only when it follows the last.
2. A writer sends what is new at once, and again with growing pauses until each server that is heard says it has it.
3. Who has something new, or was away, says what it has, of all streams, and asks what the others have: for ASK_S,
   and for as long as it lacks something. Who sees that another one has more wants it from that one, with growing
   pauses; so a server that was away gets what it lacks, also from others than the writer.
4. The writer is asked first; others only when it is not heard, or did not answer twice.
5. What nobody keeps any more is skipped and counted: logs are bounded. A stream that is new here begins where the
   giver's begins; nothing is missing then.
6. A number is never used twice. A server whose own log was set back (an old image of its disk) learns it from the
   others and goes on with a new stream; the old one it takes from them as any other.
7. Servers that have the same fall silent (clpaltd ends then, and a datagram would start it): an answer asks nothing,
   and nothing is asked of a server that was heard and has all. Who is away is not waited for: it asks when it returns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from agent.wire.alerts import Entry, Extent, Give, Have, Packet, Stream, Want, encode_entry

BEAT_S = 5.0  # between two questions
ASK_S = 16.0  # after something new, for those that are not heard
GIVE_UP_S = 120.0  # what nobody gave so long is asked for no more, until somebody says again that it has it
HEARD_S = 16.0  # who was silent longer is away
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 10.0
DATAGRAM_BYTES = 1200  # of entries; a single longer one is cut into fragments by the kernel
BURST = 16  # datagrams in answer to one question
READ = 256  # entries looked up for one answer
MOST_LIVES = 4  # streams kept of one server
_TRIES = 2  # questions to the writer before others are asked


class Send(msgspec.Struct, frozen=True):
    peer: str
    packet: Packet


class Keep(msgspec.Struct, frozen=True):
    """Entries of another server, to be stored in this order."""

    stream: Stream
    entries: tuple[Entry, ...]


class Lost(msgspec.Struct, frozen=True):
    """So many entries are kept nowhere any more; the next one that is kept is number `first`."""

    stream: Stream
    count: int
    first: int


class Rewound(msgspec.Struct, frozen=True):
    """Others have more of our own stream than we wrote (a disk was set back): its numbers must not be used again."""


Effect = Send | Keep | Lost | Rewound
Read = Callable[[Stream, int, int], Sequence[Entry]]  # stream, after, most


class _Ask(msgspec.Struct):
    again_at: float
    tries: int
    since: float


class _Push(msgspec.Struct):
    """What one peer has of our own stream, and when it is told again."""

    has: int = 0
    again_at: float = 0.0
    pause_s: float = FIRST_PAUSE_S


class Sync:
    def __init__(
        self, me: Stream, peers: Iterable[str], extents: Mapping[Stream, tuple[int, int]], read: Read, now: float,
        *, quiet: bool = False,
    ) -> None:  # fmt: skip
        """`quiet`: the others know all that is here; only answer."""
        self._me = me
        self._read = read
        self._here: dict[Stream, tuple[int, int]] = {me: (1, 0), **_newest_lives(me, extents)}
        self._pushes = {peer: _Push() for peer in peers}
        self._heard: dict[str, float] = {}
        self._asks: dict[Stream, _Ask] = {}
        self._beat_at = now
        self._ask_until = now if quiet else now + ASK_S
        self.watchful = False  # it matters who is there

    @property
    def extents(self) -> Mapping[Stream, tuple[int, int]]:
        """stream -> first and last number here."""
        return self._here

    def heard(self, now: float) -> set[str]:
        return {peer for peer, at in self._heard.items() if now - at < HEARD_S}

    def wrote(self, now: float, last: int) -> list[Effect]:
        """Our own stream goes on to `last`, and can be read."""
        self._here[self._me] = (self._here[self._me][0], last)
        self._ask_until = now + ASK_S
        for push in self._pushes.values():
            push.pause_s, push.again_at = FIRST_PAUSE_S, now
        return self.tick(now)

    def forgot(self, stream: Stream, first: int) -> None:
        """The store dropped what was before."""
        self._here[stream] = (first, self._here[stream][1])

    def received(self, peer: str, packet: Packet, now: float) -> list[Effect]:
        if peer not in self._pushes:
            return []
        self._heard[peer] = now
        if isinstance(packet, Have):
            answer: list[Effect] = [self._have(peer)] if packet.asks else []
            return answer + self._on_have(peer, packet, now)
        if isinstance(packet, Want):
            return self._give(peer, Stream(packet.server, packet.life), packet.after)
        return self._on_give(peer, packet, now)

    def tick(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        if now >= self._beat_at:
            self._asks = {stream: ask for stream, ask in self._asks.items() if now - ask.since < GIVE_UP_S}
            if whom := self._asked(now):
                self._beat_at = now + BEAT_S
                effects += [self._have(peer, asks=True) for peer in whom]
        last = self._here[self._me][1]
        heard = self.heard(now)
        for peer, push in self._pushes.items():
            if peer in heard and push.has < last and now >= push.again_at:
                push.again_at = now + push.pause_s
                push.pause_s = min(2 * push.pause_s, LONGEST_PAUSE_S)
                effects += self._give(peer, self._me, push.has, most=1)
        return effects

    def next_deadline(self, now: float) -> float:
        waiting = [push.again_at for push in self._behind(now)]
        return min([self._beat_at if self._asked(now) else now + BEAT_S, *waiting])

    def is_settled(self, now: float) -> bool:
        """Nothing is awaited of those that are there."""
        return not self._asked(now) and not self._behind(now)

    def _asked(self, now: float) -> list[str]:
        """Who is asked what it has."""
        if self.watchful or self._asks:
            return list(self._pushes)
        heard = self.heard(now) if now < self._ask_until else self._pushes
        return [peer for peer in self._pushes if peer not in heard]

    def _behind(self, now: float) -> list[_Push]:
        last, heard = self._here[self._me][1], self.heard(now)
        return [push for peer, push in self._pushes.items() if peer in heard and push.has < last]

    # --- what comes in

    def _on_have(self, peer: str, have: Have, now: float) -> list[Effect]:
        extents = {extent.stream: extent for extent in have.extents}
        own = extents.get(self._me)
        if own is not None or have.whole:
            # Also backwards: it may have lost its log.
            self._pushes[peer].has = own.last if own else 0
        if own is not None and own.last > self._here[self._me][1]:
            return [Rewound()]
        effects: list[Effect] = []
        for stream, extent in extents.items():
            if stream != self._me:
                effects += self._pull(peer, stream, extent, now)
        return effects

    def _pull(self, peer: str, stream: Stream, extent: Extent, now: float) -> list[Effect]:
        last = self._here.get(stream, (1, 0))[1]
        if extent.last <= last or not self._wanted(stream):
            return []
        ask = self._asks.setdefault(stream, _Ask(now, 0, now))
        writer_here = stream.server in self.heard(now) and stream.server != peer
        if now < ask.again_at or (writer_here and ask.tries < _TRIES):
            if now >= ask.again_at:
                # Counted as if it had been asked: it is, every BEAT_S, and may have nothing more to say.
                ask.tries += 1
                ask.again_at = now + FIRST_PAUSE_S
            return []
        ask.again_at = now + min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**ask.tries)
        ask.tries = min(ask.tries + 1, 8)
        return [Send(peer, Want(stream.server, stream.life, last))]

    def _wanted(self, stream: Stream) -> bool:
        """Only the newest lives of a server are kept."""
        lives = sorted(known.life for known in self._here if known.server == stream.server)
        return stream in self._here or len(lives) < MOST_LIVES or stream.life > lives[0]

    def _make_room(self, server: str) -> None:
        """For one more life; the store keeps what it has of the oldest."""
        lives = sorted(known for known in self._here if known.server == server and known != self._me)
        for oldest in lives[: max(0, len(lives) - MOST_LIVES + 1)]:
            del self._here[oldest]

    def _on_give(self, peer: str, give: Give, now: float) -> list[Effect]:
        stream = give.extent.stream
        if stream == self._me or not self._wanted(stream):
            return []
        effects: list[Effect] = []
        known = stream in self._here
        first, last = self._here.get(stream, (give.extent.first, give.extent.first - 1))
        if give.extent.first > last + 1:
            if known:
                effects.append(Lost(stream, give.extent.first - last - 1, give.extent.first))
            first, last = give.extent.first, give.extent.first - 1
        taken = []
        for entry in give.entries:
            if entry.number == last + 1:
                taken.append(entry)
                last += 1
        if taken:
            if not known:
                self._make_room(stream.server)
            self._here[stream] = (first, last)
            effects.append(Keep(stream, tuple(taken)))
            self._asks.pop(stream, None)
        if stream not in self._here:
            return effects
        # The answer is the receipt, also for what was here already: the first receipt may have been lost.
        effects.append(Send(peer, Have((Extent(stream.server, stream.life, *self._here[stream]),))))
        if give.extent.last > last:
            effects += self._pull(peer, stream, give.extent, now)
        return effects

    # --- what goes out

    def _have(self, peer: str, *, asks: bool = False) -> Send:
        extents = tuple(Extent(stream.server, stream.life, *span) for stream, span in self._here.items())
        return Send(peer, Have(extents, whole=True, asks=asks))

    def _give(self, peer: str, stream: Stream, after: int, most: int = BURST) -> list[Effect]:
        if stream not in self._here:
            return []
        extent = Extent(stream.server, stream.life, *self._here[stream])
        entries = self._read(stream, max(after, extent.first - 1), READ)
        gives: list[Effect] = []
        for part in _parts(entries, most):
            gives.append(Send(peer, Give(extent, part)))
        return gives


def _newest_lives(me: Stream, extents: Mapping[Stream, tuple[int, int]]) -> dict[Stream, tuple[int, int]]:
    """What is told of must fit into a datagram, however often the servers had to begin anew."""
    kept: dict[Stream, tuple[int, int]] = {}
    for server in {stream.server for stream in extents}:
        lives = sorted(stream for stream in extents if stream.server == server)[-MOST_LIVES:]
        kept |= {stream: extents[stream] for stream in lives}
    return kept | ({me: extents[me]} if me in extents else {})


def _parts(entries: Sequence[Entry], most: int) -> Iterable[tuple[Entry, ...]]:
    """Entries in portions for one datagram each."""
    part: list[Entry] = []
    size = made = 0
    for entry in entries:
        length = len(encode_entry(entry))
        if part and size + length > DATAGRAM_BYTES:
            yield tuple(part)
            made += 1
            part, size = [], 0
            if made == most:
                return
        part.append(entry)
        size += length
    if part:
        yield tuple(part)
