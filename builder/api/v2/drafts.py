"""Drafts for programs: made, listed, read, judged and compared. Administrators change, everybody else reads."""

from __future__ import annotations

import base64
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response

from agent.catalog import specs
from agent.clpconf.archive import write_archive
from agent.clpconf.diff import diff
from agent.clpconf.document import DocumentError
from agent.clpconf.masking import MASK
from agent.clpconf.objects import KINDS
from builder import documents, forms, playing, precheck, secrets, selectors, services, tree
from builder.api import shapes as old
from builder.api import views
from builder.api.v2 import shapes
from builder.api.v2.base import (
    ETAG,
    OK,
    Base,
    difference_item,
    documented,
    etagged,
    refuse,
    step_item,
)
from builder.api.views import draft_item, finding_item
from builder.models import Draft
from builder.models import WhatIf as Row
from webmanager import access, throttle
from webmanager.api.serializers import Reply
from webmanager.models import Cluster

_STR = OpenApiTypes.STR
CLUSTER = OpenApiParameter("cluster", _STR, description="Name of a cluster.")
_LONGEST_PATH, _OBJECTS_MOST = 1000, 5000
_SOURCES = ("cluster", "version", "conf")


def by_of(request: Request) -> str:
    return f"{request.user.get_username()}@{throttle.client_address(request)}"


def cluster_of(request: Request, draft: Draft | None = None, name: str = "") -> Cluster | None:
    """The draft's; of one that belongs to none yet the one that is named."""
    if draft is not None and draft.cluster is not None:
        return draft.cluster
    name = name or request.GET.get("cluster", "")
    return access.get_cluster_or_404(name, request.user) if name else None


class Drafts(Base):
    @documented(old.DraftsReply, CLUSTER, operation_id="v2_drafts")
    def get(self, request: Request) -> Response:
        """The drafts that you may see, the one that was changed last first."""
        of = cluster_of(request)
        found = [one for one in selectors.drafts() if of is None or one.cluster_id == of.pk]
        return Response({"drafts": [draft_item(one) for one in found], "result": OK})

    @documented(
        {201: shapes.NewDraftReply, 422: Reply},
        CLUSTER,
        ETAG,
        operation_id="v2_draft_create",
        request=shapes.DraftSource,
    )
    def post(self, request: Request) -> Response:
        """A new draft: of what a cluster runs, of a version, or of a file. For administrators."""
        sent = self.sent(shapes.DraftSource)
        of = sent.get("cluster") or request.GET.get("cluster", "")
        if sum(source in sent for source in _SOURCES) > 1 or not (of or set(_SOURCES) & set(sent)):
            raise exceptions.ValidationError(f"Send one of {', '.join(_SOURCES)}.")
        try:
            taken = views.new_draft(self, sent, of)
        except DocumentError as error:
            refuse(error)
        body = {"draft": draft_item(taken.draft), "converted": [finding_item(one) for one in taken.converted]}
        return etagged(taken.draft, body, 201, {"Location": f"/api/v2/drafts/{taken.draft.pk}"})


class OneDraft(Base):
    @documented(shapes.OneDraftReply, ETAG, operation_id="v2_draft")
    def get(self, request: Request, key: int) -> Response:
        """One draft: its revision, what was done, and who else is at it."""
        draft = selectors.get_draft_or_404(key)
        undo, redo = selectors.undoable(draft)
        detail = {
            **draft_item(draft), "owner": draft.owner.get_username() if draft.owner else "",
            "undo": undo.words if undo else "", "redo": redo.words if redo else "",
            "present": selectors.present(draft, request.user),
            "steps": [step_item(step) for step in selectors.steps(draft)],
        }  # fmt: skip
        return etagged(draft, {"draft": detail})

    @documented(Reply, operation_id="v2_draft_delete")
    def delete(self, request: Request, key: int) -> Response:
        """Deletes a draft with its history; versions stay. For administrators."""
        services.delete_draft(draft=self.draft_to_write(key)[1])
        return Response({"result": OK})


