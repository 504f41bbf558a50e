"""Who is behind a session cookie, for the websocket, whose handshake passes no middleware; and how old one may be."""

from __future__ import annotations

import time
from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user

# In a session: when its user signed in, in seconds since 1970.
SINCE = "since"


def session_key(headers: list[tuple[bytes, bytes]]) -> str:
    jar = SimpleCookie()
    for name, value in headers:
        if name == b"cookie":
            try:
                jar.load(value.decode("latin-1"))
            except CookieError:
                return ""
    found = jar.get(settings.SESSION_COOKIE_NAME)
    return found.value if found else ""


def session_user(key: str) -> Any | None:
    """The active user of a valid session, None without one. Touches the database."""
    if not key:
        return None
    store = import_module(settings.SESSION_ENGINE).SessionStore(key)
    user = get_user(SimpleNamespace(session=store))  # type: ignore[arg-type]
    return user if user.is_authenticated and user.is_active and not too_old(store) else None


def too_old(session: Any) -> bool:
    """Django lets a session live on with every change of it; this counts from the signing in."""
    since = session.get(SINCE)
    return isinstance(since, int | float) and time.time() - since > settings.SESSION_COOKIE_AGE
