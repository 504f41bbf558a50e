"""The handshake of a mirror connection: both sides prove that they have the key, and agree on what the link is.

Rules of this file
- No input, no output: `call` and `accept` are generators that yield a `Step` and get what it brought.
- Caller: who I am (claims, nonce). Acceptor: who I am (claims, nonce, fingerprint of its certificate), or why not. Then
  TLS, if both want it; the caller goes on only with the certificate that was named. Then the caller's proof, then the
  acceptor's: a keyed BLAKE2b over all that both have said, with a key made from the cluster's key for this purpose
  alone. The keys of the frames follow from the same words. So nothing of an earlier connection is of any use, no side
  can be played against itself, and who stands between both cannot keep TLS apart from the proof: the proof covers the
  certificate whose owner the caller talks to.
- The acceptor proves nothing to who has proven nothing. Before that, an answer tells names only.
- Whatever does not fit is refused with a sentence for both sides. Sizes are for the engine to compare (peer.py).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Generator
from typing import NamedTuple, TypeVar

import msgspec

from agent.mirrord.settings import Settings
from agent.wire.heartbeat import blake2b, compare_digest  # type: ignore[attr-defined]

VERSION = 1
MAGIC = "openclp mirror"
MOST_MESSAGE = 4096
_MOST_SAID = 300
_LENGTH = struct.Struct("!I")
PREFIX_BYTES = _LENGTH.size
_NONCE_BYTES = 32


class RefusedError(Exception):
    """No connection. The sentence says what does not fit, and the remedy."""


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What a side says of itself; nothing proves it yet."""

    magic: str
    version: int
    cluster: str = ""
    mirror: str = ""
    server: str = ""
    peer: str = ""
    nonce: str = ""
    encrypt: bool = False
    check: bool = False
    certificate: str = ""  # SHA-256 of the acceptor's


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    refused: str


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    proof: str


class Send(NamedTuple):
    message: bytes


class Read(NamedTuple):
    """Brings the next message of the other side, with its length in front."""


class Secure(NamedTuple):
    """TLS from here on. Brings the SHA-256 of the other side's certificate, nothing if it has none."""


Step = Send | Read | Secure


class Agreed(NamedTuple):
    """A connection on which both have proven themselves."""

    theirs: Claims
    sending: bytes  # key of the frames that we send
    receiving: bytes
    check: bool  # the data of frames is signed, too


Greeting = Generator[Step, bytes, Agreed]
_Message = TypeVar("_Message", Claims, Proof)


def key_of(settings: Settings) -> bytes:
    """ValueError with a sentence when a key file cannot be read."""
    extra = b""
    if settings.key_file:
        try:
            with open(settings.key_file, "rb") as file:
                extra = file.read(1 << 16)
        except OSError as error:
            raise ValueError(f"The key file of mirror {settings.mirror} cannot be read: {error}.") from error
        if not extra.strip():
            raise ValueError(f"The key file {settings.key_file} of mirror {settings.mirror} is empty.")
    try:
        key = bytes.fromhex(settings.key)
    except ValueError:
        key = b""
    if not key:
        raise ValueError(f"Mirror {settings.mirror} was given no cluster key, or one that cannot be read.")
    state = blake2b(digest_size=32, person=b"openclp-mirror-k")
    for part in (key, extra):
        state.update(_LENGTH.pack(len(part)) + part)
    return state.digest()


def claims_of(settings: Settings, certificate: str = "") -> Claims:
    return Claims(
        magic=MAGIC, version=VERSION, cluster=settings.cluster, mirror=settings.mirror, server=settings.server,
        peer=settings.peer, nonce=os.urandom(_NONCE_BYTES).hex(),
        encrypt=settings.encrypt, check=settings.check_data, certificate=certificate,
    )  # fmt: skip


def length_of(head: bytes | memoryview) -> int:
    """Of the message behind these four bytes."""
    (length,) = _LENGTH.unpack(head)
    if length > MOST_MESSAGE:
        raise RefusedError("Something that is no mirror process of openclp speaks there.")
    return int(length)


def call(mine: Claims, key: bytes) -> Greeting:
    """The side that has connected."""
    asked = _encode(mine)
    yield Send(asked)
    answer = yield Read()
    theirs = _claims(answer, mine)
    if why := _misfit(mine, theirs):
        raise RefusedError(why)
    if mine.encrypt and (yield Secure()).hex() != theirs.certificate:
        raise RefusedError(f"{mine.peer} shows another certificate than it has named: somebody stands between.")
    transcript = _transcript(asked, answer)
    yield Send(_encode(Proof(proof=_mac(key, b"caller", transcript).hex())))
    _judge((yield Read()), _mac(key, b"acceptor", transcript), mine)
    return _agreed(mine, theirs, key, transcript, (b"frames-caller", b"frames-acceptor"))


