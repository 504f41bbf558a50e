"""Guessing is slow: failed sign-ins are counted in the message server, which all processes share.

Rules of this file
- First an address (of IPv6 a /64) is slowed down, then account and address together: an attacker locks out himself.
- A user at whom many addresses guess at once is slowed down everywhere but at the addresses where he has signed in
  before: the attack stops, and he goes on working.
- On the pages an attempt counts before the password is looked at, so that a hundred at once are a hundred.
- Losing the counters must not lock the administrator out of a broken system.
"""

from __future__ import annotations

import hashlib
import logging
from typing import Any

from django.core.cache import cache
from redis.exceptions import RedisError

from webmanager.accounts import addresses

log = logging.getLogger(__name__)

WINDOW_S = 300
KNOWN_S = 30 * 86400
_LIMITS = {"address": 30, "account": 10, "user": 60}
_CODES = 10


def client_address(request: Any) -> str:
    return request.META.get("REMOTE_ADDR") or addresses.UNKNOWN


def _keys(request: Any, username: str) -> dict[str, str]:
    address = addresses.group_of(client_address(request))
    return {
        "address": f"login:a:{address}",
        "account": f"login:u:{_digest(address, username)}",
        "user": f"login:e:{_digest(username)}",
    }


def _known_key(request: Any, username: str) -> str:
    return f"login:k:{_digest(addresses.group_of(client_address(request)), username)}"


def _digest(*words: str) -> str:
    """Names come from outside, of any length and with any letters."""
    return hashlib.sha256("\0".join(word.lower() for word in words).encode("utf-8", "replace")).hexdigest()


def wait_s(request: Any, username: str) -> int:
    """Seconds to wait before the next attempt is looked at, 0 for none."""
    try:
        keys = _keys(request, username)
        return _judge(request, username, cache.get_many(keys.values()), keys)
    except RedisError as error:
        log.warning("failed logins cannot be counted: %s", error)
    return 0


def _judge(request: Any, username: str, counts: dict[str, Any], keys: dict[str, str]) -> int:
    over = {scope for scope, key in keys.items() if int(counts.get(key) or 0) >= _LIMITS[scope]}
    if over == {"user"} and cache.get(_known_key(request, username)):
        return 0
    return WINDOW_S if over else 0


def claim(request: Any, username: str) -> int:
    """The same, and counts the attempt as failed until `succeeded` or `give_back` says otherwise."""
    if wait := wait_s(request, username):
        return wait
    failed(request, username)
    return 0


def claim_code(user: Any) -> int:
    """The same for a second factor, of which there are a million only: from all addresses together."""
    key = f"login:c:{_digest(user.get_username())}"
    try:
        cache.add(key, 0, WINDOW_S)
        return WINDOW_S if cache.incr(key) > _CODES else 0
    except (RedisError, ValueError) as error:
        log.warning("codes cannot be counted: %s", error)
    return 0


def failed(request: Any, username: str) -> None:
    try:
        for key in _keys(request, username).values():
            cache.add(key, 0, WINDOW_S)
            cache.incr(key)
    except (RedisError, ValueError) as error:
        log.warning("a failed login cannot be counted: %s", error)


def give_back(request: Any, username: str) -> None:
    """A claimed attempt was right as far as it went."""
    try:
        for key in _keys(request, username).values():
            if int(cache.get(key) or 0) > 0:
                cache.decr(key)
    except (RedisError, ValueError) as error:
        log.warning("a right login cannot be counted: %s", error)


def succeeded(request: Any, username: str) -> None:
    """After `claim` as after `wait_s`: what this address tried at this account is forgotten."""
    try:
        keys = _keys(request, username)
        if int(cache.get(keys["account"]) or 0) > 0:
            give_back(request, username)
        cache.delete(keys["account"])
        cache.set(_known_key(request, username), 1, KNOWN_S)
    except RedisError as error:
        log.warning("failed logins cannot be reset: %s", error)
