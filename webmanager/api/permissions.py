"""Changes are asked for by programs and by our own pages, never by a page from elsewhere."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import SAFE_METHODS, BasePermission


class NotFromElsewhere(BasePermission):
    """A browser that was asked for the password once sends it along with whatever a foreign page makes it post, and
    needs no token against that, as a session does. But it says where the page is from; programs have no Origin."""

    message = "This request came from a page of another origin."

    def has_permission(self, request: Any, view: Any) -> bool:
        origin = request.headers.get("Origin")
        if origin is None or request.method in SAFE_METHODS:
            return True
        return bool(origin.partition("://")[2].lower() == request.get_host().lower())
