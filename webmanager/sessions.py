"""Who is behind a session cookie, for the websocket, whose handshake passes no middleware."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user


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
    return user if user.is_authenticated and user.is_active else None
