"""Backup and restore of mirror disks below /api/v1, as the original's clients ask: begun at once, followed by a status.

What the original lacks: `target`, the server whose disks are meant, since ours is asked at the manager and not on that
server. Of a backup it may be left out where only one server has no active mirror disk.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from asgiref.sync import async_to_sync
from drf_spectacular.utils import extend_schema
from rest_framework import serializers as s
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from webmanager import access, services, throttle
from webmanager.api import idempotency
from webmanager.api.operations import KEY, OperationBase
from webmanager.api.serializers import Reply
from webmanager.api.views import CLUSTER, ERRORS, OK, ClusterBase, documented
from webmanager.mirrors import operations
from webmanager.models import KeyedRequest, Operation
from webmanager.parts import Further

TIMEOUT_S, LONGEST_S = 900, 86400
_SHUTDOWNS, _REBOOTS = ("no-shutdown", "only-shutdown"), ("no-reboot", "only-reboot")
_FLAGS = {
    "no-shutdown": "Before it: the service of the server is stopped, the server stays on.",
    "only-shutdown": "Before it: the server is shut down, and nothing else is done.",
    "no-reboot": "After it: the service is started again, without a reboot.",
    "only-reboot": "After it: the server is rebooted, and nothing else is done.",
    "online": "The service of the server goes on running.",
}
_FIELDS = {
    **{name: s.BooleanField(default=False, help_text=text) for name, text in _FLAGS.items()},
    "timeout": s.IntegerField(default=TIMEOUT_S, min_value=1, max_value=LONGEST_S, help_text="Seconds."),
    "target": s.CharField(default="", allow_blank=True, max_length=255, help_text="The server whose disks are meant."),
}


class BackupFlags(s.Serializer):
    """Every field may be left out. Without a flag the server is shut down before, and rebooted after."""

    def get_fields(self) -> dict[str, s.Field]:
        return {**super().get_fields(), **deepcopy(_FIELDS)}


class RestoreFlags(BackupFlags):
    def get_fields(self) -> dict[str, s.Field]:
        text = "After it: both servers were restored from the same image, nothing is copied."
        return {**super().get_fields(), "skip-copy": s.BooleanField(default=False, help_text=text)}


class AskedReply(Reply):
    operations = s.ListField(child=s.CharField(), help_text="Id of what was begun, as the console shows it.")


class StatusItem(s.Serializer):
    status = s.CharField(allow_blank=True, help_text='"running", else how the newest one ended; "" there was none.')


class BackupReply(Reply):
    detail = StatusItem()


class Action(OperationBase):
    """Made for each path by `action`."""

    op = ""

    def answer(self) -> Response:
        if self.op in operations.LOSING:
            access.administrator_or_403(self.request.user, self.cluster())
        flags, server = self._flags()
        status = self.status()
        server = server or _prepared(status, self.op) or _standing_by(status)
        names = [name for name, one in status["mirrors"].items() if server in one["servers"]]
        if not names:
            raise ValidationError({"target": f"“{server}” has no mirror disk."})
        return self._start(operations.SEPARATOR.join(names), server, flags)

    def _flags(self) -> tuple[dict[str, Any], str]:
        if not isinstance(self.request.data, dict):
            raise ValidationError('The body must be a JSON object, such as {"online": true}.')
        checked = (RestoreFlags if self.op in operations.RESTORES else BackupFlags)(data=self.request.data)
        checked.is_valid(raise_exception=True)
        flags = dict(checked.validated_data)
        begins = self.op.endswith("_begin")
        said = [name for name in _FLAGS if flags[name]]
        wrong = [name for name in said if name in (_REBOOTS if begins else _SHUTDOWNS)]
        if wrong or (begins and flags.get("skip-copy")):
            raise ValidationError({(wrong or ["skip-copy"])[0]: "It does not belong to this action."})
        if len(said) > 1:
            raise ValidationError({said[1]: f"It contradicts “{said[0]}”."})
        return flags, str(flags["target"])

    def _start(self, target: str, server: str, flags: dict[str, Any]) -> Response:
        cluster, user = self.cluster(), self.request.user
        by = f"{user.get_username()}@{throttle.client_address(self.request)}"
        key = None
        if self._key:
            kept, _ = idempotency.keep(self.request, self._key, cluster, [(self.op, target, server)])
            key = kept.operation_id(0)
        operation = async_to_sync(services.begin)(
            cluster=cluster, op=self.op, target=target, server=server, user=user, by=by, key=key,
            deadline_s=float(flags["timeout"]), further=self._further(server, flags),
        )  # fmt: skip
        return Response({"operations": [str(operation.id)], "result": OK})

    def _keyed(self, kept: KeyedRequest) -> Response:
        """Begun already; the status says how it goes."""
        return Response({"operations": [str(key) for key in kept.operation_ids()], "result": OK})

    def _further(self, server: str, flags: dict[str, Any]) -> Further:
        runs = self.status()["servers"].get(server, {}).get("status") not in ("Offline", "Unknown")
        if self.op.endswith("_begin"):
            follows = "" if flags["online"] else "server_shutdown"
            follows = ("server_stop" if runs else "") if flags["no-shutdown"] else follows
        else:
            follows = "" if flags["online"] else "server_reboot"
            follows = ("" if runs else "server_start") if flags["no-reboot"] else follows
        only = flags["only-shutdown"] or flags["only-reboot"]
        return Further(follows=follows, only=only, mount=bool(flags["online"]), same=bool(flags.get("skip-copy")))


def _prepared(status: dict[str, Any], op: str) -> str:
    """The one server whose disks were prepared, at the end of it."""
    field = {"mirror_backup_end": "separated_at", "mirror_restore_end": "restoring_at"}.get(op)
    sides = [side for mirror in status["mirrors"].values() for side in mirror["servers"].items()] if field else []
    found = {server for server, one in sides if one is not None and one.get(field)}
    return found.pop() if len(found) == 1 else ""


def _standing_by(status: dict[str, Any]) -> str:
    """The one server without an active mirror disk."""
    sides = [side for mirror in status["mirrors"].values() for side in mirror["servers"].items()]
    if not sides:
        raise ValidationError("This cluster has no mirror disk.")
    active = {server for server, one in sides if one is not None and one["active"]}
    found = {server for server, _ in sides} - active
    if len(found) != 1:
        known = ", ".join(sorted({server for server, _ in sides}))
        raise ValidationError({"target": f"Say which server is meant: {known}."})
    return found.pop()


def action(op: str, what: str) -> Any:
    shape = RestoreFlags if op in operations.RESTORES else BackupFlags

    @extend_schema(
        parameters=[CLUSTER, KEY], request=shape, operation_id=op, description=what,
        responses={200: AskedReply, **ERRORS, 422: Reply, 503: Reply},
    )  # fmt: skip
    def post(self: Action, request: Request) -> Response:
        return self.answer()

    return type("Action", (Action,), {"op": op, "post": post}).as_view()


def status(ops: tuple[str, ...], key: str, what: str) -> Any:
    @documented(BackupReply, operation_id=key, description=what)
    def get(self: ClusterBase, request: Request) -> Response:
        self.status()
        newest = Operation.objects.filter(cluster=self.cluster(), op__in=ops).order_by("-at").first()
        return Response({"detail": {"status": _word(newest)}, "result": OK})

    return type("Status", (ClusterBase,), {"get": get}).as_view()


def _word(newest: Operation | None) -> str:
    if newest is None:
        return ""
    return (newest.text or newest.state) if newest.ended else "running"
