"""What servers and a witness say to each other: JSON over HTTP, both ways signed with a secret of the cluster.

`POST /witness/v1/<cluster>/beat` and `/propose`, `GET /witness/v1/<cluster>` for people (`Authorization: Bearer` with
the view token). A request carries `Authorization: Openclp <signature>`, a keyed hash over path and body. The reply's
`Openclp-Signature` covers the signature of its request, the status and the body: an old reply fits no new request.

Replays. (incarnation, seq) of a server rises with each request of a kind, and `life` names the time for which the
witness remembers them: a request that names another life is told the right one (409) and counts for nothing.

The secret is derived from the cluster key by a one-way hash, so that a witness host can never speak as an agent, nor
make heartbeats. Standard library only: the arbiter child and the witness use the same code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from agent.wire.epoch import NO_EPOCH, Epoch
from agent.wire.heartbeat import MAX_SERVERS, SERVICES

# As in heartbeat.py: no OpenSSL (4 MB) in a process that lives on every server.
try:
    from _blake2 import blake2b
    from _operator import _compare_digest as compare_digest
except ImportError:  # A Python built otherwise.
    from hashlib import blake2b
    from hmac import compare_digest  # type: ignore[no-redef]

PREFIX = "/witness/v1/"
SCHEME = "Openclp"  # of the Authorization header
SIGNATURE_HEADER = "Openclp-Signature"  # of a reply
BODY_BYTES = 64 << 10
SECRET_BYTES = 32
MAX_NAME = 255
MAX_VOTERS = 2 * MAX_SERVERS  # servers and arbiters
MAX_OPEN = 16  # promised views that may be in force
_MAX_NUMBER = 2**63 - 1
_MAX_TIMEOUT_MS = 3_600_000
_MAC_BYTES = 32
_LIFE = re.compile(r"[0-9a-f]{0,32}")
# More would make the path of a request ambiguous.
_CLUSTER = re.compile(r"[^\x00-\x20/?#%\x7f]{1,255}")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")

OUTDATED_LIFE, OK = 409, 200


class Record(NamedTuple):
    """What an arbiter has promised: from now on this view, and nothing older.

    `open`: (epoch, voters) of each promised view, this one included, that may be in force for all that the arbiter
    knows. Whoever proposes next needs more than half of each of them (agent/engine/quorum.py).
    """

    epoch: Epoch = NO_EPOCH
    members: tuple[str, ...] = ()
    voters: tuple[str, ...] = ()
    open: tuple[tuple[Epoch, tuple[str, ...]], ...] = ()


class Beat(NamedTuple):
    """`server` lives. Answered by Told."""

    server: str
    incarnation: int
    seq: int
    life: str
    timeout_s: float
    service: str = "online"
    nonce: str = ""


class Ask(NamedTuple):
    """Promise me this view. Answered by Answer."""

    server: str
    incarnation: int
    seq: int
    life: str
    timeout_s: float
    epoch: Epoch
    members: tuple[str, ...]
    voters: tuple[str, ...]
    nonce: str = ""
    in_force: Epoch = NO_EPOCH  # the newest view that the asker knows to have been in force


class Told(NamedTuple):
    record: Record
    heard_s: dict[str, float]  # server -> age of its newest beat; those that may live only
    life: str = ""


class Answer(NamedTuple):
    granted: bool
    promised: Epoch  # the newest promise, after this question
    before: Record  # what had been promised before it
    heard_s: dict[str, float]
    detail: str = ""  # a sentence when refused
    life: str = ""


# -- secrets and signatures --------------------------------------------------------------------------------------------


def derive_secret(cluster_key: bytes) -> bytes:
    """The secret between the servers of a cluster and its witnesses."""
    return blake2b(cluster_key, digest_size=SECRET_BYTES, person=b"openclp-witness").digest()


def view_token(secret: bytes) -> str:
    """Lets a person look, and nothing else; it may be shown to whoever may see the cluster's state."""
    return blake2b(secret, digest_size=16, person=b"openclp-wit-view").hexdigest()


def may_view(secret: bytes, authorization: str) -> bool:
    scheme, _, given = authorization.partition(" ")
    return scheme.lower() == "bearer" and _equal(given.strip(), view_token(secret))


def sign_request(secret: bytes, path: str, body: bytes) -> str:
    return _sign(secret, b"openclp-wit-ask", path.encode(), body)


