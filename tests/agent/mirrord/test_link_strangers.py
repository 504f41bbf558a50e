"""Who is no partner of a mirror link: refused with a sentence on both sides, and without any effect."""

from __future__ import annotations

import contextlib
import random
import socket
from typing import Any

import msgspec
import pytest

from agent.mirrord import handshake, link, paths, secure
from agent.mirrord.handshake import Claims, Read, RefusedError, Secure, Send, claims_of, key_of
from agent.mirrord.link import Link
from agent.mirrord.poller import Poller
from agent.mirrord.sealing import (
    HEAD_BYTES,
    MOST_PAYLOAD,
    FrameError,
    Opener,
    Sealer,
    Squeezer,
    unpack,
)
from tests.agent.mirrord.link_pair import KEY, Ends, Make, Recorder, make, settings_of

__all__ = ["make"]

# ---- misfits ---------------------------------------------------------------------------------------------------------

OTHER_KEY = "a5" * 32


@pytest.mark.parametrize(
    ("others", "sentence"),
    [
        ({"key": OTHER_KEY}, "server2 and server1 have different keys. Copy cluster.key"),
        ({"mirror": "md2"}, "server1 speaks for mirror md1 at the port of mirror md2 of server2."),
        ({"cluster": "other"}, "server1 belongs to cluster demo, server2 to cluster other."),
        ({"peer": "server0"}, "server1 looks for server2; here is server2, which looks for server0."),
        ({"encrypt": True}, "server2 encrypts mirror md1, server1 does not."),
    ],
)
def test_a_misfit_is_refused_and_both_sides_say_why(make: Make, others: dict[str, Any], sentence: str) -> None:
    ends = make(others=others)
    ends.until(lambda: ends.recorders[0].notes and ends.recorders[1].notes)

    assert sentence in ends.recorders[1].notes[0][1]
    assert f"server2 refuses: {sentence}" in ends.recorders[0].notes[0][1]
    assert sentence in str(ends.one.figures()["paths"])
    assert [r.hellos for r in ends.recorders] == [0, 0]
    assert not any(KEY in text or OTHER_KEY in text for r in ends.recorders for _, text in r.notes)


