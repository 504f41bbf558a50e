"""Applying a draft to the running cluster, for programs: begin, follow, confirm, return."""

from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from builder import applying, change, selectors
from builder.api import shapes
from builder.api.views import Base, Refused, Stale, documented
from builder.models import Apply, Draft
from builder.precheck import precheck
from webmanager import access, throttle
from webmanager import selectors as status_of
from webmanager import services as operations
from webmanager.api.views import OK
from webmanager.models import Cluster


def applied_item(row: Apply) -> dict[str, Any]:
    return {
        "id": row.pk, "name": row.name, "cluster": row.cluster.name, "revision": row.revision, "state": row.state,
        "by": row.by, "at": row.at.timestamp(), "why": row.why, "text": row.text,
    }  # fmt: skip


def change_item(told: dict[str, Any] | None, row: Apply | None = None) -> dict[str, Any]:
    shown = change.shown(told, row)
    fields = (
        "id", "phase", "left_s", "confirm_s", "health", "by", "why", "reason", "groups", "may_confirm", "may_return",
    )  # fmt: skip
    servers = [{key: server[key] for key in ("name", "config", "reason")} for server in shown["servers"]]
    return {field: shown[field] for field in fields} | {"servers": servers}


class ChangeBase(Base):
    def by(self) -> str:
        return f"{self.request.user.get_username()}@{throttle.client_address(self.request)}"

    def begin(self, draft: Draft, cluster: Cluster, user: Any, sent: dict[str, Any]) -> Apply:
        """`sent`: why, confirm_s and so on, of somebody who may. Raises Refused."""
        known = precheck(draft=draft, cluster=cluster, by=self.by(), live=True)
        lacking = [str(f) for f in known.live_findings if f.severity == "error"] + [known.live_why]
        if known.hindrances:
            raise Refused(" ".join([*known.hindrances, *map(str, known.findings[:20])]))
        if known.live_errors and not sent.get("anyway"):
            raise Refused(" ".join([*filter(None, lacking), "To apply it all the same, say why in “anyway”."]))
        row = async_to_sync(applying.begin)(cluster=cluster, draft=draft, user=user, by=self.by(), **sent)
        if row is None:
            raise Refused("Another change of this cluster is under way already.")
        return row

    def decided(self, op: str) -> Response:
        """The change that is under way stays, or is taken back."""
        cluster = self.cluster()
        told = self.told(cluster)
        if told is None or not told["phase"]:
            raise Refused("No change of the configuration is under way.")
        done = async_to_sync(operations.operate)(
            cluster=cluster, op=op, target=told["id"], server="", user=self.request.user, by=self.by()
        )
        if done.state in ("refused", "failed"):
            raise Refused(done.text)
        return Response({"change": change_item(self.told(cluster)), "result": OK})

    def cluster(self) -> Cluster:
        return access.get_cluster_or_404(self.request.GET.get("cluster", ""), self.request.user)

    def status(self, cluster: Cluster) -> dict[str, Any] | None:
        found: dict[str, Any] | None = async_to_sync(status_of.status)(cluster=cluster.name)
        return found

    def followed(self, row: Apply) -> dict[str, Any]:
        """As it is now, which the servers tell."""
        status = self.status(row.cluster)
        applying.settle(row, status, timezone.now())
        row.refresh_from_db()
        told = status["cluster"]["configuration"] if status is not None else None
        return {"applied": applied_item(row), "change": change_item(told, row), "result": OK}

    def told(self, cluster: Cluster) -> dict[str, Any] | None:
        status = self.status(cluster)
        return status["cluster"]["configuration"] if status is not None else None


class ApplyDraft(ChangeBase):
    @documented(shapes.AppliedReply, operation_id="configuration_draft_apply", request=shapes.Apply)
    def post(self, request: Request, key: int) -> Response:
        """Brings a draft to the running cluster: checked, stored everywhere, then changed. It answers at once."""
        draft = selectors.get_draft_or_404(key)
        user, sent = self.writer(draft.cluster or self.cluster()), self.sent(shapes.Apply)
        if draft.revision != sent.pop("revision"):
            raise Stale(f"The draft is at revision {draft.revision} now. Read it again and decide.")
        row = self.begin(draft, draft.cluster or self.cluster(), user, sent)
        return Response({"applied": applied_item(row), "change": change_item(None, row), "result": OK})


class Applies(ChangeBase):
    @documented(shapes.AppliesReply, operation_id="configuration_applies")
    def get(self, request: Request) -> Response:
        """What was applied to a cluster, newest first."""
        return Response({"applies": [applied_item(row) for row in selectors.applies(self.cluster())], "result": OK})


class Applied(ChangeBase):
    @documented(shapes.AppliedReply, operation_id="configuration_applied")
    def get(self, request: Request, key: int) -> Response:
        """One application, from the delivery to its end."""
        return Response(self.followed(selectors.get_apply_or_404(key)))


class Current(ChangeBase):
    @documented(shapes.ChangeReply, operation_id="configuration_change")
    def get(self, request: Request) -> Response:
        """The change that is under way, whoever began it, or how the newest one ended."""
        return Response({"change": change_item(self.told(self.cluster())), "result": OK})


class Confirm(ChangeBase):
    @documented(shapes.ChangeReply, operation_id="configuration_change_confirm", request=None)
    def post(self, request: Request) -> Response:
        """It stays."""
        self.writer(self.cluster())
        return self.decided("config_confirm")


class Return(ChangeBase):
    @documented(shapes.ChangeReply, operation_id="configuration_change_return", request=None)
    def post(self, request: Request) -> Response:
        """Every server returns to the configuration before, now."""
        access.operator_or_403(request.user, self.cluster())
        return self.decided("config_return")
