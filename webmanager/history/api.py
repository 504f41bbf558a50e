"""/api/v2/clusters/NAME/history: how a cluster was, what changed between two times, what stands on the time line."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter
from rest_framework import exceptions
from rest_framework import serializers as s
from rest_framework.request import Request
from rest_framework.response import Response

from webmanager.api.serializers import EventItem, Reply
from webmanager.api.v2.base import OK, TEXT, ClusterBase, documented, number_parameter
from webmanager.api.v2.shapes import AnyObject
from webmanager.history import answers
from webmanager.history.marks import KINDS

_LIMIT, _LIMIT_MOST = 200, 1000
_RANGE_MOST_S = 400 * 86400
_SECONDS = {"type": "number", "minimum": 0, "maximum": answers.LATEST}


def _time(name: str, text: str, *, required: bool = False) -> OpenApiParameter:
    return OpenApiParameter(name, _SECONDS, description=f"{text} Seconds since 1970.", required=required)


class SpanItem(s.Serializer):
    begin = s.FloatField()
    end = s.FloatField(allow_null=True, help_text="null: it goes on.")


class PastReply(Reply):
    at = s.FloatField()
    event = s.CharField(allow_blank=True)
    recorded = s.BooleanField(help_text="false: this time was not recorded; the state is the newest known before it.")
    since = s.FloatField(help_text="Since when this state lasted.")
    status = AnyObject(allow_null=True, help_text="As of v2_status; null: nothing was recorded so early.")
    agents = s.DictField(child=s.BooleanField(), help_text="Node: whether its agent was connected.")
    told = s.DictField(child=s.FloatField(), help_text="Server: when its entry changed last, as far as it is known.")
    events = EventItem(many=True, help_text="Up to then, oldest first, the newest 200.")
    gap = SpanItem(allow_null=True, help_text="The time around it that was not recorded.")
    previous = EventItem(allow_null=True)
    next = EventItem(allow_null=True)
    range = SpanItem(allow_null=True, help_text="From the first to the newest recorded instant.")


class StateChangeItem(s.Serializer):
    at = s.FloatField()
    changes = s.ListField(child=AnyObject(), help_text="[kind, name, object or null], as in the console's socket.")
    agents = s.DictField(child=s.BooleanField(), allow_null=True)
    events = s.ListField(child=s.CharField(), help_text="Ids of the events that came with it.")


class ChangesReply(Reply):
    changes = StateChangeItem(many=True)
    events = EventItem(many=True)
    gaps = SpanItem(many=True, help_text="Times that were not recorded.")
    until = s.FloatField(help_text="How far this reply reaches.")
    more = s.BooleanField(help_text="true: ask again with after=UNTIL.")


class MarkItem(s.Serializer):
    at = s.FloatField()
    kind = s.ChoiceField(KINDS)
    id = s.CharField(help_text="Of the event.")
    module = s.CharField()
    event = s.IntegerField()
    params = s.ListField(child=s.CharField())
    text = s.CharField()
    count = s.IntegerField(help_text="How many stand there, of which this is the worst.")


class LineReply(Reply):
    begin = s.FloatField()
    end = s.FloatField()
    range = SpanItem(allow_null=True)
    marks = MarkItem(many=True)
    gaps = SpanItem(many=True)


class _Times(ClusterBase):
    def seconds(self, name: str, *, required: bool = False) -> float | None:
        text = self.request.GET.get(name, "")
        if not text and not required:
            return None
        found = answers.seconds(text)
        if found is None:
            raise exceptions.ValidationError({name: f"“{text}” is not a time in seconds since 1970."})
        return found

    def range(self, first: str, last: str) -> tuple[float, float]:
        begin, end = self.seconds(first, required=True), self.seconds(last, required=True)
        assert begin is not None
        assert end is not None
        if not begin <= end <= begin + _RANGE_MOST_S:
            days = _RANGE_MOST_S // 86400
            raise exceptions.ValidationError({last: f"It must not be before {first}, nor more than {days} days after."})
        return begin, end


class StateThen(_Times):
    @documented(
        PastReply, _time("at", "When; without it the newest recorded state."),
        OpenApiParameter("event", TEXT, description="Id of an event: as it was when that had come; counts first."),
        operation_id="v2_history",
    )  # fmt: skip
    def get(self, request: Request, cluster: str) -> Response:
        """How the cluster was at a time: its whole status, and the events up to then."""
        found = answers.state(cluster=self.cluster(), at=self.seconds("at"), event=request.GET.get("event", ""))
        if found is None:
            raise exceptions.NotFound("There is no such event (any more).")
        return Response({**found, "result": OK})


class Changes(_Times):
    @documented(
        ChangesReply, _time("after", "What came after it.", required=True), _time("until", "Up to.", required=True),
        number_parameter("limit", 1, _LIMIT_MOST, _LIMIT, "At most this many changes."),
        operation_id="v2_history_changes",
    )  # fmt: skip
    def get(self, request: Request, cluster: str) -> Response:
        """What changed between two times, in order (figures alone are not told). Applied to the state of the first time
        the changes give that of the last."""
        of, (after, until) = self.cluster(), self.range("after", "until")
        limit = self.number("limit", _LIMIT, 1, _LIMIT_MOST)
        found = answers.changes(cluster=of, after=after, until=until, limit=limit)
        return Response({**found, "result": OK})


class Line(_Times):
    @documented(
        LineReply, _time("begin", "From.", required=True), _time("end", "Up to.", required=True),
        operation_id="v2_history_line",
    )  # fmt: skip
    def get(self, request: Request, cluster: str) -> Response:
        """What stands on the time line: failovers, losses, requests, errors; and what was not recorded."""
        of, (begin, end) = self.cluster(), self.range("begin", "end")
        found: dict[str, Any] = answers.line(cluster=of, begin=begin, end=end)
        return Response({**found, "result": OK})