def accept(mine: Claims, key: bytes) -> Greeting:
    """The side that was called."""
    asked = yield Read()
    theirs = _claims(asked, mine)
    if why := _misfit(mine, theirs):
        yield Send(_encode(Refusal(refused=why)))
        raise RefusedError(why)
    answer = _encode(mine)
    yield Send(answer)
    if mine.encrypt:
        yield Secure()
    transcript = _transcript(asked, answer)
    try:
        _judge((yield Read()), _mac(key, b"caller", transcript), mine)
    except RefusedError as error:
        yield Send(_encode(Refusal(refused=str(error))))
        raise
    yield Send(_encode(Proof(proof=_mac(key, b"acceptor", transcript).hex())))
    return _agreed(mine, theirs, key, transcript, (b"frames-acceptor", b"frames-caller"))


# ---- words -----------------------------------------------------------------------------------------------------------


def _encode(message: Claims | Refusal | Proof) -> bytes:
    data = msgspec.json.encode(message)
    return _LENGTH.pack(len(data)) + data


def _decode(data: bytes, kind: type[_Message], mine: Claims) -> _Message:
    text = data[_LENGTH.size :]
    try:
        refusal = msgspec.json.decode(text, type=Refusal)
    except msgspec.DecodeError:
        pass
    else:
        raise RefusedError(f"{mine.peer} refuses: {said(refusal.refused)}")
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError as error:
        raise RefusedError("Something that is no mirror process of openclp speaks there.") from error


def _claims(message: bytes, mine: Claims) -> Claims:
    theirs = _decode(message, Claims, mine)
    if theirs.magic != MAGIC:
        raise RefusedError("Something that is no mirror process of openclp speaks there.")
    return theirs


def said(text: str) -> str:
    """Words of a stranger, fit to be shown."""
    clean = "".join(c if c.isprintable() else "?" for c in text[: _MOST_SAID + 1])
    return clean if len(clean) <= _MOST_SAID else clean[:_MOST_SAID] + "…"


def _misfit(mine: Claims, theirs: Claims) -> str:
    """Why these two are no pair, in words for both; empty: they are."""
    here, there, same = mine.server, said(theirs.server), "Both servers need the same clp.conf."
    if theirs.version != mine.version:
        return (
            f"{there} speaks version {theirs.version} of the mirror's protocol, {here} version {mine.version}. "
            "Install the same version of openclp on both."
        )
    if theirs.cluster != mine.cluster:
        return f"{there} belongs to cluster {said(theirs.cluster)}, {here} to cluster {mine.cluster}."
    if theirs.mirror != mine.mirror:
        return (
            f"{there} speaks for mirror {said(theirs.mirror)} at the port of mirror {mine.mirror} of {here}. "
            f"Look at the ports (mddriver/port). {same}"
        )
    if (theirs.server, theirs.peer) != (mine.peer, mine.server):
        return f"{there} looks for {said(theirs.peer)}; here is {here}, which looks for {mine.peer}. {same}"
    if theirs.encrypt != mine.encrypt:
        on, off = (here, there) if mine.encrypt else (there, here)
        return f"{on} encrypts mirror {mine.mirror}, {off} does not. {same}"
    return ""


# ---- proofs ----------------------------------------------------------------------------------------------------------


def _transcript(asked: bytes, answer: bytes) -> bytes:
    # Each has its length in front, so that no byte can move from one to the other.
    return blake2b(asked + answer, digest_size=32, person=b"openclp-mirror-t").digest()


def _mac(key: bytes, purpose: bytes, transcript: bytes) -> bytes:
    assert key, "BLAKE2b takes an empty key for none"
    return blake2b(purpose + b"\0" + transcript, key=key, digest_size=32, person=b"openclp-mirror-p").digest()


def _judge(message: bytes, expected: bytes, mine: Claims) -> None:
    proof = _decode(message, Proof, mine).proof
    if not compare_digest(proof.encode(), expected.hex().encode()):
        raise RefusedError(
            f"{mine.server} and {mine.peer} have different keys. "
            "Copy cluster.key, and the key file of the mirror if it has one, of one server to the other."
        )


def _agreed(mine: Claims, theirs: Claims, key: bytes, transcript: bytes, purposes: tuple[bytes, bytes]) -> Agreed:
    sending, receiving = (_mac(key, purpose, transcript) for purpose in purposes)
    return Agreed(theirs, sending, receiving, check=mine.check or theirs.check)
