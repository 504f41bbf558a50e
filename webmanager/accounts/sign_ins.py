"""Sessions with their people: listed, seen, ended, also by somebody else, in every process at once."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import login as start_session
from django.contrib.sessions.models import Session
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from webmanager import throttle
from webmanager.accounts import audit, revocation
from webmanager.accounts.actor import Actor
from webmanager.accounts.models import SignIn
from webmanager.sessions import SINCE

_SEEN_S = 60  # more often would be a write for each page


def begin(request: HttpRequest, user: Any) -> None:
    """Signs in: a new session with a new key."""
    backend = settings.AUTHENTICATION_BACKENDS[0]
    start_session(request, user, backend=backend)
    request.session[SINCE] = time.time()
    note(request, user)


def note(request: HttpRequest, user: Any) -> None:
    """Whose session this is; again after its key has changed."""
    request.session.save()
    SignIn.objects.update_or_create(
        session_id=request.session.session_key,
        defaults={
            "user": user,
            "address": throttle.client_address(request)[:64],
            "agent": request.headers.get("User-Agent", "")[:200].replace("\0", ""),
        },
    )


def seen(request: HttpRequest) -> None:
    now = timezone.now()
    SignIn.objects.filter(
        session_id=request.session.session_key, seen_at__lt=now - timedelta(seconds=_SEEN_S)
    ).update(seen_at=now)  # fmt: skip


def of(user: Any) -> list[SignIn]:
    return list(SignIn.objects.filter(user=user, session__expire_date__gt=timezone.now()))


def everybody() -> list[SignIn]:
    return list(SignIn.objects.filter(session__expire_date__gt=timezone.now()).select_related("user"))


def end(one: SignIn, actor: Actor) -> None:
    user_id = one.user_id
    with transaction.atomic():
        Session.objects.filter(session_key=one.session_id).delete()
        told = {"address": one.address}
        audit.add("session.end", who=actor.who, address=actor.address, target=one.user.get_username(), detail=told)
    transaction.on_commit(lambda: revocation.tell("user", user_id))


def end_all(user: Any, *, but: str = "") -> None:
    found = SignIn.objects.filter(user=user).exclude(session_id=but)
    Session.objects.filter(session_key__in=found.values("session_id")).delete()
    recheck(user)


def recheck(user: Any) -> None:
    """The open sockets of this user look anew at what he may."""
    user_id = user.pk
    transaction.on_commit(lambda: revocation.tell("user", user_id))


def prune() -> int:
    """Sessions that have ended by their age."""
    return Session.objects.filter(expire_date__lt=timezone.now()).delete()[0]
