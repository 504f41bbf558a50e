"""Recoveries and availability for programs."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter
from rest_framework import exceptions
from rest_framework import serializers as s
from rest_framework.request import Request
from rest_framework.response import Response

from webmanager import access
from webmanager.api.serializers import EventItem, Reply
from webmanager.api.v2.base import OK, TEXT, ClusterBase, documented, number_parameter
from webmanager.recoveries import selectors
from webmanager.recoveries.availability import Board
from webmanager.recoveries.models import Recovery

_LIMIT, _LIMIT_MOST = 50, 200
_ID_MOST = 2**62
_BEFORE = number_parameter("before", 0, _ID_MOST, 0, "`next` of the last reply; 0: from the newest on.")
_GROUP = OpenApiParameter("group", TEXT, description="Only of this failover group.")
_PERIOD = OpenApiParameter("period", TEXT, enum=list(selectors.PERIODS), description="Up to now; 30d when left out.")


class PartItem(s.Serializer):
    kind = s.ChoiceField(["notice", "decide", "activate", "deactivate", "wait", "fence", "between"])
    name = s.CharField(allow_blank=True, help_text="Of the resource or fence device.")
    server = s.CharField(allow_blank=True)
    begun = s.FloatField(help_text="Seconds since 1970.")
    lasted_s = s.FloatField()
    result = s.CharField(allow_blank=True)


class RecoveryItem(s.Serializer):
    id = s.IntegerField()
    group = s.CharField()
    kind = s.ChoiceField(Recovery.Kind.values)
    trigger = s.CharField(
        help_text="server, monitor, resource, operator, partition, returned, startup, double or other."
    )
    subject = s.CharField(allow_blank=True, help_text="The server, monitor, resource or user of the trigger.")
    planned = s.BooleanField(help_text="An operator or a drill wished it, and nothing failed on the way.")
    drill = s.CharField(allow_blank=True)
    result = s.ChoiceField(Recovery.Result.values)
    to = s.CharField(allow_blank=True)
    begun = s.FloatField(help_text="Seconds since 1970: the last moment in which the group surely served.")
    ended = s.FloatField(allow_null=True, help_text="null: it is still going on.")
    outage_from = s.FloatField(allow_null=True, help_text="null: it interrupted nothing.")
    outage_to = s.FloatField(allow_null=True, help_text="null: the group is still down.")
    outage_s = s.FloatField(allow_null=True)
    rule = s.CharField(allow_blank=True)
    path = PartItem(many=True, help_text="Where the time went, without gap; sums up to ended - begun.")

    def get_fields(self) -> dict[str, s.Field]:
        # "from" is no name that a class can have.
        return {**super().get_fields(), "from": s.CharField(allow_blank=True)}


class RecoveriesReply(Reply):
    recoveries = RecoveryItem(many=True)
    next = s.CharField(allow_blank=True, help_text="Ask again with before=NEXT for older ones; empty: there are none.")


class OneRecoveryReply(Reply):
    recovery = RecoveryItem()
    events = EventItem(many=True, help_text="What the servers wrote about it, in order.")


class ObjectiveItem(s.Serializer):
    recovery_s = s.FloatField(allow_null=True)
    percent = s.FloatField(allow_null=True)


class AvailabilityItem(s.Serializer):
    group = s.CharField()
    percent = s.FloatField(allow_null=True, help_text="Of the time that is known; null: none is.")
    up_s = s.FloatField()
    planned_s = s.FloatField(help_text="Down because an operator or a drill wished it.")
    unplanned_s = s.FloatField()
    unknown_s = s.FloatField(help_text="The manager heard no agent; counted neither way.")
    recoveries = s.IntegerField(help_text="Unplanned ones that interrupted the group.")
    median_s = s.FloatField(allow_null=True, help_text="Of their recovery times.")
    worst_s = s.FloatField(allow_null=True)
    objective = ObjectiveItem(allow_null=True)


class AvailabilityReply(Reply):
    period = s.ChoiceField(list(selectors.PERIODS))
    since = s.FloatField()
    until = s.FloatField()
    groups = AvailabilityItem(many=True)


class Recoveries(ClusterBase):
    @documented(
        RecoveriesReply, _BEFORE, _GROUP, number_parameter("limit", 1, _LIMIT_MOST, _LIMIT, "At most this many."),
        operation_id="v2_recoveries",
    )  # fmt: skip
    def get(self, request: Request, cluster: str) -> Response:
        """Failovers, restarts, moves, starts and stops of groups with their causes and times, newest first."""
        of = self.cluster()
        limit = self.number("limit", _LIMIT, 1, _LIMIT_MOST)
        before = self.number("before", 0, 0, _ID_MOST) or None
        group = request.GET.get("group", "")
        rows = selectors.recoveries(cluster=of, group=group, before=before, limit=limit)
        found = [selectors.as_dict(row) for row in rows]
        return Response({"recoveries": found, "next": str(rows[-1].pk) if len(rows) == limit else "", "result": OK})


class OneRecovery(ClusterBase):
    @documented(OneRecoveryReply, operation_id="v2_recovery")
    def get(self, request: Request, cluster: str, key: int) -> Response:
        """One of them with the events that it was found in."""
        of = self.cluster()
        row = selectors.recovery(key=key) if key <= _ID_MOST else None
        if row is None or row.cluster_id != of.pk:
            raise exceptions.NotFound("There is no such recovery.")
        notes = [{"before": "", "after": "", **note} for note in row.data.get("notes", ())]
        return Response({"recovery": selectors.as_dict(row), "events": notes, "result": OK})


class Availability(ClusterBase):
    @documented(AvailabilityReply, _PERIOD, operation_id="v2_availability")
    def get(self, request: Request, cluster: str) -> Response:
        """How available each failover group was, with what is planned, unplanned and not known told apart."""
        of = self.cluster()
        period = request.GET.get("period", "") or "30d"
        if period not in selectors.PERIODS:
            raise exceptions.ValidationError({"period": f"It is one of {', '.join(selectors.PERIODS)}."})
        status = access.get_status_or_404(of)
        account = selectors.account(cluster=of, period_s=selectors.PERIODS[period])
        aims = selectors.objectives(cluster=of)
        groups = []
        for name in status["groups"]:
            aim = aims.get(name)
            objective = {"recovery_s": aim.recovery_s, "percent": aim.percent} if aim else None
            groups.append({**_item(name, account.board(name, selectors.PERIODS[period])), "objective": objective})
        since = account.now - selectors.PERIODS[period]
        return Response({"period": period, "since": since, "until": account.now, "groups": groups, "result": OK})


def _item(name: str, board: Board) -> dict[str, Any]:
    names = ("percent", "up_s", "planned_s", "unplanned_s", "unknown_s", "recoveries", "median_s", "worst_s")
    return {"group": name, **{key: getattr(board, key) for key in names}}
