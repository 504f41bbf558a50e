"""Drills for programs, below /api/v2."""

from __future__ import annotations

import uuid
from typing import Any

from asgiref.sync import async_to_sync
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import exceptions
from rest_framework import serializers as s
from rest_framework.request import Request
from rest_framework.response import Response

from agent.wire.drill import KINDS, LEAST_S, MOST_S, WAYS, Drill
from webmanager import access, throttle
from webmanager.api import idempotency
from webmanager.api.operations import KEY
from webmanager.api.serializers import Reply
from webmanager.api.v2.base import OK, TEXT, Base, ClusterBase, Refused, documented, number_parameter
from webmanager.api.v2.shapes import one_line
from webmanager.drills import guard, schedules, selectors, services
from webmanager.drills.models import Drill as Row
from webmanager.hub import hub
from webmanager.models import Cluster

_LIMIT_MOST = 200
_NAMESPACE = uuid.UUID("6d2c7d9e-4a53-4f0c-9f2b-6b6cf3a1f6a0")


class NewDrill(s.Serializer):
    kind = s.ChoiceField(KINDS)
    server = s.CharField(max_length=255, validators=[one_line])
    bound_s = s.FloatField(min_value=LEAST_S, max_value=MOST_S, help_text="It ends by itself after so many seconds.")
    heartbeats = s.ListField(
        child=s.CharField(max_length=255, validators=[one_line]), required=False, default=list, max_length=64,
        help_text="Of a link: these paths; empty: all of them.",
    )  # fmt: skip
    way = s.ChoiceField(WAYS, required=False, default="both", help_text="Of a link: deaf, mute or both.")
    monitor = s.CharField(required=False, allow_blank=True, default="", max_length=255, validators=[one_line])


class NewSchedule(NewDrill):
    at = s.DateTimeField(help_text="When it shall begin first.")
    weekly = s.BooleanField(required=False, default=False)


class DrillFindingItem(s.Serializer):
    code = s.CharField(help_text="A stable word for programs.")
    good = s.BooleanField(help_text="false: it stands in the way.")
    text = s.CharField(allow_blank=True)


class DrilledPartItem(s.Serializer):
    kind = s.CharField(help_text="notice, decide, activate, deactivate, wait, between.")
    name = s.CharField(allow_blank=True)
    server = s.CharField(allow_blank=True)
    at_s = s.FloatField()
    lasted_s = s.FloatField()
    result = s.CharField(allow_blank=True)


class DrilledGroupItem(s.Serializer):
    group = s.CharField()
    to = s.CharField(allow_blank=True)
    interrupted = s.BooleanField()
    outage_s = s.FloatField()
    objective_s = s.FloatField(allow_null=True)
    predicted_s = s.FloatField(allow_null=True)
    failback_s = s.FloatField()
    parts = DrilledPartItem(many=True)

    def get_fields(self) -> dict[str, Any]:
        return {**super().get_fields(), "from": s.CharField(allow_blank=True)}


class StageItem(s.Serializer):
    at_s = s.FloatField()
    stage = s.CharField(allow_blank=True, help_text="begins, noticed, verdict, decided, online, ends or nothing.")
    server = s.CharField()
    text = s.CharField()


class DrillItem(s.Serializer):
    id = s.UUIDField()
    cluster = s.CharField()
    kind = s.CharField()
    server = s.CharField()
    heartbeats = s.ListField(child=s.CharField())
    way = s.CharField()
    monitor = s.CharField(allow_blank=True)
    bound_s = s.FloatField()
    title = s.CharField()
    state = s.ChoiceField(Row.State.values)
    by = s.CharField()
    at = s.FloatField(help_text="Seconds since 1970.")
    ended = s.FloatField(allow_null=True)
    why = s.ListField(child=s.CharField(allow_blank=True))
    check = DrillFindingItem(many=True)
    groups = DrilledGroupItem(many=True)
    steps = StageItem(many=True)
    taken_down_s = s.FloatField(allow_null=True)
    away_s = s.FloatField(allow_null=True)


class DrillReply(Reply):
    drill = DrillItem()


class DrillsReply(Reply):
    drills = DrillItem(many=True)
    next = s.CharField(allow_blank=True, help_text="Ask again with before=NEXT for older ones; empty: there are none.")


class CheckReply(Reply):
    safe = s.BooleanField()
    findings = DrillFindingItem(many=True)


class ScheduleItem(s.Serializer):
    id = s.IntegerField()
    title = s.CharField()
    next_at = s.FloatField(allow_null=True)
    weekly = s.BooleanField()
    by = s.CharField()
    bound_s = s.FloatField()


class SchedulesReply(Reply):
    schedules = ScheduleItem(many=True)


class ScheduleReply(Reply):
    schedule = ScheduleItem()


class _Asking(ClusterBase):
    def administered(self) -> Cluster:
        of = self.cluster()
        access.administrator_or_403(self.request.user, of)
        return of

    def drill(self, sent: dict[str, Any]) -> Drill:
        return Drill(
            kind=sent["kind"], bound_s=sent["bound_s"], heartbeats=tuple(sent["heartbeats"]), way=sent["way"],
            monitor=sent["monitor"],
        )  # fmt: skip

    @property
    def by(self) -> str:
        return _by(self.request)


