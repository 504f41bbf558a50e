"""The layout of the shared disk of a disknp: a header, and for each server two copies of its block, 4 KiB each.

A block is written alternately into its two copies, so that a write torn by a power cut leaves the one before it. Of two
good copies the one with the higher generation counts. Each begins with magic, cluster id, place and checksum: a copy
that was moved, or belongs to another cluster, is none. Pure; standard library only.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

from agent.wire.epoch import NO_EPOCH, Epoch
from agent.wire.heartbeat import MAX_SERVERS
from agent.wire.witness import Record, record_fields, record_of

try:
    from _blake2 import blake2b
except ImportError:  # A Python built otherwise.
    from hashlib import blake2b

BLOCK = 4096
ID_BYTES = 16
_MAGIC = b"openclp disknp\0\1"
_HEAD = struct.Struct("!16s16sQQI")  # magic, cluster id, number of the block on the disk, generation, length
_DIGEST_BYTES = 16
_ROOM = BLOCK - _HEAD.size - _DIGEST_BYTES
AREA = 2 * (1 + MAX_SERVERS) * BLOCK  # all that is ever used
NEEDED_BYTES = 1 << 20


class DamagedError(ValueError):
    """The disk does not hold what it must; the text says what."""


class Header(NamedTuple):
    id: bytes  # drawn when the disk was made
    cluster: str
    servers: tuple[str, ...]  # in the order of their blocks


class Block(NamedTuple):
    """What one server has written last."""

    server: str
    incarnation: int = 0
    seq: int = 0  # of its beats
    service: str = "stopped"
    timeout_s: float = 0.0
    mbal: Epoch = NO_EPOCH  # it obeys no proposal below
    record: Record = Record()  # the newest view that it has written as promised; its epoch is Disk Paxos' bal
    before: Record = Record()  # what that one replaced


def length_of(header: Header) -> int:
    """Bytes from the beginning of the disk that hold all blocks."""
    return 2 * (1 + len(header.servers)) * BLOCK


def number_of(header: Header, server: str, copy: int) -> int:
    """The place of a copy, counted in blocks."""
    return 2 * (1 + header.servers.index(server)) + copy


def encode_header(header: Header, copy: int) -> bytes:
    fields = {"cluster": header.cluster, "servers": list(header.servers)}
    return _encode(header.id, copy, 0, fields)


def decode_header(area: bytes | memoryview) -> Header | None:
    """From the first two blocks. None: this disk was never made ours. DamagedError: it was, and cannot be read."""
    ours = False
    for copy in (0, 1):
        data = bytes(area[copy * BLOCK : (copy + 1) * BLOCK])
        ours = ours or data.startswith(_MAGIC)
        found = _decode(data, None, copy)
        if found is not None:
            return Header(found.id, str(found.fields.get("cluster", "")), tuple(found.fields.get("servers", ())))
    if ours:
        raise DamagedError("both copies of the header are damaged")
    return None


def encode_block(header: Header, block: Block, copy: int, generation: int) -> bytes:
    fields = {
        "server": block.server, "incarnation": block.incarnation, "seq": block.seq, "service": block.service,
        "timeout_ms": round(block.timeout_s * 1000), "mbal": block.mbal,
        "record": _short(header, block.record), "before": _short(header, block.before),
    }  # fmt: skip
    return _encode(header.id, number_of(header, block.server, copy), generation, fields)


def decode_block(header: Header, server: str, area: bytes | memoryview) -> tuple[Block, int, int]:
    """(block, copy, generation) of the newest good copy; `area` is the disk from its beginning. DamagedError."""
    best: tuple[int, int, dict[str, Any]] | None = None
    for copy in (0, 1):
        number = number_of(header, server, copy)
        found = _decode(bytes(area[number * BLOCK : (number + 1) * BLOCK]), header.id, number)
        if found is not None and (best is None or found.generation > best[0]):
            best = (found.generation, copy, found.fields)
    if best is None:
        raise DamagedError(f"both copies of the block of {server} are damaged")
    try:
        return _block(header, server, best[2]), best[1], best[0]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DamagedError(f"the block of {server} was written by another version ({error})") from None


class _Found(NamedTuple):
    id: bytes
    generation: int
    fields: dict[str, Any]


def _encode(disk: bytes, number: int, generation: int, fields: dict[str, Any]) -> bytes:
    text = json.dumps(fields, separators=(",", ":")).encode()
    if len(text) > _ROOM:
        raise ValueError(f"block {number} would need {len(text)} of {_ROOM} bytes; use shorter server names")
    head = _HEAD.pack(_MAGIC, disk, number, generation, len(text))
    return (head + _digest(head, text) + text).ljust(BLOCK, b"\0")


def _decode(data: bytes, disk: bytes | None, number: int) -> _Found | None:
    if len(data) < BLOCK:
        return None
    head = data[: _HEAD.size]
    magic, found, place, generation, length = _HEAD.unpack(head)
    if magic != _MAGIC or place != number or length > _ROOM or (disk is not None and found != disk):
        return None
    text = data[_HEAD.size + _DIGEST_BYTES :][:length]
    if data[_HEAD.size :][:_DIGEST_BYTES] != _digest(head, text):
        return None
    return _Found(found, generation, json.loads(text))


def _digest(head: bytes, text: bytes) -> bytes:
    return blake2b(head + text, digest_size=_DIGEST_BYTES, person=b"openclp-disknp").digest()


def _block(header: Header, server: str, fields: dict[str, Any]) -> Block:
    if fields["server"] != server:
        raise ValueError(f"it names {fields['server']}")
    return Block(
        server, int(fields["incarnation"]), int(fields["seq"]), str(fields["service"]), fields["timeout_ms"] / 1000,
        Epoch(*fields["mbal"]), _long(header, fields["record"]), _long(header, fields["before"]),
    )  # fmt: skip


def _short(header: Header, record: Record) -> dict[str, Any]:
    """32 long names, twice and in each open view again, would not fit."""
    fields = record_fields(record)
    views = [[epoch, _mask(header.servers, voters)] for epoch, voters in fields["open"]]
    return {**fields, **{key: _mask(header.servers, fields[key]) for key in ("members", "voters")}, "open": views}


def _long(header: Header, fields: dict[str, Any]) -> Record:
    views = [[epoch, _names(header.servers, voters)] for epoch, voters in fields["open"]]
    names = {key: _names(header.servers, fields[key]) for key in ("members", "voters")}
    return record_of({**fields, **names, "open": views})


def _mask(servers: Sequence[str], names: Sequence[str]) -> list[str] | dict[str, Any]:
    """A bitmap of the servers and the other names, where they come in this order; else the names."""
    here = set(names)
    others = [name for name in names if name not in servers]
    if [*(server for server in servers if server in here), *others] != list(names):
        return list(names)
    return {"on": f"{sum(1 << n for n, server in enumerate(servers) if server in here):x}", "and": others}


def _names(servers: Sequence[str], short: list[str] | dict[str, Any]) -> list[str]:
    if isinstance(short, list):
        return short
    on = int(short["on"], 16)
    return [*(server for n, server in enumerate(servers) if on >> n & 1), *short["and"]]
