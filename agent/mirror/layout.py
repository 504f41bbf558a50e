"""The cluster partition: two copies of the superblock, two of the activity log, then the bits. Pure.

What is written in one piece is written alternately into two places with a number and a checksum, so that a torn block
leaves the one before it. A damaged block of bits counts as full: the careful answer.
"""

from __future__ import annotations

import struct
from hashlib import blake2b
from typing import Literal, NamedTuple

import msgspec

from agent.mirror.bits import Bits
from agent.mirror.past import Past

BLOCK = 4096
_HEAD = struct.Struct("!12s16sQI")  # magic, id of the mirror, number, length
_DIGEST_BYTES = 16
ROOM = BLOCK - _HEAD.size - _DIGEST_BYTES
ID_BYTES = 16
Kind = Literal["super", "log", "bits"]
_MAGIC: dict[Kind, bytes] = {"super": b"openclp md S", "log": b"openclp md L", "bits": b"openclp md B"}
PLACES: dict[Kind, tuple[int, ...]] = {"super": (0, BLOCK), "log": (2 * BLOCK, 3 * BLOCK)}
BITS_AT = 16 * BLOCK
BITS_IN_BLOCK = ROOM // 8 * 8 * 8
_pack = msgspec.msgpack.Encoder()
_unpack = msgspec.msgpack.Decoder(Past)


class Read(NamedTuple):
    number: int
    payload: bytes


def sealed(kind: Kind, identity: bytes, number: int, payload: bytes) -> bytes:
    assert len(payload) <= ROOM, kind
    body = (_HEAD.pack(_MAGIC[kind], identity, number, len(payload)) + payload).ljust(BLOCK - _DIGEST_BYTES, b"\0")
    return body + blake2b(body, digest_size=_DIGEST_BYTES).digest()


def opened(kind: Kind, identity: bytes, block: bytes) -> Read | None:
    """None: torn, never written, or of another mirror."""
    body, digest = block[:-_DIGEST_BYTES], block[-_DIGEST_BYTES:]
    if len(block) != BLOCK or blake2b(body, digest_size=_DIGEST_BYTES).digest() != digest:
        return None
    magic, owner, number, length = _HEAD.unpack_from(body)
    if magic != _MAGIC[kind] or owner != identity or length > ROOM:
        return None
    return Read(number, body[_HEAD.size : _HEAD.size + length])


def newest(kind: Kind, identity: bytes, copies: tuple[bytes, ...]) -> Read | None:
    good = [read for block in copies if (read := opened(kind, identity, block)) is not None]
    return max(good, default=None)


def place(kind: Kind, number: int) -> int:
    """Where the copy with this number stands."""
    places = PLACES[kind]
    return places[number % len(places)]


def past_bytes(past: Past) -> bytes:
    return _pack.encode(past)


def past_of(payload: bytes) -> Past:
    return _unpack.decode(payload)


def log_bytes(extents: tuple[int, ...]) -> bytes:
    return struct.pack(f"!{len(extents)}I", *extents)


def log_of(payload: bytes) -> tuple[int, ...]:
    return struct.unpack(f"!{len(payload) // 4}I", payload[: len(payload) // 4 * 4])


def bits_blocks(grains: int) -> int:
    return -(-grains // BITS_IN_BLOCK)


def bits_block(bits: Bits, number: int, identity: bytes) -> bytes:
    first = number * BITS_IN_BLOCK
    part = bits.part(first, min(BITS_IN_BLOCK, bits.size - first))
    return sealed("bits", identity, number, part)


def read_bits(grains: int, identity: bytes, blocks: tuple[bytes, ...]) -> Bits:
    """What does not read well is full. A partition that was never written has to be made first (`made`)."""
    data = bytearray()
    for number, block in enumerate(blocks):
        length = (min(BITS_IN_BLOCK, grains - number * BITS_IN_BLOCK) + 7) // 8
        read = opened("bits", identity, block)
        good = read is not None and read.number == number and len(read.payload) == length
        data += read.payload if good and read is not None else b"\xff" * length
    return Bits(grains, bytes(data))
