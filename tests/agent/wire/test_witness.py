"""Bodies, paths and signatures between servers and a witness."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.wire import witness as wire
from agent.wire.epoch import Epoch

SECRET = wire.derive_secret(b"a cluster key of enough bytes")
BEAT = wire.Beat("server1", 7, 9, "ab", 1.5, "online", "00")
ASK = wire.Ask("server1", 7, 9, "ab", 1.5, Epoch(3, 1), ("server1", "sérver2"), ("server1", "witness1"), "00")
RECORD = wire.Record(Epoch(2, 0), ("server1",), ("server1", "witness1"))


def test_requests_and_replies_come_back_as_they_were():
    told = wire.Told(RECORD, {"server1": 0.5}, "ab")
    answer = wire.Answer(True, Epoch(3, 1), RECORD, {"server2": 1.25}, "why", "ab")

    assert wire.decode_beat(wire.encode_beat(BEAT)) == BEAT
    assert wire.decode_ask(wire.encode_ask(ASK)) == ASK
    assert wire.decode_told(wire.encode_told(told)) == told
    assert wire.decode_answer(wire.encode_answer(answer)) == answer
    assert wire.decode_error(wire.encode_error("no", "ab")) == ("no", "ab")


def test_age_is_never_shown_greater_than_it_is():
    told = wire.decode_told(wire.encode_told(wire.Told(RECORD, {"server1": 0.0009999})))

    assert told.heard_s == {"server1": 0.0}


def test_secret_shows_neither_cluster_key_nor_heartbeat_key():
    from agent.wire.heartbeat import derive_key

    assert (
        len({SECRET, derive_key(b"a cluster key of enough bytes"), wire.derive_secret(b"another key, long enough")})
        == 3
    )


def test_signature_holds_for_one_path_one_body_and_one_secret():
    path, body = wire.path_of("demo", "beat"), wire.encode_beat(BEAT)
    header = f"Openclp {wire.sign_request(SECRET, path, body)}"

    assert wire.is_signed(SECRET, header, path, body) == header.removeprefix("Openclp ")
    assert not wire.is_signed(SECRET, header, wire.path_of("demo", "propose"), body)
    assert not wire.is_signed(SECRET, header, path, body + b" ")
    assert not wire.is_signed(bytes(32), header, path, body)
    assert not wire.is_signed(SECRET, "Openclp é", path, body)
    assert not wire.is_signed(SECRET, "", path, body)


def test_reply_fits_its_request_only():
    signature = wire.sign_reply(SECRET, "one", 200, b"{}")

    assert wire.is_reply(SECRET, "one", 200, b"{}", signature)
    assert not wire.is_reply(SECRET, "two", 200, b"{}", signature)
    assert not wire.is_reply(SECRET, "one", 409, b"{}", signature)
    assert not wire.is_reply(SECRET, "one", 200, b"{ }", signature)


def test_view_token_lets_look_and_is_no_signature():
    token = wire.view_token(SECRET)

    assert wire.may_view(SECRET, f"Bearer {token}")
    assert not wire.may_view(SECRET, f"Openclp {token}")
    assert not wire.may_view(SECRET, "Bearer ")


@pytest.mark.parametrize("name", ["demo", "cluster 1", "a/b", "Größe", "日本"])
def test_any_cluster_has_a_path_or_is_refused(name: str):
    path = wire.path_of(name, "beat")

    assert path.isascii()
    assert wire.split_path(path) == ((name, "beat") if wire.is_cluster(name) else None)


@pytest.mark.parametrize(
    "path", ["", "/", "/witness/v1/", "/witness/v1//beat", "/witness/v1/demo/other", "/witness/v1/a/b/beat", "/x/demo"]
)
def test_other_paths_are_none_of_ours(path: str):
    assert wire.split_path(path) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"server": ""}, "server must be a name"), ({"server": 3}, "server must be a text"),
        ({"incarnation": -1}, "incarnation must be"), ({"seq": 1.5}, "seq must be"), ({"seq": True}, "seq must be"),
        ({"timeout_ms": 0}, "timeout_ms must be above 0"), ({"life": "XYZ"}, "life what the witness told"),
        ({"epoch": [1]}, "an epoch is a list"), ({"epoch": [0, 0]}, "a proposal has an epoch"),
        ({"members": ["server2"]}, "its proposer is a member"), ({"members": ["a", "a"]}, "different names"),
        ({"members": [f"s{n}" for n in range(65)]}, "at most 64"), ({"voters": "server1"}, "voters must be a list"),
    ],
)  # fmt: skip
def test_impossible_proposal_is_refused_in_words(change: dict[str, object], said: str):
    body = json.dumps({**json.loads(wire.encode_ask(ASK)), **change}).encode()

    with pytest.raises(ValueError, match=said):
        wire.decode_ask(body)


def test_unknown_service_is_refused():
    body = json.dumps({**json.loads(wire.encode_beat(BEAT)), "service": "dancing"}).encode()

    with pytest.raises(ValueError, match="service must be one of"):
        wire.decode_beat(body)


@given(st.binary(max_size=200))
def test_rubbish_is_refused_and_nothing_worse(body: bytes):
    for decode in (wire.decode_beat, wire.decode_ask, wire.decode_told, wire.decode_answer):
        with pytest.raises(ValueError):  # noqa: PT011
            decode(body)
    assert wire.decode_error(body) == ("", "")
