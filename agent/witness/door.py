"""The way from an HTTP request to the witness' mind and back, the same in `clpwitness` and in the WebManager."""

from __future__ import annotations

import json
from typing import NamedTuple

from agent.wire import witness as wire
from agent.witness.mind import Promise, RefusedError, Witness, state_for_people

# The same words for both, so that nobody learns by asking which clusters there are.
STRANGER = "This witness does not know the cluster, or the secret is another one (clpwitness secret prints it)."
JSON = "application/json; charset=utf-8"


class Reply(NamedTuple):
    status: int
    body: bytes
    signature: str = ""


class Request(NamedTuple):
    """An authentic one. `signature`: the reply has to be signed together with it."""

    content: wire.Beat | wire.Ask
    signature: str


def admit(secret: bytes | None, path: str, op: str, authorization: str, body: bytes) -> Request | Reply:
    """The request, or the reply that refuses it. `secret`: of the cluster, None when it is not known."""
    signature = wire.is_signed(secret, authorization, path, body) if secret else ""
    if not secret or not signature:
        return Reply(401, wire.encode_error(STRANGER))
    try:
        return Request(wire.decode_beat(body) if op == "beat" else wire.decode_ask(body), signature)
    except ValueError as error:
        text = f"{error}; the server's agent may be of another version than this witness"
        return signed(secret, signature, 400, wire.encode_error(text))


def answer(witness: Witness, content: wire.Beat | wire.Ask, now: float) -> tuple[int, bytes, Promise | None]:
    """Status, body, and the promise that must be durable before anybody hears of it."""
    try:
        if isinstance(content, wire.Beat):
            return 200, wire.encode_told(witness.beat(content, now)), None
        found, promise = witness.propose(content, now)
        return 200, wire.encode_answer(found), promise
    except RefusedError as error:
        status = wire.OUTDATED_LIFE if error.life else 403
        return status, wire.encode_error(str(error), error.life), None


def signed(secret: bytes, signature: str, status: int, body: bytes) -> Reply:
    return Reply(status, body, wire.sign_reply(secret, signature, status, body))


def show(witness: Witness, cluster: str, now: float) -> Reply:
    """For people, who have shown the view token."""
    return Reply(200, json.dumps(state_for_people(witness, cluster, now), indent=2).encode() + b"\n")


def failure(error: object) -> bytes:
    """The body for a promise that could not be kept."""
    return wire.encode_error(f"the witness cannot store its promise: {error}")
