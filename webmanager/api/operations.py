"""Operating: each POST answers when the operation is done, as the original's does, within the limit of 300 s."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any

from asgiref.sync import async_to_sync
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from webmanager import access, services, throttle
from webmanager.api import idempotency
from webmanager.api import serializers as shapes
from webmanager.api.errors import NoAgent, NotDoneYet
from webmanager.api.idempotency import Ask
from webmanager.api.views import CLUSTER, ERRORS, ClusterBase
from webmanager.models import Cluster, KeyedRequest, Operation

_CODES = {"done": 0, "accepted": 1, "refused": 2, "failed": 3, "cancelled": 3}
KEY = OpenApiParameter(
    idempotency.HEADER, OpenApiTypes.STR, OpenApiParameter.HEADER,
    description="Any text of your own: the same request under the same key is carried out only once within a day.",
)  # fmt: skip
_REPLIES = {200: shapes.OperationReply, **ERRORS, 422: shapes.Reply, 503: shapes.Reply}


def operation(body: Any = shapes.Nothing, **more: Any) -> Any:
    return extend_schema(parameters=[CLUSTER, KEY], request=body, responses=_REPLIES, **more)


class OperationBase(ClusterBase):
    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self._cluster = super().cluster()
        access.operator_or_403(request.user, self._cluster)
        self._key = idempotency.key_of(request)
        if self._key and (kept := idempotency.find(request, self._key)):
            # Instead of the method: what it checks may be wrong by now, just because it was done.
            self.post = lambda *_, **__: self._repeat(kept)

    def body(self, shape: Any) -> str:
        """The server that the body names, "" for none; it must exist."""
        if not isinstance(self.request.data, dict):
            raise ValidationError('The body must be a JSON object, such as {"target": "server1"}.')
        checked = shape(data=self.request.data)
        checked.is_valid(raise_exception=True)
        target = checked.validated_data.get("target", "")
        if target and target not in (known := self.status()["servers"]):
            raise ValidationError({"target": f"There is no server “{target}”. Known: {', '.join(known)}."})
        return target

    def carry_out(self, *asked: Ask) -> Response:
        if not self._key:
            return told(async_to_sync(self._all)(self._cluster, asked, [None] * len(asked)))
        kept, new = idempotency.keep(self.request, self._key, self._cluster, asked)
        return self._keyed(kept) if new else self._repeat(kept)

    def _repeat(self, kept: KeyedRequest) -> Response:
        reply = self._keyed(kept)
        reply["Idempotent-Replayed"] = "true"
        return reply

    def _keyed(self, kept: KeyedRequest) -> Response:
        return told(async_to_sync(self._all)(kept.cluster, kept.asks, kept.operation_ids()))

    async def _all(self, cluster: Cluster, asked: Sequence[Ask], keys: Sequence[uuid.UUID | None]) -> list[Operation]:
        user = self.request.user
        by = f"{user.get_username()}@{throttle.client_address(self.request)}"
        work = (
            services.operate(cluster=cluster, op=op, target=target, server=server, user=user, by=by, key=key)
            for (op, target, server), key in zip(asked, keys, strict=True)
        )
        return list(await asyncio.gather(*work))

    def cluster(self) -> Cluster:
        return self._cluster


def told(done: list[Operation]) -> Response:
    """How all of them ended, in the original's words. Raises NoAgent."""
    if done and all(o.reason == "no_agent" for o in done):
        raise NoAgent(done[0].text)
    code = max((_CODES.get(o.state, _CODES["accepted"]) for o in done), default=0)
    several = len(done) > 1
    said = [f"{o.target}: {o.text}" if several else o.text for o in done if o.state != Operation.State.DONE]
    message = " ".join(said) or ("" if code == 0 else done[0].reason)
    return Response({"operations": [str(o.id) for o in done], "result": {"code": code, "message": message}})


class ClusterOperation(OperationBase):
    """Made for each verb by urls.py."""

    verb = ""

    def answer(self) -> Response:
        self.status()
        return self.carry_out((f"cluster_{self.verb}", "", ""))


class ServerOperation(OperationBase):
    verb = ""

    def answer(self, name: str) -> Response:
        access.get_object_or_404(self.status(), "servers", name)
        return self.carry_out((f"server_{self.verb}", name, ""))


def cluster_view(verb: str, what: str) -> Any:
    @operation(operation_id=f"cluster_{verb}", description=what)
    def post(self: ClusterOperation, request: Request) -> Response:
        return self.answer()

    return type(f"Cluster{verb.title()}", (ClusterOperation,), {"verb": verb, "post": post}).as_view()


def server_view(verb: str, what: str) -> Any:
    @operation(operation_id=f"server_{verb}", description=what)
    def post(self: ServerOperation, request: Request, name: str) -> Response:
        return self.answer(name)

    return type(f"Server{verb.title()}", (ServerOperation,), {"verb": verb, "post": post}).as_view()