def sign_reply(secret: bytes, request_signature: str, status: int, body: bytes) -> str:
    return _sign(secret, b"openclp-wit-told", f"{request_signature} {status}".encode(), body)


def is_signed(secret: bytes, authorization: str, path: str, body: bytes) -> str:
    """The request's signature when it is right, else ""."""
    scheme, _, given = authorization.partition(" ")
    right = sign_request(secret, path, body)
    return right if scheme.lower() == SCHEME.lower() and _equal(given.strip(), right) else ""


def is_reply(secret: bytes, request_signature: str, status: int, body: bytes, signature: str) -> bool:
    return _equal(signature, sign_reply(secret, request_signature, status, body))


def _sign(secret: bytes, person: bytes, head: bytes, body: bytes) -> str:
    state = blake2b(key=secret, digest_size=_MAC_BYTES, person=person)
    state.update(len(head).to_bytes(4, "big"))
    state.update(head)
    state.update(body)
    return state.hexdigest()


def _equal(given: str, right: str) -> bool:
    return given.isascii() and compare_digest(given, right)


# -- paths -------------------------------------------------------------------------------------------------------------


def path_of(cluster: str, op: str = "") -> str:
    # By hand, since urllib.parse is half a megabyte.
    quoted = "".join(chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in cluster.encode())
    return PREFIX + quoted + (f"/{op}" if op else "")


def split_path(path: str) -> tuple[str, str] | None:
    """(cluster, op) of a request's path; op "" is the state for people. None: not a path of a witness."""
    if not path.startswith(PREFIX):
        return None
    quoted, _, op = path.removeprefix(PREFIX).partition("/")
    plain = re.sub(rb"%([0-9A-Fa-f]{2})", lambda found: bytes.fromhex(found[1].decode()), quoted.encode())
    cluster = plain.decode("utf-8", "replace")
    if not is_cluster(cluster) or op not in ("", "beat", "propose"):
        return None
    return cluster, op


def is_cluster(name: str) -> bool:
    """Can a witness keep a cluster of this name?"""
    return _CLUSTER.fullmatch(name) is not None


# -- bodies ------------------------------------------------------------------------------------------------------------


def encode_beat(beat: Beat) -> bytes:
    return _dump({**_head(beat), "service": beat.service})


def encode_ask(ask: Ask) -> bytes:
    return _dump({**_head(ask), "epoch": ask.epoch, "members": ask.members, "voters": ask.voters,
                  "in_force": ask.in_force})  # fmt: skip


def _head(request: Beat | Ask) -> dict[str, Any]:
    return {
        "server": request.server, "incarnation": request.incarnation, "seq": request.seq, "life": request.life,
        "timeout_ms": round(request.timeout_s * 1000), "nonce": request.nonce,
    }  # fmt: skip


def decode_beat(body: bytes) -> Beat:
    """ValueError says what is wrong with it."""
    fields = _load(body)
    service = fields.get("service")
    if service not in SERVICES:
        raise ValueError(f"service must be one of {', '.join(SERVICES)}")
    return Beat(*_common(fields), service=service, nonce=_text(fields, "nonce"))


def decode_ask(body: bytes) -> Ask:
    """ValueError says what is wrong with it."""
    fields = _load(body)
    ask = Ask(
        *_common(fields), _epoch(fields.get("epoch")), _names(fields, "members", MAX_SERVERS),
        _names(fields, "voters", MAX_VOTERS), _text(fields, "nonce"), _epoch(fields.get("in_force")),
    )  # fmt: skip
    if ask.epoch == NO_EPOCH or ask.server not in ask.members:
        raise ValueError("a proposal has an epoch, and its proposer is a member")
    return ask


def encode_told(told: Told) -> bytes:
    return _dump({"life": told.life, "record": record_fields(told.record), "heard_s": _ages(told.heard_s)})


def encode_answer(answer: Answer) -> bytes:
    fields = {
        "life": answer.life, "granted": answer.granted, "promised": answer.promised, "detail": answer.detail,
        "before": record_fields(answer.before), "heard_s": _ages(answer.heard_s),
    }  # fmt: skip
    return _dump(fields)


def encode_error(text: str, life: str = "") -> bytes:
    return _dump({"error": text, "life": life} if life else {"error": text})


def decode_told(body: bytes) -> Told:
    """ValueError when no witness of this version says so."""
    fields = _load(body)
    return Told(record_of(fields.get("record")), _heard(fields), _text(fields, "life"))


