"""What two mirror processes say to each other: kinds of frames, the hello with all that must fit, and words."""

from __future__ import annotations

from typing import Final

import msgspec

from agent.mirror import effects as fx
from agent.mirror.past import Hello

VERSION = 2

# Numbers below 16 are the link's own.
WRITE: Final = 16  # seq, epoch, offset, data
ZERO: Final = 17  # seq, epoch, offset, spare: length
GRAIN: Final = 18  # seq: number of its own, epoch, offset, data
GRAIN_OF_ZEROS: Final = 19  # seq, epoch, offset, spare: length
WRITTEN: Final = 20  # seq, spare: how many before it in a row as well
FLUSH_ASKED: Final = 21  # seq: number of the flush
FLUSH_DONE: Final = 22  # seq: number of the flush
WORD: Final = 23  # any other word of the mind
FACTS: Final = 24  # what people on the other side want to see
VERIFY: Final = 25  # seq, offset, spare: length: what is the digest of this?
VERIFIED: Final = 26  # seq, offset, digest; nothing: it could not be read
TAKEN: Final = 28  # seq: of a grain that the target has written
VERIFY_ORDER: Final = 27  # the side that is active shall verify; spare: 1 begin, 2 and resynchronize, 0 end

Slow = fx.Ready | fx.Finish | fx.Finished | fx.Serving | fx.TooOld | fx.GaveUp
_pack = msgspec.msgpack.Encoder()
_word = msgspec.msgpack.Decoder(Slow)


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """The hello of a process: that of its mind, and the disk that it means."""

    version: int = VERSION
    hello: Hello
    size: int  # bytes of the mirror disk
    room: int  # of the own data partition
    grain: int
    discards: bool = False  # can give room back
    block: int = 0  # bytes of the smallest piece that the data partition can write; 0: not said


class Facts(msgspec.Struct, kw_only=True):
    """Of the other side, for people; nothing is decided by them."""

    color: str = "GRAY"
    active: bool = False
    mode: str = "off"
    relation: str = "apart"
    dirty: int = 0  # bytes that the other side lacks
    whole: bool = True
    constructed: bool = False
    generation: str = ""
    last_update: float = 0.0
    broken_at: float = 0.0
    error: str = ""
    doubt: str = ""
    copied: int = 0
    to_copy: int = 0
    rate: float = 0.0
    remaining_s: float | None = None
    complete_at: float = 0.0  # asynchronous: whoever reads this has all that was acknowledged before
    bitmap: list[int] = []
    verify: dict[str, object] = {}


_said = msgspec.msgpack.Decoder(Said)
_facts = msgspec.msgpack.Decoder(Facts)


def said_bytes(said: Said) -> bytes:
    return _pack.encode(said)


def said_of(data: bytes) -> Said:
    """ValueError: of another version, or rubbish."""
    return _said.decode(data)


def word_bytes(word: fx.Word) -> bytes:
    return _pack.encode(word)


def word_of(data: memoryview) -> Slow:
    word: Slow = _word.decode(data)
    return word


def facts_bytes(facts: Facts) -> bytes:
    return _pack.encode(facts)


def facts_of(data: memoryview) -> Facts:
    return _facts.decode(data)
