"""Collected logs over REST: begin, follow, fetch, cancel and delete. For operators: logs tell much of a machine."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from webmanager import access, throttle
from webmanager.api.serializers import Reply
from webmanager.api.v2 import log_shapes as shapes
from webmanager.api.v2.base import ERRORS, OK, Busy, ClusterBase, documented
from webmanager.logs import selectors, services, views
from webmanager.logs.models import Collection

_RETRY_S = 30


class Logs(ClusterBase):
    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        access.operator_or_403(request.user, self.cluster())

    def by(self) -> str:
        return f"{self.request.user.get_username()}@{throttle.client_address(self.request)}"


class Collections(Logs):
    @documented(shapes.CollectionsReply, operation_id="v2_logs")
    def get(self, request: Request, cluster: str) -> Response:
        """Collections of logs of this cluster, newest first, with their progress."""
        found = selectors.collections(cluster=self.cluster())
        return Response({"logs": [one.as_dict() for one in found], "result": OK})

    @documented(
        {202: OpenApiResponse(shapes.CollectionReply, "It goes on; ask for it by its id."), 503: Reply},
        operation_id="v2_logs_collect", request=shapes.NewCollection,
    )  # fmt: skip
    def post(self, request: Request, cluster: str) -> Response:
        """Begins to collect logs, configuration without secrets and events of the servers into one archive."""
        of, sent, status = self.cluster(), self.sent(shapes.NewCollection), self.status()
        for name in sent["servers"]:
            access.get_object_or_404(status, "servers", name)
        servers = list(dict.fromkeys(sent["servers"]))
        try:
            row = services.start(
                cluster=of, status=status, servers=servers, kind=sent["type"], user=request.user, by=self.by(),
                limit_mib=sent["limit_mib"],
            )  # fmt: skip
        except services.NotNowError as error:
            raise Busy(str(error), _RETRY_S) from None
        place = f"/api/v2/clusters/{of.name}/logs/{row.pk}"
        return Response({"log": row.as_dict(), "result": OK}, status=202, headers={"Location": place})


class About(Logs):
    """One collection."""

    def row(self) -> Collection:
        return selectors.get_or_404(self.kwargs["key"], self.cluster())

    def own_row(self) -> Collection:
        """What somebody else collects is ended by administrators only."""
        row = self.row()
        if row.user_id != self.request.user.pk:
            access.administrator_or_403(self.request.user, row.cluster)
        return row


class OneCollection(About):
    @documented(shapes.CollectionReply, operation_id="v2_log")
    def get(self, request: Request, cluster: str, key: Any) -> Response:
        """One collection, with the progress of each server."""
        return Response({"log": self.row().as_dict(), "result": OK})

    @documented(Reply, operation_id="v2_log_delete")
    def delete(self, request: Request, cluster: str, key: Any) -> Response:
        """Removes it with its archive; one that runs is cancelled. Another person's: administrators only."""
        services.delete(row=self.own_row(), by=self.by())
        return Response({"result": OK})


class Cancel(About):
    @documented(shapes.CollectionReply, operation_id="v2_log_cancel", request=None)
    def post(self, request: Request, cluster: str, key: Any) -> Response:
        """Ends a collection that runs; nothing of it is kept. One that has ended stays as it is."""
        row = self.own_row()
        if not row.ended:
            services.cancel(row=row, by=self.by())
            row.refresh_from_db()
        return Response({"log": row.as_dict(), "result": OK})


class File(About):
    @extend_schema(operation_id="v2_log_file", responses={(200, "application/gzip"): OpenApiTypes.BINARY, **ERRORS})
    def get(self, request: Request, cluster: str, key: Any) -> HttpResponseBase:
        """The archive: a directory for each server, timeline.txt and timeline.jsonl by one clock, cause.txt."""
        return views.download(self.row(), self.by())
