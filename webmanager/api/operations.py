"""Operating: each POST answers when the operation is done, as the original's does, within the limit of 300 s."""

from __future__ import annotations

import asyncio
from typing import Any

from asgiref.sync import async_to_sync
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from webmanager import access, services, throttle
from webmanager.api import serializers as shapes
from webmanager.api.errors import NoAgent, NotDoneYet
from webmanager.api.views import CLUSTER, ERRORS, ClusterBase
from webmanager.models import Operation

_CODES = {"done": 0, "accepted": 1, "refused": 2, "failed": 3}
Ask = tuple[str, str, str]  # op, target, server
_REPLIES = {200: shapes.OperationReply, **ERRORS, 503: shapes.Reply}


def operation(body: Any = shapes.Nothing, **more: Any) -> Any:
    return extend_schema(parameters=[CLUSTER], request=body, responses=_REPLIES, **more)


class OperationBase(ClusterBase):
    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        access.operator_or_403(request.user)

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
        done = async_to_sync(self._all)(asked)
        if done and all(o.reason == "no_agent" for o in done):
            raise NoAgent(done[0].text)
        code = max((_CODES[o.state] for o in done), default=0)
        several = len(done) > 1
        told = [f"{o.target}: {o.text}" if several else o.text for o in done if _CODES[o.state]]
        message = " ".join(told) or ("" if code == 0 else done[0].reason)
        return Response({"operations": [str(o.id) for o in done], "result": {"code": code, "message": message}})

    async def _all(self, asked: tuple[Ask, ...]) -> list[Operation]:
        user = self.request.user
        by = f"{user.get_username()}@{throttle.client_address(self.request)}"
        cluster = self._cluster
        work = (
            services.operate(cluster=cluster, op=op, target=target, server=server, user=user, by=by)
            for op, target, server in asked
        )
        return list(await asyncio.gather(*work))

    def cluster(self) -> Any:
        self._cluster = super().cluster()
        return self._cluster


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
        access.administrator_or_403(request.user)
        self.status()
        return self.carry_out(("fence_disarm", "", ""))


class ConfirmOff(OperationBase):
    @operation(operation_id="server_confirm_off")
    def post(self, request: Request, name: str) -> Response:
        """Your word that a lost server is off. Administrators only. Not in the original."""
        access.administrator_or_403(request.user)
        access.get_object_or_404(self.status(), "servers", name)
        return self.carry_out(("fence_confirm", name, ""))


class Later(OperationBase):
    """Part of the original's interface that this release cannot do yet."""

    kind = ""
    what = ""

    def answer(self, name: str | None) -> Response:
        if name is not None:
            access.get_object_or_404(self.status(), self.kind, name)
        raise NotDoneYet(f"{self.what} is not possible in this release of openclp.")


def later_view(key: str, kind: str, what: str) -> Any:
    replies = {501: shapes.Reply, **ERRORS}
    schema = extend_schema(
        parameters=[CLUSTER], request=shapes.Target, responses=replies, operation_id=key,
        description=f"{what}: answers 501 in this release.",
    )  # fmt: skip

    def post_one(self: Later, request: Request, name: str) -> Response:
        return self.answer(name)

    def post(self: Later, request: Request) -> Response:
        return self.answer(None)

    method = schema(post_one if kind else post)
    return type("Later", (Later,), {"kind": kind, "what": what, "post": method}).as_view()