def test_another_version_is_refused(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    claims = handshake.claims_of

    def newer(settings: Any, certificate: str = "") -> Claims:
        mine = claims(settings, certificate)
        return msgspec.structs.replace(mine, version=9) if settings.server == "server1" else mine

    monkeypatch.setattr(handshake, "claims_of", newer)
    ends = make()
    ends.until(lambda: ends.recorders[0].notes and ends.recorders[1].notes)

    assert "server1 speaks version 9 of the mirror's protocol, server2 version 1." in ends.recorders[1].notes[0][1]
    assert "Install the same version of openclp on both." in ends.recorders[0].notes[0][1]


def test_the_key_file_counts(make: Make, tmp_path: Any) -> None:
    (tmp_path / "one").write_bytes(b"first")
    (tmp_path / "other").write_bytes(b"second")
    ends = make(encrypt=True, own={"key_file": str(tmp_path / "one")}, others={"key_file": str(tmp_path / "other")})
    ends.until(lambda: ends.recorders[0].notes)
    assert "different keys" in ends.recorders[0].notes[0][1]

    same = make(encrypt=True, key_file=str(tmp_path / "one"))
    same.until_up()


def test_a_key_that_cannot_be_read_is_named(tmp_path: Any) -> None:
    missing = settings_of("server1", (), 1, key_file=str(tmp_path / "none"))
    with pytest.raises(ValueError, match="key file of mirror md1 cannot be read"):
        key_of(missing)
    (tmp_path / "empty").write_bytes(b"\n")
    with pytest.raises(ValueError, match="is empty"):
        key_of(settings_of("server1", (), 1, key_file=str(tmp_path / "empty")))
    with pytest.raises(ValueError, match="was given no cluster key"):
        key_of(settings_of("server1", (), 1, key=""))


# ---- strangers -------------------------------------------------------------------------------------------------------


class Stranger:
    """A plain socket that has the address of server1."""

    def __init__(self, ends: Ends, own: str = "") -> None:
        connect = ends.settings[1].connects[0]
        self.end = socket.socket()
        self.end.bind((own or connect.peer, 0))
        self.end.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            self.end.connect((connect.own, ends.port))
        self.heard = b""
        self.over = False

    def say(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self.end.sendall(data)

    def hear(self) -> bool:
        """Whether it was sent away."""
        try:
            data = self.end.recv(65536)
            self.heard += data
            self.over |= not data
        except BlockingIOError:
            pass
        except OSError:
            self.over = True
        return self.over


def alone(make: Make, **more: Any) -> Ends:
    """Only server2 runs; the place of server1 is free."""
    ends = make(**more)
    ends.one.stop()
    return ends


@pytest.mark.parametrize(
    "words",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        b"\x00\x00\x00\x02{}",
        b"\x00\x00\x00\x04null",
        b"\x00\x00\x00\x00",
        b"\xff" * 5000,
        b'\x00\x00\x00\x15{"refused":"nonsense"}',
    ],
)
def test_rubbish_is_sent_away(make: Make, words: bytes) -> None:
    ends = alone(make)
    stranger = Stranger(ends)
    ends.until(lambda: stranger.say(words) or stranger.hear())

    assert ends.recorders[1].hellos == 0
    assert ends.recorders[1].notes[-1][0] == "warning"
    assert "a call was refused" in ends.recorders[1].notes[-1][1]


def test_noise_is_sent_away_at_each_stage(make: Make) -> None:
    dice = random.Random(11)
    ends = alone(make)
    for _ in range(30):
        stranger = Stranger(ends)
        good = handshake._encode(claims_of(ends.settings[0]))
        stranger.say(dice.choice((b"", good)) + dice.randbytes(dice.choice((8, 100, 6000))))
        stranger.end.shutdown(socket.SHUT_WR)
        ends.until(stranger.hear)
        stranger.end.close()

    assert ends.recorders[1].hellos == 0
    assert len(ends.recorders[1].notes) <= 20, "nobody may fill the log"


def test_a_call_from_elsewhere_is_closed_at_once(make: Make) -> None:
    ends = alone(make)
    stranger = Stranger(ends, own="127.0.0.9")
    ends.until(stranger.hear)

    assert stranger.heard == b""
    assert "A call from 127.0.0.9" in ends.recorders[1].notes[-1][1]


def test_silent_strangers_keep_nobody_out(make: Make) -> None:
    ends = Ends(1)
    ends.other.start()
    strangers = []
    for _ in range(20):
        strangers.append(Stranger(ends))
        ends.pollers[1].turn(0.01)
    ends.until(lambda: sum(one.hear() for one in strangers) == 12)

    ends.one.start()
    ends.until_up()
    ends.close()
    for one in strangers:
        one.end.close()


@pytest.mark.slow
def test_a_stranger_that_says_nothing_is_sent_away(make: Make) -> None:
    ends = alone(make, silent_s=0.3)
    stranger = Stranger(ends)
    ends.until(stranger.hear)

    assert "No handshake within 0.3 s." in ends.recorders[1].notes[-1][1]


def test_a_handshake_cannot_be_replayed(make: Make) -> None:
    ends = make(relayed=True).until_up()
    words = b"".join(data for way, data in ends.relays[0].seen if way == "there")
    ends.one.stop()
    ends.until(lambda: ends.recorders[1].downs)
    hellos = ends.recorders[1].hellos
    stranger = Stranger(ends)
    stranger.say(words)
    ends.until(stranger.hear)

    assert ends.recorders[1].hellos == hellos
    assert "different keys" in ends.recorders[1].notes[-1][1]


def test_a_side_is_not_played_against_itself() -> None:
    """Its own words and proof, sent back to it."""
    key = key_of(settings_of("server1", (), 1))
    one = handshake.call(claims_of(settings_of("server1", (), 1)), key)
    asked = next(one)
    assert isinstance(asked, Send)
    with pytest.raises(RefusedError, match="looks for"):
        one.send(asked.message if isinstance(next(one), Read) else b"")


def test_the_acceptor_proves_nothing_to_a_stranger() -> None:
    key = key_of(settings_of("server1", (), 1))
    other = handshake.accept(claims_of(settings_of("server2", (), 1)), key)
    assert isinstance(next(other), Read)
    answer = other.send(handshake._encode(claims_of(settings_of("server1", (), 1))))
    assert isinstance(answer, Send)
    assert isinstance(next(other), Read)
    refusal = other.send(handshake._encode(handshake.Proof(proof="00" * 32)))

    assert isinstance(refusal, Send)
    assert b"proof" not in refusal.message
    with pytest.raises(RefusedError, match="different keys"):
        next(other)


def test_words_of_a_stranger_are_fit_to_be_shown() -> None:
    assert handshake.said("\x1b[31mred\n") == "?[31mred?"
    assert len(handshake.said("x" * 10_000)) == 301


# ---- who stands between ----------------------------------------------------------------------------------------------


def _flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]


