"""What every page about people begins with: who asks, and that he may."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.http import Http404, HttpRequest
from django.utils.translation import gettext as _

from webmanager import access, throttle
from webmanager.accounts.actor import Actor


def actor(request: HttpRequest) -> Actor:
    return Actor(who=request.user.get_username(), address=throttle.client_address(request))


def administrator_or_403(request: HttpRequest) -> None:
    """Of all clusters: users, agents and the audit are the whole manager's."""
    access.administrator_or_403(request.user)


def get_user_or_404(key: int) -> Any:
    user = get_user_model().objects.filter(pk=key).first()
    if user is None:
        raise Http404(_("There is no such user."))
    return user
