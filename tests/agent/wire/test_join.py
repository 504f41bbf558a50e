"""The words of enrolment: who has the token derives the same secret, who has it not learns and changes nothing."""

from __future__ import annotations

import msgspec
import pytest

from agent.wire import join

SECRET = "ab" * 32


def token(**changed: str) -> join.Token:
    return join.Token(**({"url": "https://m:29003/", "node": "server1", "cluster": "c", "id": "k", "secret": SECRET}
                         | changed))  # fmt: skip


def test_both_sides_derive_the_same_secret_and_it_never_travels() -> None:
    asked = join.ask(token(), "n" * 64)
    assert join.is_right(asked, SECRET)
    answered = join.answer(asked, SECRET, "m" * 64)
    join.check_answer(token(), "n" * 64, answered)
    derived = join.agent_secret(SECRET, asked.nonce, answered.nonce)
    wire = msgspec.json.encode([asked, answered]).decode()
    assert derived not in wire
    assert SECRET not in wire
    assert len(derived) == 43
    assert derived != join.agent_secret(SECRET, asked.nonce, "o" * 64)


@pytest.mark.parametrize("field", ["id", "node", "cluster", "nonce"])
def test_a_changed_question_is_seen(field: str) -> None:
    asked = msgspec.structs.replace(join.ask(token(), "n" * 64), **{field: "other"})
    assert not join.is_right(asked, SECRET)


def test_another_manager_cannot_answer() -> None:
    asked = join.ask(token(), "n" * 64)
    forged = join.answer(asked, "cd" * 32, "m" * 64)
    with pytest.raises(join.JoinError, match="not the manager"):
        join.check_answer(token(), "n" * 64, forged)
    # Nor is an answer to somebody else's question one to ours.
    right = join.answer(join.ask(token(), "p" * 64), SECRET, "m" * 64)
    with pytest.raises(join.JoinError):
        join.check_answer(token(), "n" * 64, right)


def test_words_are_told_apart() -> None:
    one = join.ask(token(node="server1", cluster="2c"), "n" * 64)
    two = join.ask(token(node="server12", cluster="c"), "n" * 64)
    assert one.proof != two.proof


def test_token_survives_a_broken_line() -> None:
    text = join.encode_token(token())
    assert join.decode_token(f" {text[:30]}\r\n {text[30:]}\n") == token()


@pytest.mark.parametrize(
    "text",
    ["", "x", join.PREFIX, join.PREFIX + "%%%%", join.encode_token(token())[:-9], join.encode_token(token(secret="zz")),
     join.encode_token(token(url="ftp://m/")), join.PREFIX + "A" * 5000],
)  # fmt: skip
def test_rubbish_is_no_token(text: str) -> None:
    with pytest.raises(join.JoinError, match="no join token"):
        join.decode_token(text)
