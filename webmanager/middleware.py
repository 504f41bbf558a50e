"""What every request passes: host rule, who asks from where, Content-Security-Policy, static files, login."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, resolve_url
from django.utils.deprecation import MiddlewareMixin
from django.utils.http import urlencode
from whitenoise.middleware import WhiteNoiseMiddleware

from webmanager import access, sessions
from webmanager.accounts import people, sign_ins
from webmanager.api.errors import plain


def host_is_ours(host: str) -> bool:
    """`host` as in the Host header. Any address literal is right: only a name can be re-bound by a foreign DNS."""
    name = host.rsplit(":", 1)[0] if host.rpartition(":")[2].isdigit() else host
    name = name.strip("[]").lower().rstrip(".")
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name in {"localhost", socket.gethostname().lower(), *map(str.lower, settings.CONSOLE_NAMES)}
    return True


class HostMiddleware(MiddlewareMixin):
    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        if host_is_ours(request.META.get("HTTP_HOST", "")):
            return None
        return HttpResponse(
            "This name is not one of the console's. Use its address, or add the name to OPENCLP_NAMES.\n",
            status=400,
            content_type="text/plain; charset=utf-8",
        )


class AskingMiddleware(MiddlewareMixin):
    """Lets access.py know whose request is answered, from where."""

    def process_request(self, request: HttpRequest) -> None:
        access.asking.set(request)

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        access.asking.set(None)
        return response


class ContentSecurityPolicyMiddleware(MiddlewareMixin):
    def __init__(self, get_response: Callable[..., Any]) -> None:
        super().__init__(get_response)
        self.policy = "; ".join(" ".join((name, *values)) for name, values in settings.SECURE_CSP.items())

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        response.headers.setdefault("Content-Security-Policy", self.policy)
        response.headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
        if request.path.startswith("/api/"):  # Of several web processes one may know what another has yet to hear.
            response.headers["X-Openclp-Process"] = str(os.getpid())
        return response


class StaticMiddleware(WhiteNoiseMiddleware):
    """Answers with the whole (small) file: a synchronous stream under ASGI costs a thread hop for each block."""

    @staticmethod
    def serve(static_file: Any, request: HttpRequest) -> HttpResponse:
        found = static_file.get_response(request.method, request.META)
        body = b""
        if found.file is not None:
            with found.file:
                body = found.file.read()
        response = HttpResponse(body, status=int(found.status))
        del response["Content-Type"]
        for key, value in found.headers:
            response[key] = value
        return response


class LoginMiddleware(MiddlewareMixin):
    """Every page needs a login but those marked `open_to_all`; the REST interface has its own rules."""

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any
    ) -> HttpResponseBase | None:
        if sessions.too_old(request.session):
            # For the REST interface, too: its session authentication takes the user from here.
            request.session.flush()
            request.user = AnonymousUser()
        if request.path_info.startswith("/api/"):
            return _first_password(request)
        if getattr(view, "open_to_all", False):
            return None
        if not request.user.is_authenticated:
            return _to_login(request)
        sign_ins.seen(request)
        if people.must_change(request.user) and not getattr(view, "open_with_first_password", False):
            return _elsewhere(request, resolve_url("account-password"))
        return None


def _first_password(request: HttpRequest) -> HttpResponse | None:
    """A cookie is no way around the page where it is changed."""
    if request.user.is_authenticated and people.must_change(request.user):
        return plain(403, "Choose your own password first, at the console.")
    return None


def _to_login(request: HttpRequest) -> HttpResponseBase:
    login = resolve_url(settings.LOGIN_URL)
    if request.htmx:  # type: ignore[attr-defined]
        here = request.htmx.current_url_abs_path or "/"  # type: ignore[attr-defined]
        return _elsewhere(request, f"{login}?{urlencode({'next': here})}")
    return redirect_to_login(request.get_full_path() if request.method == "GET" else "/")


def _elsewhere(request: HttpRequest, address: str) -> HttpResponseBase:
    if request.htmx:  # type: ignore[attr-defined]
        # htmx would put the other page inside the page; this header makes the browser go there.
        return HttpResponse(status=204, headers={"HX-Redirect": address})
    return redirect(address)
