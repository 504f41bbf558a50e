"""Drafts brought to the running cluster, for programs: begun, followed, stopped, confirmed, taken back."""

from __future__ import annotations

import uuid

from drf_spectacular.utils import OpenApiResponse
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response

from builder import applying, selectors
from builder.api import applying as old
from builder.api import shapes as old_shapes
from builder.api.v2 import shapes
from builder.api.v2.base import IF_MATCH, OK, conflict, documented, revision_of
from builder.api.v2.drafts import cluster_of
from builder.models import Apply
from webmanager import access
from webmanager.api import idempotency
from webmanager.api.operations import KEY
from webmanager.api.serializers import Reply
from webmanager.models import Cluster

_NAMESPACE = uuid.UUID("0f6a1f0b-2f5e-4a39-9d0b-2f0c8a4f6d11")


class ChangeBase(old.ChangeBase):
    def cluster(self) -> Cluster:
        return access.get_cluster_or_404(self.kwargs["cluster"], self.request.user)


class ApplyDraft(old.ChangeBase):
    @documented(
        {202: OpenApiResponse(old_shapes.AppliedReply, "It has begun; ask for it by its id."),
         409: shapes.ConflictReply, 422: Reply, 428: Reply},
        IF_MATCH, KEY, operation_id="v2_draft_apply", request=shapes.DraftApply,
    )  # fmt: skip
    def post(self, request: Request, key: int) -> Response:
        """Brings a draft to the running cluster: checked, stored on all servers, then changed. For administrators."""
        draft = selectors.get_draft_or_404(key)
        if draft.cluster is not None:
            self.writer(draft.cluster)
        sent = self.sent(shapes.DraftApply)
        named = cluster_of(request, draft, sent.pop("cluster", ""))
        user = self.writer(named)
        if named is None:
            raise exceptions.ValidationError(
                {"cluster": "The draft belongs to none yet. Name the one that shall run it."}
            )
        mine = self._key(named)
        if mine is not None and (known := Apply.objects.filter(key=mine).first()) is not None:
            return self._begun(known)
        revision = revision_of(request, sent, draft)
        sent.pop("revision", None)
        if revision != draft.revision:
            return conflict(draft, revision)
        return self._begun(self.begin(draft, named, user, {**sent, "key": mine}))

    def _key(self, cluster: Cluster) -> uuid.UUID | None:
        """Of the row, so that a request that comes again finds it."""
        key = idempotency.key_of(self.request)
        return uuid.uuid5(_NAMESPACE, f"{self.request.user.pk} {cluster.pk} {key}") if key else None

    def _begun(self, row: Apply) -> Response:
        headers = {"Location": f"/api/v2/applies/{row.pk}"}
        return Response(self.followed(row), status=202, headers=headers)


class Applies(ChangeBase):
    @documented(old_shapes.AppliesReply, operation_id="v2_applies")
    def get(self, request: Request, cluster: str) -> Response:
        """What was applied to a cluster, newest first."""
        rows = [old.applied_item(row) for row in selectors.applies(self.cluster())]
        return Response({"applies": rows, "result": OK})


class OneApply(old.ChangeBase):
    @documented(old_shapes.AppliedReply, operation_id="v2_apply")
    def get(self, request: Request, key: int) -> Response:
        """One application, from the delivery to its end."""
        return Response(self.followed(selectors.get_apply_or_404(key)))


class Cancel(old.ChangeBase):
    @documented({200: old_shapes.AppliedReply, 422: Reply}, operation_id="v2_apply_cancel", request=None)
    def post(self, request: Request, key: int) -> Response:
        """Ends the delivery, before anything has changed. What has begun is returned instead. For administrators."""
        row = selectors.get_apply_or_404(key)
        self.writer(row.cluster)
        if row.state != Apply.State.DELIVERING:
            raise old.Refused("It is not being delivered any more. What runs on trial: POST .../change/return.")
        applying.cancel(row)
        return Response(self.followed(row))


class Current(ChangeBase):
    @documented(old_shapes.ChangeReply, operation_id="v2_change")
    def get(self, request: Request, cluster: str) -> Response:
        """The change that is under way, whoever began it, or how the newest one ended."""
        return Response({"change": old.change_item(self.told(self.cluster())), "result": OK})


class Confirm(ChangeBase):
    @documented({200: old_shapes.ChangeReply, 422: Reply}, operation_id="v2_change_confirm", request=None)
    def post(self, request: Request, cluster: str) -> Response:
        """What runs on trial stays. For administrators."""
        self.writer(self.cluster())
        return self.decided("config_confirm")


class Return(ChangeBase):
    @documented({200: old_shapes.ChangeReply, 422: Reply}, operation_id="v2_change_return", request=None)
    def post(self, request: Request, cluster: str) -> Response:
        """Every server returns to the configuration before, now. For operators: it is the way back to what ran."""
        access.operator_or_403(request.user, self.cluster())
        return self.decided("config_return")