class Objects(Base):
    @documented(
        shapes.ObjectsReply, OpenApiParameter("kind", _STR, enum=KINDS, description="Only these."),
        OpenApiParameter("search", _STR, description="Only what has these words in its name, type or values."),
        operation_id="v2_draft_objects",
    )  # fmt: skip
    def get(self, request: Request, key: int) -> Response:
        """What the configuration consists of: servers, heartbeats, groups, resources, monitors and so on."""
        draft, kind, words = selectors.get_draft_or_404(key), request.GET.get("kind", ""), request.GET.get("search", "")
        if kind and kind not in KINDS:
            raise exceptions.ValidationError({"kind": f"“{kind[:40]}” is not known; known: {', '.join(KINDS)}."})
        with documents.held(draft) as document:
            if words:
                found, more = tree.search(document.root, words[:255], specs())
                found = [one for one in found if kind in ("", one.kind)]
            else:
                found = [one for each in ((kind,) if kind else KINDS) for one in tree.listed(document.root, each)]
                found, more = found[:_OBJECTS_MOST], len(found) > _OBJECTS_MOST
        rows = [
            {name: getattr(one, name) for name in ("path", "kind", "name", "type", "place", "text")} for one in found
        ]
        return Response({"objects": rows, "more": more, "result": OK})


class Values(Base):
    @documented(
        shapes.ValuesReply,
        OpenApiParameter("path", _STR, required=True, description="/root/resource/fip@fip1, /root/cluster."),
        operation_id="v2_draft_values",
    )
    def get(self, request: Request, key: int) -> Response:
        """All values of one object or section, with their defaults; secrets are not shown."""
        draft, path = selectors.get_draft_or_404(key), request.GET.get("path", "")
        if not path.startswith("/root/") or len(path) > _LONGEST_PATH:
            raise exceptions.ValidationError({"path": "It begins with /root/ and names an object or a section."})
        with documents.held(draft) as document:
            try:
                form = forms.build(document, path, specs())
            except forms.NoSuchObjectError:
                raise exceptions.NotFound(f"There is nothing at {path} in this draft.") from None
            rows = [self._item(path, one, document) for one in form.fields()]
            rows += [
                {"path": at, "label": "", "value": value, "default": "", "unit": "", "secret": False, "required": False,
                 "choices": []} for at, value in form.unknown
            ]  # fmt: skip
        body = {"kind": form.kind, "name": form.name, "type": form.type, "values": rows, "result": OK}
        return Response(body)

    def _item(self, path: str, one: forms.Field, document: Any) -> dict[str, Any]:
        secret = one.param.kind.secret
        there = document.find(f"{path}/{one.path}") if secret else None
        shown = (MASK if there is not None and there.value else "") if secret else one.value
        return {
            "path": f"{path}/{one.path}", "label": one.label, "value": shown, "default": one.default, "unit": one.unit,
            "secret": secret, "required": one.required, "choices": [value for value, _label in one.choices],
        }  # fmt: skip


class Xml(Base):
    @documented(shapes.XmlReply, ETAG, operation_id="v2_draft_xml")
    def get(self, request: Request, key: int) -> Response:
        """The file with a mask in place of each secret."""
        draft = selectors.get_draft_or_404(key)
        with documents.held(draft) as document:
            text = document.root.source.encoded.decode(secrets.masked(document))
        return etagged(draft, {"xml": text})


class File(Base):
    @documented(old.FileReply, ETAG, operation_id="v2_draft_file")
    def get(self, request: Request, key: int) -> Response:
        """The file with its secrets, and with its scripts: for administrators."""
        draft = self.draft_to_write(key)[1]
        return etagged(draft, file_of(draft))


def file_of(kept: Any) -> dict[str, str]:
    """Of a draft or a version."""
    bundle = kept.bundle
    text, archive = (base64.b64encode(data).decode() for data in (bundle.conf, write_archive(bundle)))
    return {"conf": text, "archive": archive}


class Findings(Base):
    @documented(old.ValidationReply, ETAG, operation_id="v2_draft_findings")
    def get(self, request: Request, key: int) -> Response:
        """All that is wrong or doubtful in a draft."""
        draft = selectors.get_draft_or_404(key)
        return etagged(draft, {"findings": [finding_item(one) for one in documents.findings(draft)]})