@pytest.mark.parametrize("mode", [{}, {"check_data": True}, {"encrypt": True}])
@pytest.mark.parametrize("at", [0, 9, 20, HEAD_BYTES - 1])
def test_a_changed_head_ends_the_connection(make: Make, mode: dict[str, Any], at: int) -> None:
    ends = make(relayed=True, **mode).until_up()
    ends.relays[0].change = lambda way, data: _flip(data, at) if way == "there" else data
    ends.one.send(20, 1, payload=b"x")
    ends.until(lambda: ends.recorders[1].downs)

    assert "signed" in ends.recorders[1].downs[0] or "changed" in ends.recorders[1].downs[0]
    assert ends.recorders[1].frames == []


@pytest.mark.parametrize("mode", [{"check_data": True}, {"encrypt": True}])
def test_changed_data_ends_the_connection(make: Make, mode: dict[str, Any]) -> None:
    ends = make(relayed=True, **mode).until_up()
    ends.relays[0].change = lambda way, data: _flip(data, len(data) - 1) if way == "there" else data
    ends.one.send(20, 1, payload=b"x" * 1000)
    ends.until(lambda: ends.recorders[1].downs)

    assert "changed on its way" in ends.recorders[1].downs[0]
    assert ends.recorders[1].frames == []


def test_what_is_encrypted_cannot_be_read(make: Make) -> None:
    secret = b"a secret of the application" * 10
    for mode, readable in (({}, True), ({"encrypt": True}, False)):
        ends = make(relayed=True, **mode).until_up()
        ends.one.send(20, 1, payload=secret)
        ends.until(lambda ends=ends: ends.recorders[1].frames)  # type: ignore[misc]
        seen = b"".join(data for _, data in ends.relays[0].seen)
        assert (secret in seen) is readable
        assert bytes.fromhex(KEY) not in seen


def test_another_certificate_is_not_taken() -> None:
    """Who stands between can end TLS himself, but not with the key of the certificate that was proven."""
    key = key_of(settings_of("server1", (), 1))
    one = handshake.call(claims_of(settings_of("server1", (), 1, encrypt=True)), key)
    next(one)
    next(one)
    true = claims_of(settings_of("server2", (), 1, encrypt=True), certificate="11" * 32)
    assert isinstance(one.send(handshake._encode(true)), Secure)
    with pytest.raises(RefusedError, match="somebody stands between"):
        one.send(bytes.fromhex("22" * 32))


def test_a_certificate_that_was_put_in_gives_no_proof() -> None:
    """The same, when he also changes the fingerprint that the acceptor has named: then the proofs differ."""
    settings = [settings_of(server, (), 1, encrypt=True) for server in ("server1", "server2")]
    key = key_of(settings[0])
    one = handshake.call(claims_of(settings[0]), key)
    other = handshake.accept(claims_of(settings[1], certificate="11" * 32), key)
    asked = next(one)
    next(other)
    assert isinstance(asked, Send)
    answer = other.send(asked.message)
    assert isinstance(answer, Send)
    next(one)
    one.send(answer.message.replace(b"11" * 32, b"22" * 32))
    proof = one.send(bytes.fromhex("22" * 32))
    assert isinstance(proof, Send)
    assert isinstance(next(other), Secure)
    other.send(b"")
    assert isinstance(other.send(proof.message), Send)
    with pytest.raises(RefusedError, match="different keys"):
        next(other)


def test_openssl_takes_our_certificate_with_its_key() -> None:
    for _ in range(3):
        context, fingerprint = secure.accepting()
        other, one = secure.Tunnel(context), secure.Tunnel(secure.calling())
        while not (one.open and other.open):
            other.feed(one.shake())
            one.feed(other.shake())
        assert one.fingerprint.hex() == fingerprint
        assert other.fingerprint == b""


# ---- frames ----------------------------------------------------------------------------------------------------------