class GroupStart(OperationBase):
    @operation(shapes.Target, operation_id="group_start")
    def post(self, request: Request, name: str) -> Response:
        """Starts one group, on `target` or where the failover policy says."""
        access.get_object_or_404(self.status(), "groups", name)
        return self.carry_out(("group_start", name, self.body(shapes.Target)))


class GroupStop(OperationBase):
    @operation(shapes.Target, operation_id="group_stop")
    def post(self, request: Request, name: str) -> Response:
        """Stops one group. With `target` only if it runs there."""
        found = access.get_object_or_404(self.status(), "groups", name)
        target = self.body(shapes.Target)
        if target and target not in found["active_on"]:
            where = ", ".join(found["active_on"]) or "no server"
            raise ValidationError({"target": f"{name} does not run on {target} but on {where}."})
        return self.carry_out(("group_stop", name, ""))


class GroupMove(OperationBase):
    @operation(shapes.Target, operation_id="group_move")
    def post(self, request: Request, name: str) -> Response:
        """Moves one group to `target`, or to the next server of its failover policy."""
        access.get_object_or_404(self.status(), "groups", name)
        return self.carry_out(("group_move", name, self.body(shapes.Target)))


class GroupsStart(OperationBase):
    @operation(shapes.Target, operation_id="groups_start")
    def post(self, request: Request) -> Response:
        """Starts every group that runs nowhere; with `target`, on that server those whose policy names it."""
        target, found = self.body(shapes.Target), self.status()["groups"].values()
        names = [g["name"] for g in found if not g["active_on"] and (not target or target in g["policy"])]
        return self.carry_out(*(("group_start", name, target) for name in names))


class GroupsStop(OperationBase):
    @operation(shapes.RequiredTarget, operation_id="groups_stop")
    def post(self, request: Request) -> Response:
        """Stops every group that runs on `target`."""
        target = self.body(shapes.RequiredTarget)
        names = [g["name"] for g in self.status()["groups"].values() if target in g["active_on"]]
        return self.carry_out(*(("group_stop", name, "") for name in names))


class MonitorOperation(OperationBase):
    """Made for each verb by urls.py."""

    op = ""

    def answer(self, name: str) -> Response:
        found = access.get_object_or_404(self.status(), "monitors", name)
        target = self.body(shapes.Target)
        if target and target not in found["servers"]:
            raise ValidationError({"target": f"{name} does not run on {target} but on {', '.join(found['servers'])}."})
        return self.carry_out((self.op, name, target))


def monitor_view(op: str, what: str) -> Any:
    @operation(shapes.Target, operation_id=op, description=what)
    def post(self: MonitorOperation, request: Request, name: str) -> Response:
        return self.answer(name)

    return type("Monitor", (MonitorOperation,), {"op": op, "post": post}).as_view()


class FenceTest(OperationBase):
    @operation(shapes.Target, operation_id="fence_test")
    def post(self, request: Request, name: str) -> Response:
        """Asks a fence device how its targets are, from `target` or from every server. Not in the original."""
        access.get_object_or_404(self.status(), "fences", name)
        return self.carry_out(("fence_test", name, self.body(shapes.Target)))


class FenceArm(OperationBase):
    @operation(operation_id="fence_arm")
    def post(self, request: Request) -> Response:
        """Fencing and watchdogs may act again. Not in the original."""
        self.status()
        return self.carry_out(("fence_arm", "", ""))


class FenceDisarm(OperationBase):
    @operation(operation_id="fence_disarm")
    def post(self, request: Request) -> Response:
        """Releases every watchdog; nothing is forced off. Administrators only. Not in the original."""
        access.administrator_or_403(request.user, self.cluster())
        self.status()
        return self.carry_out(("fence_disarm", "", ""))


class ConfirmOff(OperationBase):
    @operation(operation_id="server_confirm_off")
    def post(self, request: Request, name: str) -> Response:
        """Your word that a lost server is off. Administrators only. Not in the original."""
        access.administrator_or_403(request.user, self.cluster())
        access.get_object_or_404(self.status(), "servers", name)
        return self.carry_out(("fence_confirm", name, ""))


class LaterRead(ClusterBase):
    """Part of the original's interface that this release cannot do yet."""

    kind = ""
    what = ""

    def answer(self, name: str | None) -> Response:
        status = self.status()
        if name is not None:
            access.get_object_or_404(status, self.kind, name)
        raise NotDoneYet(f"{self.what} is not possible in this release of openclp.")


class Later(LaterRead, OperationBase):
    pass


def later_view(key: str, kind: str, what: str, method: str = "post") -> Any:
    replies = {501: shapes.Reply, **ERRORS}
    schema = extend_schema(
        parameters=[CLUSTER], request=shapes.Target if method == "post" else None, responses=replies, operation_id=key,
        description=f"{what}: answers 501 in this release.",
    )  # fmt: skip

    def about_one(self: LaterRead, request: Request, name: str) -> Response:
        return self.answer(name)

    def about_all(self: LaterRead, request: Request) -> Response:
        return self.answer(None)

    base = Later if method == "post" else LaterRead
    handler = schema(about_one if kind else about_all)
    return type("Later", (base,), {"kind": kind, "what": what, method: handler}).as_view()
