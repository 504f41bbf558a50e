"""Guessing passwords is slow: failures are counted per address and per account in the message server."""

from __future__ import annotations

import hashlib
import logging
from typing import Any

from django.core.cache import cache
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

WINDOW_S = 300
_LIMITS = {"address": 30, "account": 10}


def client_address(request: Any) -> str:
    return request.META.get("REMOTE_ADDR") or "unknown"


def _keys(request: Any, username: str) -> dict[str, str]:
    address = client_address(request)
    # Account and address together: nobody can lock another person out from elsewhere.
    account = hashlib.sha256(f"{address}\0{username.lower()}".encode()).hexdigest()
    return {"address": f"login:a:{address}", "account": f"login:u:{account}"}


def wait_s(request: Any, username: str) -> int:
    """Seconds to wait before the next attempt is looked at, 0 for none."""
    try:
        for scope, key in _keys(request, username).items():
            if int(cache.get(key) or 0) >= _LIMITS[scope]:
                return WINDOW_S
    except RedisError as error:
        # Losing the counter must not lock the administrator out of a broken system.
        log.warning("failed logins cannot be counted: %s", error)
    return 0


def failed(request: Any, username: str) -> None:
    try:
        for key in _keys(request, username).values():
            cache.add(key, 0, WINDOW_S)
            cache.incr(key)
    except (RedisError, ValueError) as error:
        log.warning("a failed login cannot be counted: %s", error)


def succeeded(request: Any, username: str) -> None:
    try:
        cache.delete(_keys(request, username)["account"])
    except RedisError as error:
        log.warning("failed logins cannot be reset: %s", error)
