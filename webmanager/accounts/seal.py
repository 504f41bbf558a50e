"""Secrets that must be read again: sealed with a key that is derived from SECRET_KEY.

The interpreter has no block cipher, so the key stream is keyed BLAKE2b over a counter, and the whole is authenticated
(encrypt, then MAC). Each text has a nonce of its own.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

from django.conf import settings

_NONCE, _TAG = 16, 32


class SealError(Exception):
    """It was sealed with another SECRET_KEY, or changed since."""


def key(purpose: str) -> bytes:
    """A key of its own for each purpose."""
    secret = str(settings.SECRET_KEY).encode()
    return hmac.digest(secret, b"openclp " + purpose.encode(), hashlib.sha256)


def seal(purpose: str, secret: bytes) -> str:
    nonce = secrets.token_bytes(_NONCE)
    body = nonce + _mix(key(f"{purpose} cipher"), nonce, secret)
    return base64.urlsafe_b64encode(body + hmac.digest(key(f"{purpose} mac"), body, hashlib.sha256)).decode()


def unseal(purpose: str, text: str) -> bytes:
    """Raises SealError."""
    try:
        whole = base64.urlsafe_b64decode(text)
    except ValueError:
        raise SealError from None
    body, tag = whole[:-_TAG], whole[-_TAG:]
    if len(body) < _NONCE or not hmac.compare_digest(hmac.digest(key(f"{purpose} mac"), body, hashlib.sha256), tag):
        raise SealError
    return _mix(key(f"{purpose} cipher"), body[:_NONCE], body[_NONCE:])


def _mix(cipher: bytes, nonce: bytes, text: bytes) -> bytes:
    blocks = (
        hashlib.blake2b(nonce + number.to_bytes(8, "big"), key=cipher, digest_size=64).digest()
        for number in range(-(-len(text) // 64))
    )
    return bytes(a ^ b for a, b in zip(text, b"".join(blocks), strict=False))
