"""Posts JSON to a URL. Blocks; for threads. No redirection is followed: it could carry the token elsewhere."""

from __future__ import annotations

import http.client
import ssl
from urllib.parse import urlsplit

from agent.ports import DriverError

TIMEOUT_S = 10.0
_ANSWER_BYTES = 64 << 10


def post(url: str, body: bytes, token: str = "") -> None:
    """DriverError names the host only: addresses of webhooks are often secrets themselves."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    where = f"{host} port {parts.port}" if parts.port else host
    if parts.scheme == "https":
        link: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, parts.port, timeout=TIMEOUT_S, context=ssl.create_default_context()
        )
    else:
        link = http.client.HTTPConnection(host, parts.port, timeout=TIMEOUT_S)
    headers = {"Content-Type": "application/json", "User-Agent": "openclp"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        link.request("POST", target, body, headers)
        response = link.getresponse()
        response.read(_ANSWER_BYTES)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise DriverError(f"The webhook at {where} takes nothing: {reason}.") from error
    finally:
        link.close()
    if not 200 <= response.status < 300:
        raise DriverError(f"The webhook at {where} answered {response.status}.")
