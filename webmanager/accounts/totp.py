"""The second factor: codes that change each 30 s (RFC 6238, SHA-1, six digits), and recovery codes for a lost phone."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from urllib.parse import quote, urlencode

STEP_S = 30
_DIGITS = 6
_SECRET_BYTES = 20
_WINDOW = (-1, 0, 1)  # steps that a phone's clock may be off
_RECOVERY_CODES = 10
# Without letters and digits that look alike.
_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"


def make() -> bytes:
    return secrets.token_bytes(_SECRET_BYTES)


def shown(secret: bytes) -> str:
    """As one types it into an application that cannot take the address."""
    return base64.b32encode(secret).decode().rstrip("=")


def uri(secret: bytes, user: str, place: str) -> str:
    """What an authenticator takes: https://github.com/google/google-authenticator/wiki/Key-Uri-Format"""
    label = quote(f"openclp {place}:{user}")
    return f"otpauth://totp/{label}?" + urlencode(
        {"secret": shown(secret), "issuer": f"openclp {place}"}, quote_via=quote
    )


def code(secret: bytes, step: int) -> str:
    digest = hmac.digest(secret, step.to_bytes(8, "big"), hashlib.sha1)
    at = digest[-1] & 15
    number = int.from_bytes(digest[at : at + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**_DIGITS:0{_DIGITS}d}"


def matching_step(secret: bytes, given: str, newest: int, now: float | None = None) -> int:
    """The step whose code was given, 0 for none. Steps up to `newest` were used already."""
    text = "".join(given.split())
    here = int((time.time() if now is None else now) // STEP_S)
    found = 0
    for step in (here + shift for shift in _WINDOW):
        # All are compared, so that the time tells nothing.
        if hmac.compare_digest(code(secret, step).encode(), text.encode()) and step > newest:
            found = step
    return found


def recovery_codes() -> list[str]:
    def one() -> str:
        letters = "".join(secrets.choice(_ALPHABET) for _ in range(12))
        return f"{letters[:4]}-{letters[4:8]}-{letters[8:]}"

    return [one() for _ in range(_RECOVERY_CODES)]


def recovery_hash(given: str) -> str:
    """A plain hash is enough: a code has 59 random bits and is tried at most a few times a minute."""
    text = "".join(letter for letter in given.lower() if letter.isalnum())
    return hashlib.sha256(f"openclp recovery {text}".encode()).hexdigest()
