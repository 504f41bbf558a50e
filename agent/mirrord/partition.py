"""The cluster partition of one side: whose it is, reading it, making it, and writes that are durable when they return.

Rules of this file
- Two labels tell people and programs which mirror of which cluster this is, how large its disk is and in which grains,
  since when it is broken. Their identity, drawn when the partition is made, is in every other block: what an earlier
  make left there does not count. It needs no agreement with the other side: whether two disks belong together is told
  by their generations (agent/mirror/past.py), and whether two processes do, by the link.
- A label is written last when the partition is made: before, it is no partition of ours.
- Only what reads as zeros all over is taken into use without being asked. Everything else wants force, and is named.
- Writes bypass the page cache where that is possible, and are on stable storage when they return.
"""

from __future__ import annotations

import errno
import mmap
import os
import secrets
import struct
import time
from collections.abc import Iterable
from hashlib import blake2b

import msgspec

from agent.mirror import layout
from agent.mirror.bits import Bits, grain_bytes
from agent.mirror.past import Past
from agent.mirror.side import Stored
from agent.mirrord.disk import BLOCK, DiskError, open_alone, size_of
from agent.mirrord.separation import Trace
from agent.mirrord.settings import Settings

Blocks = list[tuple[int, bytes]]
_LABELS = (4 * BLOCK, 5 * BLOCK)
_MAGIC = b"openclp md label"
_HEAD = struct.Struct("!16sQI")
_DIGEST_BYTES = 16
_PIECE = 256 << 10  # written at a time
_NEW = Past()
# What other programs write there: name, place, bytes.
DRBD_MAGIC_AT, DRBD_MAGIC = 60, b"\x83\x74\x02"  # of the external meta data of versions 8.4 and 9
_OTHERS = (
    ("the records of DRBD", DRBD_MAGIC_AT, DRBD_MAGIC),
    ("an XFS file system", 0, b"XFSB"),
    ("an ext2, ext3 or ext4 file system", 1080, b"\x53\xef"),
    ("a btrfs file system", 65600, b"_BHRfS_M"),
    ("swap space", 4086, b"SWAPSPACE2"),
    ("an LVM physical volume", 512, b"LABELONE"),
    ("an encrypted volume (LUKS)", 0, b"LUKS\xba\xbe"),
    ("a partition table (GPT)", 512, b"EFI PART"),
    ("a partition table or boot sector", 510, b"\x55\xaa"),
)


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """Whose partition this is, and what is good to know after a restart but decides nothing."""

    mirror: str
    cluster: str
    server: str
    identity: str  # hex
    size: int  # bytes of the mirror disk
    grain: int
    made: float  # seconds since 1970, as all times here
    isolated: bool = False  # by the operator: stays apart until he joins it again
    last_update: float = 0.0  # the newest write that this disk has had, as far as it was noted
    broken_at: float = 0.0  # both sides have not been equal since; 0: they are
    verified_at: float = 0.0  # both disks were compared, grain by grain
    verified_differing: int = 0  # bytes that differed then
    separated_at: float = 0.0  # for a backup: its disk stands still since then (separation.py)
    trace: Trace | None = None  # of that moment
    compare_due: bool = False  # nobody watched a separated disk all the time: both are compared when they are equal
    lacks_at: float = 0.0  # taken over without what the other side acknowledged after this, until both are equal again
    restoring_at: float = 0.0  # an operator writes a backup to the data partition: nobody else touches it
    restoring_over: str = ""  # the generation of the other side when that began; "" not known