def _sealed(sealer: Sealer, payload: bytes = b"", *, raw: int | None = None, flags: int = 0, kind: int = 20) -> bytes:
    head = sealer.head(kind, 1, (2, 3), 4, 5, payload, len(payload) if raw is None else raw, flags)
    return head + payload


def test_a_frame_counts_once_in_its_place_and_on_its_connection() -> None:
    key = bytes(range(32))
    sealer = Sealer(key, check_data=False)
    frames = [_sealed(sealer) for _ in range(3)]

    opener = Opener(key, check_data=False)
    assert opener.head(memoryview(frames[0]), 0)[:12] == (0, 20, 0, 0, 0, 0, 1, 2, 3, 4, 5, bytes(16))
    with pytest.raises(FrameError, match="Frame 0 came where frame 1 was due"):
        opener.head(memoryview(frames[0]), 0)
    with pytest.raises(FrameError, match="Frame 2 came"):
        opener.head(memoryview(frames[2]), 0)
    with pytest.raises(FrameError, match="not signed"):
        Opener(key[::-1], check_data=False).head(memoryview(frames[0]), 0)


def test_a_length_above_the_limit_is_refused() -> None:
    key = bytes(32)
    sealer = Sealer(key, check_data=False)
    opener = Opener(key, check_data=False)
    with pytest.raises(FrameError, match="the limit is"):
        opener.head(memoryview(_sealed(sealer, raw=MOST_PAYLOAD + 1)), 0)


def test_nothing_is_unpacked_beyond_what_was_said() -> None:
    packed = Squeezer().squeeze(bytes(100_000))
    assert packed is not None
    assert bytes(unpack(memoryview(packed), 100_000)) == bytes(100_000)
    for raw in (0, 1, 99_999, 100_001):
        with pytest.raises(FrameError, match="not as long as it says"):
            unpack(memoryview(packed), raw)
    with pytest.raises(FrameError, match="cannot be unpacked"):
        unpack(memoryview(b"no zlib at all"), 10)
    with pytest.raises(FrameError, match="not as long"):
        unpack(memoryview(packed[:-5]), 100_000)


def test_a_link_without_connects_says_so() -> None:
    recorder = Recorder("server1")
    poller = Poller(threads=0)
    lonely = Link(poller, settings_of("server1", (), 1), hello=recorder.hello, up=recorder.up, down=recorder.down,
                frame=recorder.frame, note=recorder.note)  # fmt: skip
    lonely.start()
    assert recorder.notes == [("error", "Mirror md1 has no mirror connect: its other side cannot be reached.")]
    lonely.stop()
    poller.close()


def test_a_key_file_may_come_later(make: Make, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "_KEY_S", 0.02)
    ends = make(key_file=str(tmp_path / "key"))
    assert all(r.notes[0][0] == "error" and "cannot be read" in r.notes[0][1] for r in ends.recorders)
    (tmp_path / "key").write_bytes(b"secret")
    ends.until_up()
    assert all(len(r.notes) == 1 for r in ends.recorders)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "PATIENCE_S", 0.0)


def test_that_nobody_is_there_yet_is_no_news(make: Make) -> None:
    ends = Ends(1)
    ends.one.start()
    ends.until(lambda: "Nobody listens" in str(ends.one.figures()["paths"]))
    ends.other.start()
    ends.until_up()
    assert ends.recorders[0].notes == []
    ends.close()


@pytest.mark.usefixtures("impatient")
def test_an_address_that_is_missing_is_named_and_tried_again(make: Make) -> None:
    ends = make(places=[("203.0.113.7", "127.0.0.2")])
    ends.until(lambda: ends.recorders[0].notes)
    assert "203.0.113.7 is no address of this server at the moment." in ends.recorders[0].notes[0][1]

    ends = make(places=[("no address", "127.0.0.2")])
    ends.until(lambda: ends.recorders[0].notes)
    assert "An address of it is none" in ends.recorders[0].notes[0][1]


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
def test_a_port_in_use_is_named_and_tried_again() -> None:
    ends = Ends(1)
    with socket.create_server((ends.settings[1].connects[0].own, ends.port)):
        ends.start()
        ends.until(lambda: ends.recorders[1].notes)
        assert f"Another program uses port {ends.port}" in ends.recorders[1].notes[0][1]
    ends.until_up()
    assert ends.recorders[1].notes[-1][1].endswith("works again.")
    ends.close()
