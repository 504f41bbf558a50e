"""The heartbeat packet: what goes in comes out, and what is not ours comes to nothing."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.wire.epoch import NO_EPOCH, Epoch
from agent.wire.heartbeat import MAX_SERVERS, SERVICES, Codec, Packet, derive_key

KEY = b"0123456789abcdef"
U32, U64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
ROWS = st.tuples(*[st.tuples(U64, U32, U32, U32)] * 3)


def codec(cluster: str = "demo", key: bytes = KEY, servers: int = 3, paths: int = 2) -> Codec:
    return Codec(cluster, key, servers, paths)


def packet(**changes: object) -> Packet:
    rows = ((7, 0, 5, 0), (3, 120, 9, 3), (0, 4000, 0, 0))
    given = Packet(0, 5, 7, 12.5, Epoch(4, 1), "online", 30, rows, 1, bytes.fromhex("020000000001"))
    return given._replace(**changes)


PACKETS = st.builds(
    Packet,
    sender=st.integers(0, 2),
    incarnation=U64,
    seq=st.integers(1, 2**64 - 1),
    sent=st.integers(0, 10**9).map(float),
    epoch=st.builds(Epoch, st.integers(1, 2**64 - 1), U32) | st.just(NO_EPOCH),
    service=st.sampled_from(["online", "leaving", "stopped", "released"]),
    daemon_age_ms=U32,
    rows=ROWS,
    path=st.integers(0, 1),
    hardware=st.binary(min_size=6, max_size=6),
    members=U64,
    lossy=st.booleans(),
    promised=st.builds(Epoch, st.integers(1, 2**64 - 1), U32) | st.just(NO_EPOCH),
    config=st.binary(min_size=8, max_size=8),
)


@given(PACKETS)
@settings(max_examples=200)
def test_packet_survives_the_wire(sent: Packet) -> None:
    assert codec().decode(codec().encode(sent)) == sent


def test_daemon_age_beyond_its_field_is_the_largest_age() -> None:
    received = codec().decode(codec().encode(packet(daemon_age_ms=2**40)))

    assert received is not None
    assert received.daemon_age_ms == 2**32 - 1


@pytest.mark.parametrize(
    ("receiver", "why"),
    [
        (codec(key=b"another key....."), "wrong key"),
        (codec(cluster="other"), "other cluster"),
        (codec(servers=2), "other configuration"),
        (codec(servers=4), "other configuration"),
        (codec(paths=1), "other configuration"),
    ],
)
def test_packet_of_strangers_is_refused_with_the_reason(receiver: Codec, why: str) -> None:
    assert receiver.decode(codec().encode(packet())) is None
    assert (receiver.why, receiver.refused) == (why, {why: 1})


def test_other_version_is_named() -> None:
    data = bytearray(codec().encode(packet()))
    data[4] += 1
    receiver = codec()

    assert receiver.decode(bytes(data)) is None
    assert receiver.why == "other version"


def test_any_flipped_bit_is_refused() -> None:
    data = codec().encode(packet())
    receiver = codec()

    for bit in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        assert receiver.decode(bytes(damaged)) is None, f"bit {bit}"

    assert sum(receiver.refused.values()) == len(data) * 8


def test_any_length_is_refused_but_the_right_one() -> None:
    data = codec().encode(packet())
    receiver = codec()

    assert [n for n in range(len(data) + 50) if receiver.decode((data + bytes(50))[:n])] == [len(data)]


def test_noise_is_refused_without_an_exception() -> None:
    noise = random.Random(1)
    receiver = codec()

    for _ in range(5000):
        data = noise.randbytes(noise.randrange(2000))
        assert receiver.decode(data) is None
        assert receiver.decode(b"oclp\x01" + data) is None

    assert sum(receiver.refused.values()) == 10000


def test_sender_that_signs_nonsense_is_refused() -> None:
    sender = codec()
    for field, offset, value in (("sender", 6, 3), ("path", 7, 2), ("service", 8, len(SERVICES))):
        body = bytearray(sender.encode(packet())[:-16])
        body[offset] = value
        receiver = codec()

        assert receiver.decode(bytes(body) + sender._sign(bytes(body))) is None, field
        assert receiver.why == "other configuration"


def test_largest_cluster_fits_into_one_ethernet_frame() -> None:
    rows = tuple((2**64 - 1, 2**32 - 1, 2**32 - 1, 2**32 - 1) for _ in range(MAX_SERVERS))
    data = codec(servers=MAX_SERVERS).encode(packet(rows=rows))

    assert len(data) <= 1500 - 48


@pytest.mark.parametrize(
    ("servers", "paths", "key", "said"),
    [(0, 1, KEY, "0"), (65, 1, KEY, "65"), (3, 17, KEY, "17"), (3, 1, b"short", "5")],
)
def test_impossible_cluster_is_named(servers: int, paths: int, key: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Codec("demo", key, servers, paths)


def test_derived_key_tells_nothing_of_the_cluster_key() -> None:
    assert derive_key(KEY) != derive_key(KEY + b"\n")
    assert KEY not in derive_key(KEY)
    assert struct.calcsize(f"{len(derive_key(KEY))}s") == 32
