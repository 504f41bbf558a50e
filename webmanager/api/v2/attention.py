"""Acknowledging events, and finding objects in all clusters."""

from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter
from rest_framework import exceptions
from rest_framework import serializers as s
from rest_framework.request import Request
from rest_framework.response import Response

from webmanager import access, heard, throttle
from webmanager.api.serializers import Reply
from webmanager.api.v2.base import OK, TEXT, Base, ClusterBase, documented, number_parameter
from webmanager.models import Cluster, Event
from webmanager.overview import acknowledging, search
from webmanager.overview.events import tell
from webmanager.overview.filters import FIELDS, LONGEST, Filter
from webmanager.overview.views import roles_of


class WantedEvents(s.Serializer):
    """Which ones, of those that wait: as on the page of events."""

    def get_fields(self) -> dict[str, s.Field]:
        return {name: s.CharField(required=False, allow_blank=True, max_length=LONGEST) for name in FIELDS}


class Acknowledgement(s.Serializer):
    """One of `ids` and `until`."""

    ids = s.ListField(
        child=s.CharField(max_length=255), required=False, min_length=1, max_length=acknowledging.IDS_MOST,
        help_text="Ids of events.",
    )  # fmt: skip
    until = s.CharField(
        required=False, max_length=255, help_text="Id of an event: it and all before it that match the filter."
    )
    filter = WantedEvents(required=False, help_text="With `until`; without it all.")
    comment = s.CharField(required=False, allow_blank=True, max_length=acknowledging.COMMENT_LONGEST, default="")


class AcknowledgedReply(Reply):
    count = s.IntegerField(help_text="Warnings and errors that nobody had acknowledged before.")


class Acknowledge(ClusterBase):
    @documented(AcknowledgedReply, operation_id="v2_events_acknowledge", request=Acknowledgement)
    def post(self, request: Request, cluster: str) -> Response:
        """Says that somebody has seen these events. For operators; a second time changes nothing."""
        of = self.cluster()
        access.operator_or_403(request.user, of)
        sent = self.sent(Acknowledgement)
        found, detail = _meant(of, sent)
        count = acknowledging.acknowledge(
            cluster=of, found=found, who=request.user.get_username(), address=throttle.client_address(request),
            comment=sent["comment"], detail=detail,
        )  # fmt: skip
        async_to_sync(tell)(of.name)
        return Response({"count": count, "result": OK})


def _meant(cluster: Cluster, sent: dict[str, Any]) -> tuple[QuerySet[Event], dict[str, Any]]:
    if ("ids" in sent) == ("until" in sent):
        raise exceptions.ValidationError("Say which events: either ids or until.")
    if "ids" in sent:
        if "filter" in sent:
            raise exceptions.ValidationError({"filter": "It goes with until only."})
        return acknowledging.these(cluster=cluster, ids=sent["ids"])
    heard.missing(cluster=cluster, ids=[sent["until"]])
    last = Event.objects.filter(cluster=cluster, note_id=sent["until"]).first()
    if last is None:
        raise exceptions.NotFound("There is no such event.")
    wanted = Filter.of(sent.get("filter", {}))
    if wanted.problems:
        raise exceptions.ValidationError({"filter": " ".join(wanted.problems)})
    return acknowledging.up_to(cluster=cluster, wanted=wanted, last=last, seen=last.pk)


class HitItem(s.Serializer):
    cluster = s.CharField()
    kind = s.ChoiceField(search.KINDS)
    name = s.CharField()
    status = s.CharField(allow_blank=True)
    about = s.CharField(allow_blank=True, help_text="Address, type, comment.")
    path = s.CharField(help_text="Where the console shows it live.")


class SearchReply(Reply):
    found = HitItem(many=True)
    total = s.IntegerField(help_text="How many there are; `found` has the best ones.")


class Search(Base):
    @documented(
        SearchReply,
        OpenApiParameter("q", TEXT, description="Words; each has to occur in the name, address, type, comment or "
                         "cluster."),
        number_parameter("limit", 1, search.FOUND_MOST, search.FOUND_MOST, "At most this many."),
        operation_id="v2_search",
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Servers, groups, resources, monitors and the like of all clusters that you may see."""
        limit = self.number("limit", search.FOUND_MOST, 1, search.FOUND_MOST)
        q = request.GET.get("q", "")
        found, total = async_to_sync(search.search)(clusters=list(roles_of(request)), q=q, limit=limit)
        return Response({"found": found, "total": total, "result": OK})
