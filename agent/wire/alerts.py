"""Alerts as the servers keep and exchange them: numbered entries of a stream for each server, and signed datagrams.

A stream is what one server wrote into one alert log; `life` is new when that log had to begin anew, so that a number
never means two things. A datagram that somebody recorded and sends again does no harm: entries are known by their
numbers, and what a server says it has only makes others send what they have.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from hmac import compare_digest
from typing import NamedTuple

import msgspec

from agent.clpconf.alert_settings import Channel
from agent.messages.template import Severity
from agent.wire.report import Note, NoteKind

PORT = 29003  # UDP
MODULE = "alert"  # of what clpaltd says about itself
_MAGIC = b"CLPALT\0\1"
_SIGNATURE_BYTES = 16
TEXT_LIMIT = 4096  # characters; a monitor may quote a whole page
MOST_PARAMS = 9


class Stream(NamedTuple):
    server: str
    life: int


class Alert(msgspec.Struct, frozen=True, array_like=True):
    """A note that shall be told."""

    id: str  # of the note
    time: float
    server: str
    module: str
    event: int
    severity: Severity
    kind: NoteKind
    name: str
    text: str
    params: tuple[str, ...] = ()


class Told(msgspec.Struct, frozen=True, array_like=True):
    """That a receiver who is told once by the whole cluster has been told."""

    ids: tuple[str, ...]  # of the notes
    channel: Channel
    by: str


class Entry(msgspec.Struct, frozen=True, array_like=True):
    number: int  # from 1, without gaps
    alert: Alert | None = None
    told: Told | None = None


class Extent(msgspec.Struct, frozen=True, array_like=True):
    """What a server has of a stream: all from first to last; last 0: nothing."""

    server: str
    life: int
    first: int
    last: int

    @property
    def stream(self) -> Stream:
        return Stream(self.server, self.life)


class Have(msgspec.Struct, frozen=True, array_like=True, tag="have"):
    """What the sender has. `whole`: of all streams, so that one that is not named is unknown to it. `asks`: it wants to
    be told the same of the receiver; an answer never asks, so that two who have the same fall silent."""

    extents: tuple[Extent, ...]
    whole: bool = False
    asks: bool = False


class Want(msgspec.Struct, frozen=True, array_like=True, tag="want"):
    """Send me what follows `after`."""

    server: str
    life: int
    after: int


class Give(msgspec.Struct, frozen=True, array_like=True, tag="give"):
    """Entries one after the other; first and last of what the sender has."""

    extent: Extent
    entries: tuple[Entry, ...]


Packet = Have | Want | Give


class _Datagram(msgspec.Struct, frozen=True, array_like=True):
    cluster: str
    sender: str
    at: float  # by the sender's clock: others learn how far theirs is from it
    packet: Packet


def alert_of(note: Note) -> Alert:
    """Cut to what fits into a datagram."""
    params = tuple(p[:TEXT_LIMIT] for p in note.params[:MOST_PARAMS])
    if sum(map(len, params)) > TEXT_LIMIT:
        params = ()
    return Alert(
        note.id, note.time, note.server, note.module, note.event, note.severity, note.kind, note.name,
        note.text[:TEXT_LIMIT], params,
    )  # fmt: skip


def derive_key(cluster_key: bytes) -> bytes:
    """The alerts' own key: whoever reads it out of clpaltd can neither beat nor speak as an agent."""
    return blake2b(cluster_key, digest_size=32, person=b"openclp-alerts").digest()


class Codec:
    """Signs and checks datagrams of one cluster."""

    def __init__(self, cluster: str, me: str, key: bytes, servers: Sequence[str]) -> None:
        self._cluster = cluster
        self._me = me
        self._key = key
        self._servers = frozenset(servers)
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(_Datagram)
        self.refused = 0

    def seal(self, packet: Packet, at: float) -> bytes:
        body = self._encoder.encode(_Datagram(self._cluster, self._me, at, packet))
        return _MAGIC + self._sign(body) + body

    def open(self, data: bytes) -> tuple[str, Packet, float] | None:
        """(sender, packet, its clock) of another server of this cluster; None for everything else."""
        start = len(_MAGIC) + _SIGNATURE_BYTES
        body = data[start:]
        if data[: len(_MAGIC)] == _MAGIC and compare_digest(data[len(_MAGIC) : start], self._sign(body)):
            try:
                datagram = self._decoder.decode(body)
            except msgspec.DecodeError:
                datagram = None  # Of a newer version.
            if datagram and datagram.cluster == self._cluster and datagram.sender in self._servers - {self._me}:
                return datagram.sender, datagram.packet, datagram.at
        self.refused += 1
        return None

    def _sign(self, body: bytes) -> bytes:
        return blake2b(body, key=self._key, digest_size=_SIGNATURE_BYTES, person=b"openclp-alert-1").digest()


def encode_entry(entry: Entry) -> bytes:
    return msgspec.msgpack.encode(entry)


def decode_entry(data: bytes) -> Entry:
    """msgspec.DecodeError when a newer version wrote it."""
    return msgspec.msgpack.decode(data, type=Entry)