class Partition:
    """`open` or `create` make one. All writes are made by one thread at a time."""

    def __init__(self, path: str, fd: int, label: Label, number: int) -> None:
        self.path, self.fd = path, fd
        self.label = label
        self.identity = bytes.fromhex(label.identity)
        self._label_number = number
        self._numbers: dict[layout.Kind, int] = {"super": 0, "log": 0}
        self._buffer = mmap.mmap(-1, _PIECE)

    @classmethod
    def open(cls, settings: Settings) -> Partition:
        """Raises DiskError. What was never used is made."""
        fd = _open(settings.partition)
        try:
            found = _labels(_read(fd, 0, layout.BITS_AT))
            if found is None:
                _make(settings, fd, force=False)
                found = _labels(_read(fd, 0, layout.BITS_AT))
                assert found is not None
            number, label = found
            _belongs(settings, label)
            _fits(settings.partition, fd, label.size, label.grain)
        except BaseException:
            os.close(fd)
            raise
        return cls(settings.partition, fd, label, number)

    def close(self) -> None:
        os.close(self.fd)
        self._buffer.close()

    # ---- reading ----
    @property
    def grains(self) -> int:
        return -(-self.label.size // self.label.grain)

    def read(self) -> Stored:
        """Raises DiskError when nobody can know any more what the data is."""
        head = _read(self.fd, 0, layout.BITS_AT)
        past = self._newest("super", head)
        if past is None:
            raise DiskError(
                f"Both superblocks of the cluster partition {self.path} are damaged: nobody knows how old this "
                "server's data is. `clpmdinit --create force` makes it anew; then everything is copied from the other "
                "server."
            )
        log = self._newest("log", head)
        blocks = layout.bits_blocks(self.grains)
        data = _read(self.fd, layout.BITS_AT, blocks * BLOCK)
        each = tuple(data[at : at + BLOCK] for at in range(0, blocks * BLOCK, BLOCK))
        bits = layout.read_bits(self.grains, self.identity, each)
        if log is None:
            bits.fill()  # Where writes were on their way is not known: anywhere.
        self._numbers = {"super": past.number, "log": log.number if log else 0}
        return Stored(layout.past_of(past.payload), bits, layout.log_of(log.payload) if log else ())

    def _newest(self, kind: layout.Kind, head: bytes) -> layout.Read | None:
        return layout.newest(kind, self.identity, tuple(head[at : at + BLOCK] for at in layout.PLACES[kind]))

    # ---- what is to be written ----
    def super(self, past: Past) -> Blocks:
        return [self._next("super", layout.past_bytes(past))]

    def log(self, extents: tuple[int, ...]) -> Blocks:
        return [self._next("log", layout.log_bytes(extents))]

    def bits(self, bits: Bits, blocks: Iterable[int]) -> Blocks:
        return [(layout.BITS_AT + n * BLOCK, layout.bits_block(bits, n, self.identity)) for n in blocks]

    def _next(self, kind: layout.Kind, payload: bytes) -> tuple[int, bytes]:
        self._numbers[kind] += 1
        number = self._numbers[kind]
        return layout.place(kind, number), layout.sealed(kind, self.identity, number, payload)

    def noted(self, **changes: object) -> Blocks:
        """The label, changed."""
        self.label = msgspec.structs.replace(self.label, **changes)
        self._label_number += 1
        return [_sealed(self.label, self._label_number)]

    def blank(self, past: Past, size: int, grain: int) -> tuple[Stored, Blocks]:
        """For a mirror that was never constructed, when both sides have agreed on the size of its disk."""
        label = self.noted(size=size, grain=grain)
        bits = Bits(self.grains)
        return Stored(past, bits, ()), [*self.bits(bits, range(layout.bits_blocks(self.grains))), *label]

    def holds(self, size: int, grain: int) -> bool:
        """There is room for the bits of a disk of this size."""
        return size_of(self.fd) >= needed(size, grain)

    # ---- writing, in a thread ----
    def write(self, blocks: Blocks) -> None:
        """On stable storage when this returns."""
        _write(self.fd, self._buffer, blocks)


def needed(size: int, grain: int) -> int:
    """Bytes that a cluster partition must have."""
    return layout.BITS_AT + layout.bits_blocks(-(-size // grain)) * BLOCK


def create(settings: Settings, force: bool, past: Past = _NEW) -> Label:
    """Makes the cluster partition anew: this side then has no data, or that of `past`. Raises DiskError, before
    anything was changed."""
    fd = _open(settings.partition)
    try:
        return _make(settings, fd, force=force, past=past)
    finally:
        os.close(fd)


def refuse_used(settings: Settings, length: int) -> str:
    """For another engine: what is there, "" zeros alone. DiskError says what is in the way."""
    fd = _open(settings.partition)
    try:
        head = _read(fd, 0, BLOCK)
        if head[DRBD_MAGIC_AT : DRBD_MAGIC_AT + len(DRBD_MAGIC)] == DRBD_MAGIC:
            return "drbd"
        _refuse_used(settings, fd, min(length, size_of(fd)))
    finally:
        os.close(fd)
    return ""


def label_of(path: str) -> Label | None:
    """Of which mirror a partition is, without using it. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = _labels(_read(fd, 0, layout.BITS_AT))
    finally:
        os.close(fd)
    return found[1] if found else None


# ---- making ----
def _make(settings: Settings, fd: int, *, force: bool, past: Past = _NEW) -> Label:
    size, grain = _data_size(settings), settings.grain_bytes
    grain = max(grain, grain_bytes(size))
    _fits(settings.partition, fd, size, grain)
    if not force:
        _refuse_used(settings, fd, needed(size, grain))
    label = Label(
        mirror=settings.mirror, cluster=settings.cluster, server=settings.server, identity=secrets.token_hex(16),
        size=size, grain=grain, made=time.time(),
    )  # fmt: skip
    with mmap.mmap(-1, _PIECE) as buffer:
        _write(fd, buffer, [(at, bytes(BLOCK)) for at in _LABELS])
        partition = Partition(settings.partition, fd, label, 0)
        _, blocks = partition.blank(past, size, grain)
        labels = [blocks.pop(), _sealed(label, 0)]
        for _ in layout.PLACES["super"]:
            blocks += [*partition.super(past), *partition.log(())]
        _write(fd, buffer, blocks)
        _write(fd, buffer, labels)
    return label


def _data_size(settings: Settings) -> int:
    """Of the mirror disk, as far as this side knows."""
    try:
        fd = os.open(settings.data, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise DiskError(f"The data partition {settings.data} cannot be opened: {error.strerror}.") from error
    try:
        if os.path.realpath(settings.data) == os.path.realpath(settings.partition):
            raise DiskError(f"{settings.data} is named as data partition and as cluster partition: these are two.")
        own = size_of(fd)
    finally:
        os.close(fd)
    if not own or settings.size > own:
        raise DiskError(
            f"The data partition {settings.data} has {own} bytes; the mirror disk needs {settings.size or BLOCK}."
        )
    return (settings.size or own) // BLOCK * BLOCK


def _fits(path: str, fd: int, size: int, grain: int) -> None:
    room, need = size_of(fd), needed(size, grain)
    if room < need:
        raise DiskError(
            f"The cluster partition {path} is too small: it has {room} bytes, and a mirror disk of {size} bytes needs "
            f"{need}."
        )


def _belongs(settings: Settings, label: Label) -> None:
    if (label.mirror, label.cluster) != (settings.mirror, settings.cluster):
        raise DiskError(
            f"The cluster partition {settings.partition} belongs to the mirror {label.mirror} of the cluster "
            f"{label.cluster}, not to {settings.mirror} of {settings.cluster}. Correct the path, or make it anew with "
            "`clpmdinit --create force`."
        )


def _refuse_used(settings: Settings, fd: int, length: int) -> None:
    for at in range(0, length, _PIECE):
        piece = _read(fd, at, min(_PIECE, length - at))
        if piece.count(0) == len(piece):
            continue
        what = _what_is_there(_read(fd, 0, min(length + BLOCK, size_of(fd)) // BLOCK * BLOCK))
        raise DiskError(
            f"The cluster partition {settings.partition} is not empty: it has {what}. If that may be lost, make it "
            f"with `clpmdinit --create force {settings.mirror}`."
        )


def _what_is_there(head: bytes) -> str:
    found = _labels(head)
    if found is not None:
        label = found[1]
        when = time.strftime("%Y-%m-%d", time.localtime(label.made))
        return f"the mirror {label.mirror} of the cluster {label.cluster}, made on {when}"
    for name, at, magic in _OTHERS:
        if head[at : at + len(magic)] == magic:
            return name
    return "data of an unknown kind"


# ---- labels ----
def _sealed(label: Label, number: int) -> tuple[int, bytes]:
    text = msgspec.json.encode(label)
    body = (_HEAD.pack(_MAGIC, number, len(text)) + text).ljust(BLOCK - _DIGEST_BYTES, b"\0")
    assert len(body) == BLOCK - _DIGEST_BYTES
    return _LABELS[number % len(_LABELS)], body + blake2b(body, digest_size=_DIGEST_BYTES).digest()


def _labels(head: bytes) -> tuple[int, Label] | None:
    """The newest that is whole, with its number."""
    found = []
    for at in _LABELS:
        block = head[at : at + BLOCK]
        body, digest = block[:-_DIGEST_BYTES], block[-_DIGEST_BYTES:]
        if len(block) != BLOCK or blake2b(body, digest_size=_DIGEST_BYTES).digest() != digest:
            continue
        magic, number, length = _HEAD.unpack_from(body)
        if magic == _MAGIC:
            text = body[_HEAD.size : _HEAD.size + length]
            found.append((number, msgspec.json.decode(text, type=Label)))
    return max(found, key=lambda pair: pair[0], default=None)


# ---- the file ----
def _open(path: str) -> int:
    """tmpfs of older kernels has no O_DIRECT."""
    try:
        return open_alone(path, "cluster partition", os.O_DIRECT | os.O_DSYNC)
    except DiskError as error:
        if not isinstance(error.__cause__, OSError) or error.__cause__.errno != errno.EINVAL:
            raise
    return open_alone(path, "cluster partition", os.O_DSYNC)


def _read(fd: int, place: int, length: int) -> bytes:
    """As much of it as there is."""
    found = bytearray()
    with mmap.mmap(-1, _PIECE) as buffer:
        while len(found) < length:
            count = os.preadv(fd, [memoryview(buffer)[: min(_PIECE, length - len(found))]], place + len(found))
            if count <= 0:
                break
            found += buffer[:count]
    return bytes(found)


def _write(fd: int, buffer: mmap.mmap, blocks: Blocks) -> None:
    """Neighbours in one piece."""
    blocks = sorted(blocks)
    at = 0
    while at < len(blocks):
        place, length = blocks[at][0], 0
        while at < len(blocks) and blocks[at][0] == place + length and length + BLOCK <= len(buffer):
            buffer[length : length + BLOCK] = blocks[at][1]
            length += BLOCK
            at += 1
        view = memoryview(buffer)[:length]
        if os.pwrite(fd, view, place) != length:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
