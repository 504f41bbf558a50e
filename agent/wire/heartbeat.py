"""The heartbeat packet: what one server says of itself and of whom it hears, signed with the cluster key."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from agent.wire.epoch import NO_EPOCH, Epoch

# The heartbeat child must stay tiny: hashlib and hmac would load OpenSSL (4 MB) only to reach these two.
try:
    from _blake2 import blake2b
    from _operator import _compare_digest as compare_digest
except ImportError:  # A Python built otherwise.
    from hashlib import blake2b
    from hmac import compare_digest  # type: ignore[no-redef]

SERVICES = ("online", "leaving", "stopped", "released", "isolated", "waiting")
MAX_SERVERS = 64
MAX_PATHS = 16
MAX_AGE_MS = 2**32 - 1  # of the daemon
MAX_AGE = 2**32 - 1  # of a row
AGES_A_SECOND = 10_000  # unit of a row's age: a millisecond would lengthen every failover
NEVER = 0  # seq of a row whose server was never heard
EVERYBODY = 2**64 - 1  # members: the lease of every server is confirmed
UNTOLD = bytes(8)  # configuration of a server that does not tell which one it runs

_MAGIC = b"oclp"
_VERSION = 3
_LOSSY = 1  # flag
# magic, version, flags, sender, path, service, rows, cluster tag, hardware address, (2 spare)
# configuration, incarnation, seq, sent (ns), epoch counter, members, promised counter, epoch proposer,
# promised proposer, daemon age (ms)
_HEAD = struct.Struct("!4sBBBBBB8s6s2x8sQQQQQQIII")
_ROW = struct.Struct("!QIII")
_MAC_BYTES = 16
_MIN_BYTES = _HEAD.size + _ROW.size + _MAC_BYTES
_MAX_BYTES = _HEAD.size + MAX_SERVERS * _ROW.size + _MAC_BYTES

# (newest seq heard of that server or NEVER, 0.1 ms since then or since the sender's start, low 32 bits of the
# incarnation heard, bitmap of the paths on which it is heard now)
Row = tuple[int, int, int, int]


class Rows(Sequence[Row]):
    """The rows of a packet as it came. Each is read when it is asked for: a receiver needs its own, seldom others."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __getitem__(self, index: int) -> Row:  # type: ignore[override]
        return _ROW.unpack_from(self._data, _HEAD.size + index * _ROW.size)

    def __len__(self) -> int:
        return (len(self._data) - _HEAD.size - _MAC_BYTES) // _ROW.size

    def __iter__(self) -> Iterator[Row]:
        return _ROW.iter_unpack(self._data[_HEAD.size : -_MAC_BYTES])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))


class Packet(NamedTuple):
    """One beat. `rows` has one row for each configured server, in the order of the configuration."""

    sender: int
    incarnation: int
    seq: int
    sent: float  # steady seconds of the sender
    epoch: Epoch
    service: str
    daemon_age_ms: int
    rows: Sequence[Row]
    path: int = 0
    hardware: bytes = bytes(6)  # of the sender's device on this path, zeros when it has none
    # Bitmap of the servers in the view that the sender has promised: only their leases does this packet confirm.
    members: int = EVERYBODY
    lossy: bool = False  # the sender misses packets: everybody shall beat more often
    promised: Epoch = NO_EPOCH  # newest view that the sender has promised, when it said `members`
    config: bytes = UNTOLD  # config_id of what it runs, in 8 bytes


def derive_key(cluster_key: bytes) -> bytes:
    """The heartbeats' own key: whoever reads it out of the child cannot speak as an agent."""
    return blake2b(cluster_key, digest_size=32, person=b"openclp-hb-key").digest()


class Codec:
    """Signs and checks. `refused` counts by reason what decode() did not accept, `why` is the newest reason."""

    def __init__(self, cluster: str, key: bytes, servers: int, paths: int) -> None:
        if not 1 <= servers <= MAX_SERVERS:
            raise ValueError(f"a cluster has 1 to {MAX_SERVERS} servers, not {servers}")
        if not 1 <= paths <= MAX_PATHS:
            raise ValueError(f"a cluster has 1 to {MAX_PATHS} heartbeats, not {paths}")
        if not 16 <= len(key) <= 64:
            raise ValueError(f"the cluster key must have 16 to 64 bytes, it has {len(key)}")
        self._tag = blake2b(cluster.encode(), digest_size=8).digest()
        # Copying a keyed state is several times cheaper than keying a new one for each packet.
        self._keyed = blake2b(key=key, digest_size=_MAC_BYTES, person=b"openclp-beat")
        self._rows = struct.Struct("!" + _ROW.format[1:] * servers)
        self._packed_of: Sequence[Row] = ()
        self._packed = b""
        self._servers = servers
        self._paths = paths
        self.refused: dict[str, int] = {}
        self.why = ""

    def encode(self, packet: Packet) -> bytes:
        head = _HEAD.pack(
            _MAGIC, _VERSION, _LOSSY if packet.lossy else 0, packet.sender, packet.path,
            SERVICES.index(packet.service), len(packet.rows),
            self._tag, packet.hardware, packet.config, packet.incarnation, packet.seq, int(packet.sent * 1e9),
            packet.epoch[0], packet.members, packet.promised[0], packet.epoch[1], packet.promised[1],
            min(packet.daemon_age_ms, MAX_AGE_MS),
        )  # fmt: skip
        if packet.rows is not self._packed_of:  # The same go out on every LAN.
            self._packed_of = packet.rows
            self._packed = self._rows.pack(*[field for row in packet.rows for field in row])
        body = head + self._packed
        return body + self._sign(body)

    def decode(self, data: bytes) -> Packet | None:
        """The packet, or None: not ours, damaged, signed with another key, or impossible."""
        if not _MIN_BYTES <= len(data) <= _MAX_BYTES or not data.startswith(_MAGIC):
            return self._refuse("not a heartbeat")
        (
            _, version, flags, sender, path, service, rows,
            tag, hardware, config, incarnation, seq, sent_ns, counter, members, promised, proposer, promiser,
            daemon_age_ms,
        ) = _HEAD.unpack_from(data)  # fmt: skip
        if version != _VERSION:
            return self._refuse("other version")
        if tag != self._tag:
            return self._refuse("other cluster")
        if not compare_digest(self._sign(data[:-_MAC_BYTES]), data[-_MAC_BYTES:]):
            return self._refuse("wrong key")
        # From here on a peer of ours wrote it: what does not fit comes from another configuration.
        if rows != self._servers or len(data) != _HEAD.size + rows * _ROW.size + _MAC_BYTES:
            return self._refuse("other configuration")
        if sender >= self._servers or path >= self._paths or service >= len(SERVICES) or seq == NEVER:
            return self._refuse("other configuration")
        return Packet(
            sender, incarnation, seq, sent_ns / 1e9, _epoch(counter, proposer),
            SERVICES[service], daemon_age_ms, Rows(data), path, hardware,
            members, bool(flags & _LOSSY), _epoch(promised, promiser), config,
        )  # fmt: skip

    def _sign(self, body: bytes) -> bytes:
        state = self._keyed.copy()
        state.update(body)
        return state.digest()

    def _refuse(self, reason: str) -> Packet | None:
        self.why = reason
        self.refused[reason] = self.refused.get(reason, 0) + 1
        return None


def _epoch(counter: int, proposer: int) -> Epoch:
    return Epoch(counter, proposer) if counter else NO_EPOCH
