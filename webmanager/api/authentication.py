"""Basic authentication with the manager's users, made cheap for pollers and slow for guessers; tokens for programs."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from typing import Any

from django.contrib.auth import get_user_model
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from knox.auth import TokenAuthentication as KnoxTokenAuthentication
from rest_framework.authentication import BasicAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied, Throttled
from rest_framework.permissions import SAFE_METHODS

from webmanager import throttle
from webmanager.accounts.models import Account

_KEPT_S = 60
_KEPT_LIMIT = 1000
_process_key = secrets.token_bytes(32)
_verified: dict[bytes, float] = {}  # digest of (account, stored hash, password) -> verified at


class LimitedBasicAuthentication(BasicAuthentication):
    www_authenticate_realm = "openclp"

    def authenticate_credentials(self, userid: str, password: str, request: Any = None) -> Any:
        """A right password is remembered for a minute, as a keyed digest: its slow hash at each poll of each script
        would keep a core busy. A changed password or a deactivated user counts at once."""
        user = get_user_model().objects.filter(username=userid).first()
        digest = _digest(user, password)
        if user is not None and user.is_active and time.monotonic() - _verified.get(digest, -_KEPT_S) < _KEPT_S:
            _password_is_enough_or_403(user)
            return user, None
        if wait_s := throttle.wait_s(request, userid):
            raise Throttled(wait_s, "Too many failed logins.")
        try:
            found = super().authenticate_credentials(userid, password, request)
        except AuthenticationFailed:
            throttle.failed(request, userid)
            raise
        throttle.succeeded(request, userid)
        if len(_verified) >= _KEPT_LIMIT:
            _verified.clear()
        _verified[digest] = time.monotonic()
        _password_is_enough_or_403(found[0])
        return found


def _password_is_enough_or_403(user: Any) -> None:
    """After the password was right: a guesser learns nothing from it."""
    account = Account.objects.filter(user=user).only("must_change", "totp").first()
    if account is not None and account.must_change:
        raise PermissionDenied("Choose your own password first: sign in at the console.")
    if account is not None and account.totp:
        raise PermissionDenied("This user has a second factor; programs use a token, made on the page My account.")


def _digest(user: Any, password: str) -> bytes:
    stored = f"{user.pk}\0{user.password}" if user is not None else ""
    return hmac.digest(_process_key, f"{stored}\0{password}".encode(), hashlib.sha256)


class LimitedBasicScheme(OpenApiAuthenticationExtension):
    target_class = LimitedBasicAuthentication
    name = "basicAuth"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "basic"}


class TokenAuthentication(KnoxTokenAuthentication):
    """`Authorization: Bearer oclp_...`, a token that its user has made (webmanager/api/tokens.py)."""

    def authenticate(self, request: Any) -> Any:
        found = super().authenticate(request)
        if found is not None and found[1].read_only and request.method not in SAFE_METHODS:
            raise PermissionDenied("This token may only read. Make one without “read_only”.")
        return found

    def authenticate_credentials(self, token: bytes) -> Any:
        try:
            return super().authenticate_credentials(token)
        except (AuthenticationFailed, UnicodeDecodeError):
            raise AuthenticationFailed(
                "This token is unknown, was revoked or has expired. Make a new one: POST /api/v2/tokens."
            ) from None


class TokenScheme(OpenApiAuthenticationExtension):
    target_class = TokenAuthentication
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}