def _by(request: Request) -> str:
    return f"{request.user.get_username()}@{throttle.client_address(request)}"


class Drills(_Asking):
    @documented(
        DrillsReply, OpenApiParameter("before", TEXT, description="Cursor (`next`) of the last reply."),
        number_parameter("limit", 1, _LIMIT_MOST, 50, "At most this many."), operation_id="v2_drills",
    )  # fmt: skip
    def get(self, request: Request, cluster: str) -> Response:
        """What was drilled, newest first, with the report of each."""
        limit = self.number("limit", 50, 1, _LIMIT_MOST)
        found = selectors.drills(cluster=self.cluster(), before=request.GET.get("before", ""), limit=limit)
        if found is None:
            raise exceptions.ValidationError(
                {"before": "This is no cursor of such a list. Leave it out to begin anew."}
            )
        following = str(found[-1].id) if len(found) == limit else ""
        return Response({"drills": [selectors.as_dict(row) for row in found], "next": following, "result": OK})

    @documented(
        {202: OpenApiResponse(DrillReply, "It was asked for; ask for it by its id."),
         422: OpenApiResponse(Reply, "It is not safe now; the message says why, and a row keeps it.")},
        KEY, operation_id="v2_drill_start", request=NewDrill,
    )  # fmt: skip
    def post(self, request: Request, cluster: str) -> Response:
        """Lets something fail on purpose, when that is safe now. For administrators."""
        of = self.administered()
        key = idempotency.key_of(request)
        sent = self.sent(NewDrill)
        mine = uuid.uuid5(_NAMESPACE, f"{request.user.pk} {of.pk} {key}") if key else None
        row = async_to_sync(services.start)(
            cluster=of, drill=self.drill(sent), server=sent["server"], user=request.user, by=self.by, key=mine
        )
        if row.state == Row.State.REFUSED:
            raise Refused(" ".join(selectors.as_dict(row)["why"]) or "It is not safe now.")
        reply = {"drill": selectors.as_dict(row), "result": OK}
        return Response(reply, status=202, headers={"Location": f"/api/v2/drills/{row.id}"})


class Check(_Asking):
    @documented(CheckReply, operation_id="v2_drill_check", request=NewDrill)
    def post(self, request: Request, cluster: str) -> Response:
        """Would it be safe now, and what would happen? Nothing is begun. For administrators."""
        of, sent = self.administered(), self.sent(NewDrill)
        checked = async_to_sync(_check)(of, self.drill(sent), sent["server"], self.by)
        return Response({"safe": checked.safe, "findings": selectors.findings(checked.findings), "result": OK})


async def _check(cluster: Cluster, drill: Drill, server: str, by: str) -> guard.Checked:
    return await guard.check(await hub().ready(), cluster, drill, server, by)


class OneDrill(Base):
    @documented(DrillReply, operation_id="v2_drill")
    def get(self, request: Request, key: Any) -> Response:
        """One drill with its report; while it runs, with what is known so far."""
        return Response({"drill": selectors.as_dict(selectors.drill_or_404(key)), "result": OK})


class End(Base):
    @documented({200: DrillReply, 422: Reply}, operation_id="v2_drill_end", request=None)
    def post(self, request: Request, key: Any) -> Response:
        """Ends it at once. For operators: it only heals."""
        row = selectors.drill_or_404(key)
        access.operator_or_403(request.user, row.cluster)
        if why := async_to_sync(services.end)(row=row, by=_by(request)):
            raise Refused(why)
        row.refresh_from_db()
        return Response({"drill": selectors.as_dict(row), "result": OK})


class Schedules(_Asking):
    @documented(SchedulesReply, operation_id="v2_drill_schedules")
    def get(self, request: Request, cluster: str) -> Response:
        """What is to be drilled, and when."""
        found = selectors.schedules(cluster=self.cluster())
        return Response({"schedules": [selectors.scheduled(row) for row in found], "result": OK})

    @documented(
        {201: OpenApiResponse(ScheduleReply, "It is scheduled.")}, operation_id="v2_drill_schedule", request=NewSchedule
    )
    def post(self, request: Request, cluster: str) -> Response:
        """Begins a drill later, once or each week, if it is safe then. For administrators."""
        of, sent = self.administered(), self.sent(NewSchedule)
        if sent["at"] <= timezone.now():
            raise exceptions.ValidationError({"at": "This is past. Name a time to come."})
        row = schedules.schedule(
            cluster=of, drill=self.drill(sent), server=sent["server"], at=sent["at"], weekly=sent["weekly"], by=self.by
        )
        return Response({"schedule": selectors.scheduled(row), "result": OK}, status=201)


class OneSchedule(Base):
    @documented(Reply, operation_id="v2_drill_unschedule")
    def delete(self, request: Request, key: int) -> Response:
        """Removes a schedule. For administrators."""
        row = selectors.schedule_or_404(key)
        access.administrator_or_403(request.user, row.cluster)
        schedules.unschedule(row=row, by=_by(request))
        return Response({"result": OK})
