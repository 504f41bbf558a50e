"""Enrolment of a server at a manager: the join token, and the exchange that turns it into the agent's own secret.

    agent -> manager   POST /join/v1  {"version":1,"id","node","cluster","nonce","proof"}
    manager -> agent   {"node","cluster","nonce","proof"}, or {"error": "sentence"} with 4xx

Rules of this file
- The token holds a one-time secret of 256 bits that never travels. Both sides prove by it whom they speak to, and both
  derive the agent's secret from it and from two nonces; so who listens or stands between learns nothing, over http too.
- Over https the token names the SHA-256 of the manager's certificate: it is compared before anything is sent.
- The same nonce of the agent gets the same answer again: an answer that was lost loses no token.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

import msgspec

PREFIX = "openclp-join-1."
SECRET_BYTES = 32
NONCE_BYTES = 32
BODY_BYTES = 4096
_LONGEST_TOKEN = 4096


class Token(msgspec.Struct, frozen=True, kw_only=True):
    url: str  # of the manager, http or https
    node: str
    cluster: str = ""
    id: str
    secret: str  # hex
    certificate: str = ""  # SHA-256 of its DER form, hex; "" over http


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    node: str
    nonce: str
    proof: str
    cluster: str = ""
    version: int = 1


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    node: str
    nonce: str
    proof: str
    cluster: str = ""


class JoinError(ValueError):
    """A sentence that says what is wrong, and the remedy."""


def encode_token(token: Token) -> str:
    return PREFIX + base64.urlsafe_b64encode(msgspec.json.encode(token)).decode().rstrip("=")


def decode_token(text: str) -> Token:
    """Raises JoinError."""
    text = "".join(text.split())  # A terminal or a mail may have broken the line.
    wrong = JoinError("This is no join token. Copy it whole, from the page Agents or from manage.py agent token.")
    if not text.startswith(PREFIX) or len(text) > _LONGEST_TOKEN:
        raise wrong
    body = text[len(PREFIX) :]
    try:
        token = msgspec.json.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)), type=Token)
        secret = bytes.fromhex(token.secret)
    except (ValueError, binascii.Error, msgspec.DecodeError):
        raise wrong from None
    if len(secret) != SECRET_BYTES or not token.url.startswith(("http://", "https://")):
        raise wrong
    return token


def ask(token: Token, nonce: str) -> Ask:
    proof = _digest(token.secret, "ask", token.id, token.node, token.cluster, nonce)
    return Ask(id=token.id, node=token.node, cluster=token.cluster, nonce=nonce, proof=proof)


def is_right(asked: Ask, secret: str) -> bool:
    expected = _digest(secret, "ask", asked.id, asked.node, asked.cluster, asked.nonce)
    return hmac.compare_digest(expected, asked.proof)


def answer(asked: Ask, secret: str, nonce: str) -> Answer:
    proof = _digest(secret, "answer", asked.id, asked.node, asked.cluster, asked.nonce, nonce)
    return Answer(node=asked.node, cluster=asked.cluster, nonce=nonce, proof=proof)


def check_answer(token: Token, nonce: str, answered: Answer) -> None:
    """Raises JoinError when it is not the manager of the token who answers."""
    expected = _digest(token.secret, "answer", token.id, token.node, token.cluster, nonce, answered.nonce)
    if not hmac.compare_digest(expected, answered.proof):
        raise JoinError("Who answers is not the manager that made this token. Nothing was changed.")


def agent_secret(secret: str, asked_nonce: str, answered_nonce: str) -> str:
    """What the agent signs in with from now on."""
    raw = bytes.fromhex(_digest(secret, "agent", asked_nonce, answered_nonce))
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _digest(secret: str, *words: str) -> str:
    """Each word with its length, so that no two lists of words are the same text."""
    text = "".join(f"{len(word)}:{word}" for word in ("openclp join 1", *words))
    return hmac.new(bytes.fromhex(secret), text.encode(), hashlib.sha256).hexdigest()