class FileFindings(views.Validation):
    @documented({200: old.ValidationReply, 422: Reply}, operation_id="v2_findings", request=old.File)
    def post(self, request: Request) -> Response:
        """All that is wrong or doubtful in a file, which is not kept. For operators."""
        return self.judged()


class Differences(Base):
    @documented(
        old.DiffReply, CLUSTER,
        OpenApiParameter("with", _STR, description='"running" (default), "draft:ID" or "version:ID".'),
        operation_id="v2_draft_diff",
    )  # fmt: skip
    def get(self, request: Request, key: int) -> Response:
        """What differs in meaning from what runs, from a version or from another draft; `after` is this draft."""
        draft = selectors.get_draft_or_404(key)
        other = selectors.side_or_404(request.GET.get("with", "") or selectors.RUNNING, cluster_of(request, draft))
        try:
            with selectors.both(other, selectors.side_or_404(f"draft:{key}", draft.cluster)) as (before, after):
                found = diff(before, after, specs())
        except DocumentError as error:
            refuse(error)
        return Response({"differences": [difference_item(one) for one in found], "result": OK})


class Plan(Base):
    @documented(
        shapes.PlanReply, CLUSTER,
        OpenApiParameter("live", OpenApiTypes.BOOL, description="Ask the servers whether they have what it needs."),
        operation_id="v2_draft_plan",
    )  # fmt: skip
    def get(self, request: Request, key: int) -> Response:
        """What an apply would restart and stop, and what stands in its way. Scripts are compared for operators."""
        draft = selectors.get_draft_or_404(key)
        of, live = cluster_of(request, draft), request.GET.get("live", "")
        if live not in ("", "true", "false"):
            raise exceptions.ValidationError({"live": "true or false."})
        may = access.may_operate(request.user, of)  # It loads the servers.
        known = precheck.precheck(draft=draft, cluster=of, by=by_of(request), scripts=may, live=may and live == "true")
        return Response({**plan_item(known), "result": OK})


def plan_item(known: precheck.Precheck) -> dict[str, Any]:
    plain = ("hindrances", "level", "answer", "lines", "count", "warnings", "scripts_why", "asked", "live_why")
    return {
        "possible": not known.hindrances, **{name: getattr(known, name) for name in plain},
        "errors": [finding_item(one) for one in known.findings],
        "scripts": [difference_item(one) for one in known.scripts],
        "live_findings": [finding_item(one) for one in known.live_findings],
    }  # fmt: skip


class WhatIf(Base):
    @documented(shapes.PlayedReply, operation_id="v2_draft_whatif")
    def get(self, request: Request, key: int) -> Response:
        """What every failure would do, with what runs and with the draft: the newest play, how far it is."""
        return self.told(selectors.get_draft_or_404(key))

    @documented({202: shapes.PlayedReply, 503: Reply}, CLUSTER, operation_id="v2_draft_whatif_start", request=None)
    def post(self, request: Request, key: int) -> Response:
        """A worker plays it; when one plays already, that one goes on. For operators."""
        draft = selectors.get_draft_or_404(key)
        access.operator_or_403(request.user, draft.cluster)
        runs = selectors.running(cluster_of(request, draft))
        if why := playing.begin(draft=draft, runs=runs, by=request.user.get_username()):
            raise Unplayed(why)
        return self.told(draft, 202)

    def told(self, draft: Draft, status: int = 200) -> Response:
        newest = playing.newest(draft)
        return Response({"whatif": _played(newest) if newest is not None else None, "result": OK}, status=status)


class Unplayed(exceptions.APIException):
    status_code = 503
    default_code = "unplayed"


class WhatIfStop(WhatIf):
    http_method_names = ["post", "options"]

    @documented(shapes.PlayedReply, operation_id="v2_draft_whatif_stop", request=None)
    def post(self, request: Request, key: int) -> Response:
        """Ends it; what was played until then counts. For operators."""
        draft = selectors.get_draft_or_404(key)
        access.operator_or_403(request.user, draft.cluster)
        playing.stop(draft)
        return self.told(draft)


def _played(row: Row) -> dict[str, Any]:
    plain = ("revision", "by", "state", "done", "total", "error", "result")
    return {"id": row.pk, "at": row.at.timestamp(), **{name: getattr(row, name) for name in plain}}
