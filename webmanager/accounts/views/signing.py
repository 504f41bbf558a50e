"""Signing in, with a second step where the user wants one, and out."""

from __future__ import annotations

import time
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth import logout as end_session
from django.contrib.auth.forms import AuthenticationForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from webmanager import throttle
from webmanager.accounts import audit, people, sign_ins
from webmanager.accounts.marks import open_to_all, open_with_first_password

# In a session: who has given a right password and owes the code, since when.
_PENDING = "second_factor"
_PENDING_S = 300


@open_to_all
@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def login(request: HttpRequest) -> HttpResponse:
    target = _target(request)
    if request.user.is_authenticated:
        return redirect(target)
    if request.method != "POST":
        return _login_page(request, AuthenticationForm(request), target)
    username = request.POST.get("username", "")
    if wait_s := throttle.claim(request, username):
        return _login_page(request, AuthenticationForm(request), target, wait_s)
    form = AuthenticationForm(request, request.POST)
    if not form.is_valid():
        _tell(request, "sign_in", username, "failed", why="password")
        return _login_page(request, form, target)
    user = form.get_user()
    if people.has_second_factor(user):
        throttle.give_back(request, username)
        request.session.cycle_key()
        request.session[_PENDING] = {"user": user.pk, "hash": user.get_session_auth_hash(), "at": time.time()}
        return _code_page(request, target)
    return _enter(request, user, target, "password")


@open_to_all
@never_cache
@sensitive_post_parameters("code")
@require_POST
def second_factor(request: HttpRequest) -> HttpResponse:
    target, user = _target(request), _pending_user(request)
    if user is None:
        return redirect("login")
    name = user.get_username()
    if wait_s := throttle.claim_code(user) or throttle.claim(request, name):
        return _code_page(request, target, wait_s=wait_s)
    if not (how := people.check_second_factor(user=user, code=request.POST.get("code", "")[:64])):
        _tell(request, "sign_in", name, "failed", why="code")
        return _code_page(request, target, wrong=True)
    del request.session[_PENDING]
    return _enter(request, user, target, how)


@open_with_first_password
@require_POST
def logout(request: HttpRequest) -> HttpResponse:
    _tell(request, "sign_out", request.user.get_username(), "done")
    end_session(request)
    return redirect("login")


def _enter(request: HttpRequest, user: Any, target: str, how: str) -> HttpResponse:
    throttle.succeeded(request, user.get_username())
    sign_ins.begin(request, user)
    _tell(request, "sign_in", user.get_username(), "done", how=how)
    return redirect(target)


def _pending_user(request: HttpRequest) -> Any:
    """None when nobody gave a password, it was too long ago, or the user is another one by now."""
    pending = request.session.get(_PENDING) or {}
    if not 0 <= time.time() - pending.get("at", 0) < _PENDING_S:
        return None
    user = get_user_model().objects.filter(pk=pending["user"], is_active=True).first()
    return user if user is not None and user.get_session_auth_hash() == pending["hash"] else None


def _target(request: HttpRequest) -> str:
    target = request.POST.get("next") or request.GET.get("next") or "/"
    ours = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
    return target if ours else "/"


def _login_page(request: HttpRequest, form: AuthenticationForm, target: str, wait_s: int = 0) -> HttpResponse:
    return _page(request, "webmanager/login.html", {"form": form, "next": target}, wait_s)


def _code_page(request: HttpRequest, target: str, *, wrong: bool = False, wait_s: int = 0) -> HttpResponse:
    return _page(request, "accounts/second_factor.html", {"next": target, "wrong": wrong}, wait_s)


def _page(request: HttpRequest, name: str, context: dict[str, Any], wait_s: int) -> HttpResponse:
    response = render(request, name, {**context, "wait_s": wait_s}, status=429 if wait_s else 200)
    if wait_s:
        response["Retry-After"] = str(wait_s)
    return response


def _tell(request: HttpRequest, action: str, name: str, result: str, **detail: str) -> None:
    address = throttle.client_address(request)
    audit.add(action, who=name or "-", address=address, result=result, detail=detail)
