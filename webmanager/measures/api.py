"""/api/v2/clusters/NAME/measures/KIND/NAME: what was measured of one object, as its chart shows it."""

from __future__ import annotations

import time

from drf_spectacular.utils import OpenApiParameter
from rest_framework import exceptions
from rest_framework import serializers as s
from rest_framework.request import Request
from rest_framework.response import Response

from webmanager.api.serializers import Reply
from webmanager.api.v2.base import OK, ClusterBase, documented
from webmanager.measures import selectors
from webmanager.measures.samples import SPANS

KINDS = ("monitor", "heartbeat", "server")
_SPAN = OpenApiParameter(
    "span", {"type": "string", "enum": list(SPANS), "default": "day"},
    description="day: points of a minute (five in large clusters); month: of a quarter of an hour.",
)  # fmt: skip


class PointItem(s.Serializer):
    at = s.IntegerField(help_text="Its beginning, seconds since 1970.")
    span_s = s.IntegerField()
    low_ms = s.FloatField(allow_null=True, help_text="The shortest; null: nothing was measured.")
    mid_ms = s.FloatField(allow_null=True)
    high_ms = s.FloatField(allow_null=True)
    failed = s.IntegerField(help_text="Failed checks of a monitor; else at most so many peers were not heard.")


class MeasuresReply(Reply):
    kind = s.ChoiceField(KINDS)
    name = s.CharField()
    span = s.ChoiceField(list(SPANS))
    servers = s.DictField(child=PointItem(many=True), help_text="By server, oldest first; gaps are gaps.")


class Measures(ClusterBase):
    @documented(
        MeasuresReply, _SPAN, OpenApiParameter("kind", {"type": "string", "enum": list(KINDS)}, OpenApiParameter.PATH),
        operation_id="v2_measures",
    )  # fmt: skip
    def get(self, request: Request, cluster: str, kind: str, name: str) -> Response:
        """How long the answers of a monitor took; the silences that servers heard on a heartbeat path, or
        over all paths (kind server). An object that was never measured has no points."""
        of = self.cluster()
        span = request.GET.get("span", "") or "day"
        if kind not in KINDS:
            raise exceptions.ValidationError({"kind": f"“{kind}” is not one of {', '.join(KINDS)}."})
        if span not in SPANS:
            raise exceptions.ValidationError({"span": f"“{span}” is not one of {', '.join(SPANS)}."})
        found = selectors.history(cluster=of, kind=kind, name=name, span=span, now=time.time())
        servers = {
            server: [
                {"at": p.at, "span_s": p.span_s, "low_ms": p.sample[0], "mid_ms": p.sample[1], "high_ms": p.sample[2],
                 "failed": p.sample[3]}
                for p in points
            ]
            for server, points in found.items()
        }  # fmt: skip
        return Response({"kind": kind, "name": name, "span": span, "servers": servers, "result": OK})
