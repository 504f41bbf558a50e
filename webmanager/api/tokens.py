"""Tokens: made by a person who has signed in, shown once, listed without their secret, revoked at any time."""

from __future__ import annotations

import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from webmanager.models import ApiToken


class TooManyError(Exception):
    pass


@transaction.atomic
def make(*, user: Any, name: str, days: int, read_only: bool) -> tuple[ApiToken, str]:
    """(row, the token itself, which nobody can find out again). Raises TooManyError."""
    ApiToken.objects.filter(user=user, expiry__lt=timezone.now()).delete()
    if ApiToken.objects.filter(user=user).count() >= settings.TOKENS_PER_USER:
        raise TooManyError(f"You have {settings.TOKENS_PER_USER} tokens; revoke one first.")
    row, token = ApiToken.objects.create(
        user=user, expiry=datetime.timedelta(days=days), name=name, read_only=read_only
    )
    return row, token


def of(*, user: Any) -> list[ApiToken]:
    """Newest first; those that have expired are no tokens any more."""
    return list(ApiToken.objects.filter(user=user, expiry__gte=timezone.now()))


def revoke(*, user: Any, key: Any) -> bool:
    """False: the user has no such token."""
    return bool(ApiToken.objects.filter(user=user, key=key).delete()[0])


def revoke_all(*, user: Any) -> int:
    return ApiToken.objects.filter(user=user).delete()[0]


def valid(*, digest: str) -> bool:
    """Still, for what goes on for long."""
    return ApiToken.objects.filter(digest=digest, expiry__gte=timezone.now(), user__is_active=True).exists()
