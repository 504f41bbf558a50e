"""What the views of /api/v2 share: the cluster named by the path, numbers of a query, documentation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions
from rest_framework.views import APIView

from webmanager import access
from webmanager.api.views import ERRORS, OK
from webmanager.models import Cluster

__all__ = ["ERRORS", "OK", "Base", "Busy", "ClusterBase", "Refused", "documented", "number_parameter"]


class Busy(exceptions.APIException):
    status_code = 503
    default_code = "busy"

    def __init__(self, detail: str, wait_s: int) -> None:
        super().__init__(detail)
        self.wait = wait_s  # becomes Retry-After


class Refused(exceptions.APIException):
    status_code = 422
    default_code = "refused"


def documented(reply: Any, *parameters: OpenApiParameter, **more: Any) -> Callable[[Any], Any]:
    responses = reply if isinstance(reply, dict) else {200: reply}
    return extend_schema(parameters=list(parameters), responses={**responses, **ERRORS}, **more)


def number_parameter(name: str, least: int, most: int, default: int, text: str) -> OpenApiParameter:
    schema = {"type": "integer", "minimum": least, "maximum": most, "default": default}
    return OpenApiParameter(name, schema, description=text)


class Base(APIView):
    def number(self, name: str, default: int, least: int, most: int) -> int:
        text = self.request.GET.get(name, "") or str(default)
        if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
            raise exceptions.ValidationError({name: f"“{text}” is not a whole number from {least} to {most}."})
        return int(text)

    def sent(self, shape: Any) -> dict[str, Any]:
        if not isinstance(self.request.data, dict):
            raise exceptions.ValidationError("The body must be a JSON object.")
        checked = shape(data=self.request.data)
        checked.is_valid(raise_exception=True)
        return dict(checked.validated_data)


class ClusterBase(Base):
    def cluster(self) -> Cluster:
        return access.get_cluster_or_404(self.kwargs["cluster"], self.request.user)

    def status(self) -> dict[str, Any]:
        return access.get_status_or_404(self.cluster())


TEXT = OpenApiTypes.STR
