"""Operations: who asked for what, how it went; and asking, without waiting for the end unless that is wanted."""

from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response

from webmanager import access, selectors, services, throttle, words
from webmanager.api import idempotency
from webmanager.api.operations import KEY
from webmanager.api.serializers import Reply
from webmanager.api.v2 import shapes
from webmanager.api.v2.base import OK, TEXT, Base, ClusterBase, documented, number_parameter
from webmanager.models import Cluster, Operation

_LIMIT, _LIMIT_MOST = 50, 200
_WAIT = number_parameter("wait", 0, int(services.DEADLINE_S), 0, "Answer when it has ended, at the latest after so "
                         "many seconds.")  # fmt: skip


class Operations(ClusterBase):
    @documented(
        shapes.OperationsReply,
        OpenApiParameter("before", TEXT, description="Cursor (`next`) of the last reply."),
        number_parameter("limit", 1, _LIMIT_MOST, _LIMIT, "At most this many."),
        operation_id="v2_operations",
    )
    def get(self, request: Request, cluster: str) -> Response:
        """What was asked of this cluster, newest first."""
        limit = self.number("limit", _LIMIT, 1, _LIMIT_MOST)
        found = selectors.operations_before(cluster=self.cluster(), before=request.GET.get("before", ""), limit=limit)
        if found is None:
            raise exceptions.ValidationError(
                {"before": "This is no cursor of such a list. Leave it out to begin anew."}
            )
        following = str(found[-1].id) if len(found) == limit else ""
        return Response({"operations": [item(one) for one in found], "next": following, "result": OK})

    @documented(
        {200: OpenApiResponse(shapes.OneOperationReply, "It has ended."),
         202: OpenApiResponse(shapes.OneOperationReply, "It goes on; ask for it by its id."), 422: Reply},
        KEY, _WAIT, operation_id="v2_operate", request=shapes.NewOperation,
    )  # fmt: skip
    def post(self, request: Request, cluster: str) -> Response:
        """Asks the cluster for something. For operators; what could destroy data for administrators."""
        of = self.cluster()
        access.operator_or_403(request.user, of)
        wait_s = self.number("wait", 0, 0, int(services.DEADLINE_S))
        key = idempotency.key_of(request)
        kept = idempotency.find(request, key) if key else None
        sent = self.sent(shapes.NewOperation)
        asked = kept.asks[0] if kept else self._asked(of, sent)
        if key and kept is None:
            kept, _ = idempotency.keep(request, key, of, [asked])
        by = f"{request.user.get_username()}@{throttle.client_address(request)}"
        more = {"user": request.user, "by": by, "why": sent["why"], "key": kept.operation_id(0) if kept else None}
        return answer(async_to_sync(_begin)(of, asked, wait_s, more))

    def _asked(self, cluster: Cluster, sent: dict[str, Any]) -> idempotency.Ask:
        """Each name exists."""
        status = access.get_status_or_404(cluster)
        op, target, server = sent["op"], sent["target"], sent["server"]
        if op in words.ADMINISTRATORS:
            access.administrator_or_403(self.request.user, cluster)
        kind = words.KINDS.get(op)
        if kind:
            access.get_object_or_404(status, kind, target)
        elif target:
            raise exceptions.ValidationError({"target": f"{op} is about the whole cluster; leave it out."})
        if server and op not in words.WITH_SERVER:
            raise exceptions.ValidationError({"server": f"{op} names no server beside its target; leave it out."})
        if op in words.NEEDS_SERVER and not server:
            raise exceptions.ValidationError({"server": f"{op} has to name the server that is meant."})
        if server:
            access.get_object_or_404(status, "servers", server)
        if op == "group_stop" and server and server not in (active := status["groups"][target]["active_on"]):
            where = ", ".join(active) or "no server"
            raise exceptions.ValidationError({"server": f"{target} does not run on {server} but on {where}."})
        return op, target, server


class OneOperation(Base):
    @documented(shapes.OneOperationReply, _WAIT, operation_id="v2_operation")
    def get(self, request: Request, key: Any) -> Response:
        """One operation, with its progress and its outcome."""
        wait_s = self.number("wait", 0, 0, int(services.DEADLINE_S))
        found = access.get_operation_or_404(key)
        if wait_s:
            found = async_to_sync(services.outcome)(found, wait_s)
        return Response({"operation": item(found), "result": OK})


class CancelOperation(Base):
    @documented(shapes.CancelReply, operation_id="v2_operation_cancel", request=None)
    def post(self, request: Request, key: Any) -> Response:
        """Takes back what still waits or was not sent yet. What has begun goes on, and `text` says so."""
        found = access.get_operation_or_404(key)
        access.operator_or_403(request.user, found.cluster)
        cancelled, text = False, "It has ended already; nothing is left to cancel."
        if not found.ended:
            by = f"{request.user.get_username()}@{throttle.client_address(request)}"
            cancelled, text = async_to_sync(services.cancel)(operation=found, by=by)
            found.refresh_from_db()
        return Response({"operation": item(found), "cancelled": cancelled, "text": text, "result": OK})


async def _begin(cluster: Cluster, asked: idempotency.Ask, wait_s: int, more: dict[str, Any]) -> Operation:
    op, target, server = asked
    begun = await services.begin(cluster=cluster, op=op, target=target, server=server, **more)
    return await services.outcome(begun, wait_s) if wait_s else begun


def answer(operation: Operation) -> Response:
    shown = {"operation": item(operation), "result": OK}
    if operation.ended:
        return Response(shown)
    return Response(shown, status=202, headers={"Location": f"/api/v2/operations/{operation.id}"})


def item(operation: Operation) -> dict[str, Any]:
    ended = operation.ended_at.timestamp() if operation.ended_at else None
    return {**operation.as_dict(), "ended": ended}
