"""The handshake and the frames of a peer link: the cluster key proves who is there and authenticates each frame.

Rules. The connecting side talks, the accepting side answers once (Welcome) and then only listens. Both send a nonce
that was never used; the keys of a session follow from both, so that frames of an old session are refused. Frames carry
a counter that rises by one, so that a frame can be neither repeated nor left out. Nothing is secret but the key.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import struct

import msgspec

FRAME_LIMIT = 1 << 20
GREETING_LIMIT = 4096
VERSION = 1
NONCE_BYTES = 32
MAC_BYTES = 32
_HEAD = struct.Struct("!IQ")  # payload length, counter
_LENGTH = struct.Struct("!I")


class LinkError(Exception):
    """The other side is not who it must be, or does not keep the protocol; the sentence names what and the remedy."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    cluster: str
    sender: str
    receiver: str
    incarnation: int
    nonce: bytes


class Welcome(msgspec.Struct, frozen=True, kw_only=True):
    incarnation: int
    nonce: bytes
    proof: bytes


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    proof: bytes


def _mac(key: bytes, purpose: bytes, data: bytes) -> bytes:
    return hmac.digest(key, b"openclp link 1 " + purpose + b"\0" + data, "sha256")


def _transcript(hello: bytes, incarnation: int, nonce: bytes) -> bytes:
    return hashlib.sha256(_LENGTH.pack(len(hello)) + hello + struct.pack("!Q", incarnation) + nonce).digest()


class Sealer:
    """Makes the frames of one session."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._counter = 0

    def seal(self, payload: bytes) -> bytes:
        if len(payload) > FRAME_LIMIT:
            raise LinkError("oversize", f"A message of {len(payload)} bytes is above the limit of {FRAME_LIMIT}.")
        head = _HEAD.pack(len(payload), self._counter)
        self._counter += 1
        return head + payload + hmac.digest(self._key, head + payload, "sha256")


class Opener:
    """Reads the frames of one session."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._counter = 0

    async def read(self, reader: asyncio.StreamReader) -> bytes:
        """Raises LinkError for a frame that the other side's session did not make, EOFError at the end."""
        head = await reader.readexactly(_HEAD.size)
        length, counter = _HEAD.unpack(head)
        if length > FRAME_LIMIT:
            raise LinkError("oversize", f"A frame of {length} bytes came; the limit is {FRAME_LIMIT}.")
        body = await reader.readexactly(length + MAC_BYTES)
        payload, mac = body[:length], body[length:]
        if not hmac.compare_digest(mac, hmac.digest(self._key, head + payload, "sha256")):
            raise LinkError("bad_mac", "A frame is not signed with the key of this session.")
        if counter != self._counter:
            raise LinkError("replay", f"Frame {counter} came where frame {self._counter} was due.")
        self._counter += 1
        return payload


def _write_greeting(writer: asyncio.StreamWriter, greeting: Hello | Welcome | Proof) -> bytes:
    data = msgspec.json.encode(greeting)
    writer.write(_LENGTH.pack(len(data)) + data)
    return data


async def _read_greeting(reader: asyncio.StreamReader) -> bytes:
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    if length > GREETING_LIMIT:
        raise LinkError("greeting", f"A greeting of {length} bytes came; the limit is {GREETING_LIMIT}.")
    return await reader.readexactly(length)


async def greet(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *,
    key: bytes,
    cluster: str,
    me: str,
    peer: str,
    incarnation: int,
) -> Sealer:
    """The connecting side: prove both, then send."""
    hello = Hello(
        version=VERSION, cluster=cluster, sender=me, receiver=peer, incarnation=incarnation,
        nonce=os.urandom(NONCE_BYTES),
    )  # fmt: skip
    raw_hello = _write_greeting(writer, hello)
    try:
        welcome = msgspec.json.decode(await _read_greeting(reader), type=Welcome)
        transcript = _transcript(raw_hello, welcome.incarnation, welcome.nonce)
    except (msgspec.DecodeError, struct.error) as error:
        raise LinkError("greeting", f"{peer} does not answer as an agent of openclp: {error}.") from error
    # Ours goes first, so that the other side, too, can say that the keys differ.
    _write_greeting(writer, Proof(proof=_mac(key, b"client", transcript)))
    await writer.drain()
    if not hmac.compare_digest(welcome.proof, _mac(key, b"server", transcript)):
        raise LinkError("wrong_key", f"{peer} has another cluster key. Copy cluster.key of one server to all of them.")
    return Sealer(_mac(key, b"session", transcript))


async def read_hello(reader: asyncio.StreamReader, *, cluster: str, me: str) -> tuple[bytes, Hello]:
    """The accepting side, first half: a claim that nothing proves yet."""
    raw = await _read_greeting(reader)
    try:
        hello = msgspec.json.decode(raw, type=Hello)
    except msgspec.DecodeError as error:
        raise LinkError("greeting", f"Something that is no agent of openclp connected: {error}.") from error
    if hello.version != VERSION:
        raise LinkError("version", f"{hello.sender} speaks link version {hello.version}, this agent {VERSION}.")
    if hello.cluster != cluster or hello.receiver != me:
        raise LinkError(
            "stranger",
            f"{hello.sender} of cluster {hello.cluster} looks for {hello.receiver}; here is {me} of cluster {cluster}.",
        )
    if not 0 <= hello.incarnation < 1 << 64:
        raise LinkError("greeting", f"{hello.sender} names an impossible incarnation.")
    return raw, hello


async def admit(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *,
    key: bytes,
    raw_hello: bytes,
    hello: Hello,
    incarnation: int,
) -> Opener:
    """The accepting side, second half: prove both, then listen."""
    nonce = os.urandom(NONCE_BYTES)
    transcript = _transcript(raw_hello, incarnation, nonce)
    _write_greeting(writer, Welcome(incarnation=incarnation, nonce=nonce, proof=_mac(key, b"server", transcript)))
    await writer.drain()
    try:
        proof = msgspec.json.decode(await _read_greeting(reader), type=Proof)
    except msgspec.DecodeError as error:
        raise LinkError("greeting", f"{hello.sender} does not keep the protocol: {error}.") from error
    if not hmac.compare_digest(proof.proof, _mac(key, b"client", transcript)):
        raise LinkError(
            "wrong_key", f"{hello.sender} has another cluster key. Copy cluster.key of one server to all of them."
        )
    return Opener(_mac(key, b"session", transcript))
