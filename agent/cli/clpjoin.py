"""clpjoin: make this server an agent of a manager, with a join token of its page Agents or of manage.py agent token.

    clpjoin [--conf-dir DIRECTORY] [--watch-only]     reads the token from standard input

The token holds all that is needed: the manager's address, this server's name, and over https the fingerprint of the
certificate, which is compared before anything is sent. The agent reads manager.json at its next start.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.client
import json
import os
import secrets
import ssl
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from agent.wire import join

_PATH = "/join/v1"
_TIMEOUT_S = 15.0
_TRIES = 3  # of one exchange: a lost answer is asked for again with the same nonce
_LONGEST_LINE = 8192


class RefusedError(Exception):
    """What keeps us from it, and the remedy."""


def main(words: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(words)
    file = Path(options.conf_dir) / "manager.json"
    try:
        entries = _entries(file)  # Before the token is spent.
        token = join.decode_token(_read_token())
        entry = _join(token, watch_only=options.watch_only)
        _write(file, [*(one for one in entries if one.get("url") != entry["url"]), entry])
    except (RefusedError, join.JoinError) as error:
        print(f"clpjoin: {error}", file=sys.stderr)
        return 1
    place = f" of cluster {token.cluster}" if token.cluster else ""
    print(f"{token.node}{place} is an agent of {token.url} now; {file} has its secret.")
    print("It reports from the next start of the agent on.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="clpjoin", description="Make this server an agent of a manager.")
    parser.add_argument(
        "--conf-dir", default=os.environ.get("OPENCLP_ETC") or "/etc/openclp", metavar="DIRECTORY",
        help="where manager.json is (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--watch-only", action="store_true", help="this manager may watch and operate, but bring no configuration"
    )
    return parser


def _read_token() -> str:
    """Not an argument: other users of this machine see those."""
    if sys.stdin.isatty():
        print("Paste the join token:", file=sys.stderr)
    return sys.stdin.readline(_LONGEST_LINE)


def _join(token: join.Token, *, watch_only: bool) -> dict[str, Any]:
    nonce = secrets.token_hex(join.NONCE_BYTES)
    answer, certificate = _exchange(token, join.ask(token, nonce))
    join.check_answer(token, nonce, answer)
    entry: dict[str, Any] = {
        "url": _agents_door(token.url),
        "node": token.node,
        "secret": join.agent_secret(token.secret, nonce, answer.nonce),
    }
    if certificate:
        entry["certificate"] = certificate
    if watch_only:
        entry["configure"] = False
    return entry


def _agents_door(url: str) -> str:
    return url.replace("http", "ws", 1).rstrip("/") + "/ws/agent/"


def _exchange(token: join.Token, asked: join.Ask) -> tuple[join.Answer, str]:
    """(the manager's answer, its certificate as PEM)."""
    for tries_left in range(_TRIES - 1, -1, -1):
        try:
            return _ask_once(token, asked)
        except (OSError, http.client.HTTPException) as error:
            if not tries_left:
                reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
                raise RefusedError(
                    f"{token.url} cannot be reached: {reason}. The token is still good: look at the network, try again."
                ) from None
    raise AssertionError


def _ask_once(token: join.Token, asked: join.Ask) -> tuple[join.Answer, str]:
    parts = urlsplit(token.url)
    connection, certificate = _connect(token)
    with contextlib.closing(connection):
        path = parts.path.rstrip("/") + _PATH
        connection.request("POST", path, msgspec.json.encode(asked), {"Content-Type": "application/json"})
        reply = connection.getresponse()
        body = reply.read(join.BODY_BYTES + 1)
    if reply.status != 200:
        raise RefusedError(f"The manager refuses: {_reason(reply.status, body)}")
    try:
        return msgspec.json.decode(body, type=join.Answer), certificate
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise RefusedError(f"{token.url} does not answer as a manager does. Is this its address?") from None


def _connect(token: join.Token) -> tuple[http.client.HTTPConnection, str]:
    parts = urlsplit(token.url)
    if parts.scheme == "http":
        return http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=_TIMEOUT_S), ""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Who it is says the fingerprint below, before anything is sent.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection(
        parts.hostname or "", parts.port or 443, timeout=_TIMEOUT_S, context=context
    )
    connection.connect()
    assert isinstance(connection.sock, ssl.SSLSocket)
    der = connection.sock.getpeercert(binary_form=True) or b""
    if not secrets.compare_digest(hashlib.sha256(der).hexdigest(), token.certificate):
        connection.close()
        raise RefusedError(
            f"{token.url} shows another certificate than the token names, so nothing was sent: somebody may stand "
            "between, or the manager has a new certificate; then make a new token."
        )
    return connection, ssl.DER_cert_to_PEM_cert(der)


def _reason(status: int, body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return f"status {status}"


def _entries(file: Path) -> list[dict[str, Any]]:
    """What manager.json has now: other managers stay. Whether it can be written is seen before the token is spent."""
    if file.parent.is_dir() and not os.access(file.parent, os.W_OK):
        raise RefusedError(f"{file.parent} cannot be written. Run clpjoin as root.")
    try:
        found = json.loads(file.read_bytes())
    except FileNotFoundError:
        if not file.parent.is_dir():
            raise RefusedError(f"There is no directory {file.parent}. Name the agent's with --conf-dir.") from None
        return []
    except OSError as error:
        raise RefusedError(f"{file} cannot be read: {error.strerror}. Run clpjoin as root.") from None
    except ValueError:
        raise RefusedError(f"{file} is no JSON. Mend or remove it; nothing was changed.") from None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise RefusedError(f"{file} holds no list of managers. Mend or remove it; nothing was changed.")
    return found


def _write(file: Path, entries: list[dict[str, Any]]) -> None:
    """0600 from the first byte on, and whole or not at all."""
    try:
        handle, name = tempfile.mkstemp(prefix=".manager.", dir=file.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as out:
                json.dump(entries, out, indent=2)
                out.write("\n")
                out.flush()
                os.fsync(out.fileno())
            os.replace(name, file)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise RefusedError(
            f"{file} cannot be written: {error.strerror}. Run clpjoin as root, with a new token."
        ) from None


if __name__ == "__main__":
    sys.exit(main())
