"""Reading: cluster, servers, groups, resources, monitors, events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from webmanager import access, selectors
from webmanager.api import serializers as shapes
from webmanager.models import Cluster

OK = {"code": 0, "message": ""}
CLUSTER = OpenApiParameter("cluster", OpenApiTypes.STR, description="Name of the cluster; default: the first one.")
SELECT = OpenApiParameter("select", OpenApiTypes.STR, description='"name": names only; groups also "resources".')
ERRORS = {
    400: shapes.Reply,
    401: shapes.Reply,
    403: shapes.Reply,
    404: shapes.Reply,
    429: shapes.Reply,
}


def documented(reply: Any, *parameters: OpenApiParameter, **more: Any) -> Callable[[Any], Any]:
    """`reply`: of 200, or by status."""
    responses = reply if isinstance(reply, dict) else {200: reply}
    return extend_schema(parameters=[CLUSTER, *parameters], responses={**responses, **ERRORS}, **more)


class ClusterBase(APIView):
    """Finds the cluster and its live state."""

    def cluster(self) -> Cluster:
        return access.get_cluster_or_404(self.request.GET.get("cluster", ""), self.request.user)

    def status(self) -> dict[str, Any]:
        return access.get_status_or_404(self.cluster())


class ClusterView(ClusterBase):
    @documented(shapes.ClusterReply, operation_id="cluster")
    def get(self, request: Request) -> Response:
        """Name and status of the cluster."""
        cluster = self.status()["cluster"]
        return Response({"cluster": {"name": cluster["name"], "status": cluster["status"]}, "result": OK})


class Listing(ClusterBase):
    """All objects of one kind, or one of them by name."""

    kind = ""
    fields: tuple[str, ...] = ()
    selects: tuple[str, ...] = ("name",)

    def answer(self, name: str | None) -> Response:
        status, select = self.status(), self.request.GET.get("select", "")
        if select and select not in self.selects:
            raise ValidationError({"select": f"“{select}” is not known here; known: {', '.join(self.selects)}."})
        found = status[self.kind]
        things = found.values() if name is None else [access.get_object_or_404(status, self.kind, name)]
        return Response({self.kind: [self.item(thing, select) for thing in things], "result": OK})

    def item(self, thing: dict[str, Any], select: str) -> dict[str, Any]:
        if select == "name":
            return {"name": thing["name"]}
        # The original writes the word None where nothing runs.
        return {field: (thing[field] or "None") if field == "current" else thing[field] for field in self.fields}


class Servers(Listing):
    kind, fields = "servers", ("name", "status")

    @documented(shapes.ServersReply, SELECT, operation_id="servers")
    def get(self, request: Request) -> Response:
        """All servers."""
        return self.answer(None)


class Server(Servers):
    @documented(shapes.ServersReply, SELECT, operation_id="server")
    def get(self, request: Request, name: str) -> Response:
        """One server."""
        return self.answer(name)


class Groups(Listing):
    kind, fields = "groups", ("name", "status", "current")
    selects = ("name", "resources")

    @documented(shapes.GroupsReply, SELECT, operation_id="groups")
    def get(self, request: Request) -> Response:
        """All failover groups."""
        return self.answer(None)

    def item(self, thing: dict[str, Any], select: str) -> dict[str, Any]:
        if select == "resources":
            return {"name": thing["name"], "resources": [{"name": name} for name in thing["resources"]]}
        return super().item(thing, select)


class Group(Groups):
    @documented(shapes.GroupsReply, SELECT, operation_id="group")
    def get(self, request: Request, name: str) -> Response:
        """One failover group."""
        return self.answer(name)


class Resources(Listing):
    kind, fields = "resources", ("name", "type", "status", "current", "group")

    @documented(shapes.ResourcesReply, SELECT, operation_id="resources")
    def get(self, request: Request) -> Response:
        """All group resources."""
        return self.answer(None)


class Resource(Resources):
    @documented(shapes.ResourcesReply, SELECT, operation_id="resource")
    def get(self, request: Request, name: str) -> Response:
        """One group resource."""
        return self.answer(name)


class Monitors(Listing):
    kind, fields = "monitors", ("name", "type", "status", "servers")

    @documented(shapes.MonitorsReply, SELECT, operation_id="monitors")
    def get(self, request: Request) -> Response:
        """All monitor resources, with their status on each server."""
        return self.answer(None)

    def item(self, thing: dict[str, Any], select: str) -> dict[str, Any]:
        if select == "name":
            return super().item(thing, select)
        places = [{"name": name, "status": there["status"]} for name, there in thing["servers"].items()]
        return {"name": thing["name"], "type": thing["type"], "status": thing["status"], "servers": places}


class Monitor(Monitors):
    @documented(shapes.MonitorsReply, SELECT, operation_id="monitor")
    def get(self, request: Request, name: str) -> Response:
        """One monitor resource."""
        return self.answer(name)


class Partition(ClusterBase):
    """Who may act at a network partition."""

    @documented(shapes.PartitionReply, operation_id="partition")
    def get(self, request: Request) -> Response:
        """Who may act now, by which votes; how each resolver is reached; who is in quarantine. Not in the original."""
        status = self.status()
        found = status["cluster"]["partition"]
        quarantine = [{"name": s["name"], **s["quarantine"]} for s in status["servers"].values() if s["quarantine"]]
        shown = {key: found[key] for key in ("case", "why", "acting", "idle", "silent", "voters", "present", "needed")}
        return Response(
            {"partition": shown, "resolvers": selectors.resolvers(status), "quarantine": quarantine, "result": OK}
        )


class Fences(Listing):
    kind = "fences"
    fields = ("name", "agent", "level", "targets", "last_proven", "last_result", "detail")

    @documented(shapes.FencesReply, SELECT, operation_id="fences")
    def get(self, request: Request) -> Response:
        """All fence devices, without their options. Not in the original."""
        return self.answer(None)


class Fence(Fences):
    @documented(shapes.FencesReply, SELECT, operation_id="fence")
    def get(self, request: Request, name: str) -> Response:
        """One fence device."""
        return self.answer(name)


class Events(ClusterBase):
    limit_default, limit_most = 200, 1000

    @documented(
        shapes.EventsReply,
        OpenApiParameter("after", OpenApiTypes.STR, description="Cursor of the last reply (`next`); default: begin."),
        OpenApiParameter("limit", OpenApiTypes.INT, description="At most this many, 1 to 1000; default 200."),
        operation_id="events",
    )
    def get(self, request: Request) -> Response:
        """The event log in order of arrival. Not in the original."""
        after = self._number("after", 0, 0, 2**62)
        limit = self._number("limit", self.limit_default, 1, self.limit_most)
        found = selectors.events_after(cluster=self.cluster(), after=after, limit=limit)
        cursor = found[-1][0] if found else after
        return Response({"events": [note for _, note in found], "next": str(cursor), "result": OK})

    def _number(self, name: str, default: int, least: int, most: int) -> int:
        text = self.request.GET.get(name, "") or str(default)
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise ValidationError({name: f"“{text}” is not a whole number from {least} to {most}."})
        return int(text)