def decode_answer(body: bytes) -> Answer:
    """ValueError when no witness of this version says so."""
    fields = _load(body)
    return Answer(
        fields.get("granted") is True, _epoch(fields.get("promised")), record_of(fields.get("before")),
        _heard(fields), _text(fields, "detail", 4096), _text(fields, "life"),
    )  # fmt: skip


def decode_error(body: bytes) -> tuple[str, str]:
    """(sentence, life); ("", "") when it is none."""
    try:
        fields = _load(body)
        return _text(fields, "error", 4096), _text(fields, "life")
    except ValueError:
        return "", ""


def record_fields(record: Record) -> dict[str, Any]:
    return {
        "epoch": list(record.epoch), "members": list(record.members), "voters": list(record.voters),
        "open": [[list(epoch), list(voters)] for epoch, voters in record.open],
    }  # fmt: skip


def record_of(fields: object) -> Record:
    """ValueError when it is none."""
    if not isinstance(fields, dict):
        raise ValueError("record must be an object")
    known = fields.get("open")
    if (
        not isinstance(known, list)
        or len(known) > MAX_OPEN
        or not all(isinstance(o, list) and len(o) == 2 for o in known)
    ):
        raise ValueError("an open view is a pair of epoch and voters")
    return Record(
        _epoch(fields.get("epoch")), _names(fields, "members", MAX_SERVERS), _names(fields, "voters", MAX_VOTERS),
        tuple((_epoch(epoch), _names({"voters": voters}, "voters", MAX_VOTERS)) for epoch, voters in known),
    )  # fmt: skip


def successor(record: Record, ask: Ask) -> Record:
    """What to keep when this is granted. What was superseded by a view in force is forgotten."""
    older = [(epoch, voters) for epoch, voters in record.open if epoch > ask.in_force and voters != ask.voters]
    return Record(ask.epoch, ask.members, ask.voters, (*older, (ask.epoch, ask.voters)))


def _dump(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def _load(body: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("the body is not JSON") from None
    if not isinstance(fields, dict):
        raise ValueError("the body is not a JSON object")
    return fields


def _common(fields: Mapping[str, Any]) -> tuple[str, int, int, str, float]:
    server, life = _text(fields, "server"), _text(fields, "life")
    if not server or not _LIFE.fullmatch(life):
        raise ValueError("server must be a name, life what the witness told")
    timeout_ms = _number(fields.get("timeout_ms"), "timeout_ms", _MAX_TIMEOUT_MS)
    if not timeout_ms:
        raise ValueError("timeout_ms must be above 0")
    incarnation, seq = (_number(fields.get(key), key, _MAX_NUMBER) for key in ("incarnation", "seq"))
    return server, incarnation, seq, life, timeout_ms / 1000


def _text(fields: Mapping[str, Any], key: str, limit: int = MAX_NAME) -> str:
    value = fields.get(key, "")
    if not isinstance(value, str) or len(value) > limit:
        raise ValueError(f"{key} must be a text of at most {limit} characters")
    return value


def _number(value: object, key: str, limit: int) -> int:
    if type(value) is not int or not 0 <= value <= limit:
        raise ValueError(f"{key} must be a whole number from 0 to {limit}")
    return value


def _epoch(value: object) -> Epoch:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError("an epoch is a list of two numbers")
    return Epoch(_number(value[0], "epoch", _MAX_NUMBER), _number(value[1], "epoch", 2**32 - 1))


def _names(fields: Mapping[str, Any], key: str, limit: int) -> tuple[str, ...]:
    value = fields.get(key)
    if not isinstance(value, list) or len(value) > limit or len(set(map(str, value))) != len(value):
        raise ValueError(f"{key} must be a list of at most {limit} different names")
    if not all(isinstance(name, str) and 0 < len(name) <= MAX_NAME for name in value):
        raise ValueError(f"{key} must be a list of names")
    return tuple(value)


def _ages(heard_s: Mapping[str, float]) -> dict[str, float]:
    """Cut, not rounded: an age must never look greater than it is."""
    return {server: int(age * 1000) / 1000 for server, age in heard_s.items()}


def _heard(fields: Mapping[str, Any]) -> dict[str, float]:
    value = fields.get("heard_s")
    if not isinstance(value, dict) or not all(type(age) in (int, float) and age >= 0 for age in value.values()):
        raise ValueError("heard_s must be an object of ages")
    return {str(server): float(age) for server, age in value.items()}
