"""Errors of the REST interface: always a `result` with a code and a sentence."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, JsonResponse
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback


class NotDoneYet(exceptions.APIException):
    """The path belongs to the interface; this release cannot do it."""

    status_code = 501
    default_code = "not_implemented"


class NoAgent(exceptions.APIException):
    status_code = 503
    default_code = "no_agent"


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    if isinstance(error, Http404):
        error = exceptions.NotFound(str(error) or None)
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied(str(error) or None)
    if not isinstance(error, exceptions.APIException):
        return None
    set_rollback()
    headers = {}
    if header := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = header
    if wait_s := getattr(error, "wait", None):
        headers["Retry-After"] = str(int(wait_s))
    body = {"result": {"code": error.status_code, "message": _sentence(error.detail)}}
    return Response(body, status=error.status_code, headers=headers)


def plain(status: int, message: str) -> JsonResponse:
    """The same for errors before or outside of a REST view."""
    return JsonResponse({"result": {"code": status, "message": message}}, status=status)


def _sentence(detail: Any) -> str:
    if isinstance(detail, dict):
        return " ".join(f"{name}: {_sentence(value)}" for name, value in detail.items())
    if isinstance(detail, list):
        return " ".join(_sentence(value) for value in detail)
    return str(detail)
