"""Drafts, validation, differences and versions for programs. Administrators change, everybody else reads."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec
from asgiref.sync import async_to_sync
from django.utils.translation import gettext_noop
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from agent.catalog import specs
from agent.clpconf.archive import MAX_ARCHIVE_BYTES, ArchiveError, Bundle, read_archive, write_archive
from agent.clpconf.diff import diff
from agent.clpconf.document import Document, DocumentError
from agent.clpconf.edit import Edit, EditError
from agent.clpconf.findings import Finding
from agent.clpconf.validate import validate
from builder import delivery, documents, selectors, services
from builder.api import shapes
from builder.models import Draft, Version
from webmanager import access, throttle
from webmanager.api import serializers, views
from webmanager.api.views import OK
from webmanager.models import Cluster

_BEFORE = OpenApiParameter("before", OpenApiTypes.STR, description='"running", "draft:ID" or "version:ID".')
_ENCODED_MOST = 4 * (MAX_ARCHIVE_BYTES // 3 + 1)  # in base64
_AFTER = OpenApiParameter("after", OpenApiTypes.STR, description="The same.")


class Stale(exceptions.APIException):
    status_code = 409
    default_code = "stale"


class Refused(exceptions.APIException):
    status_code = 422
    default_code = "refused"


def documented(reply: Any, *parameters: OpenApiParameter, **more: Any) -> Any:
    """What changes something may be refused besides, or be too late."""
    replies = {200: reply}
    if "request" in more:
        replies |= {409: serializers.Reply, 422: serializers.Reply}
    return views.documented(replies, *parameters, **more)


class Base(APIView):
    def writer(self, cluster: Cluster | None) -> Any:
        access.administrator_or_403(self.request.user, cluster)
        return self.request.user

    def draft_to_write(self, key: int) -> tuple[Any, Draft]:
        draft = selectors.get_draft_or_404(key)
        return self.writer(draft.cluster), draft

    def sent(self, shape: Any) -> dict[str, Any]:
        checked = shape(data=self.request.data)
        checked.is_valid(raise_exception=True)
        return dict(checked.validated_data)


def draft_item(draft: Draft) -> dict[str, Any]:
    return {
        "id": draft.pk, "name": draft.name, "cluster": draft.cluster.name if draft.cluster else "",
        "revision": draft.revision, "changed": draft.changed_at.timestamp(), "changed_by": draft.changed_by,
    }  # fmt: skip


def finding_item(finding: Finding) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.structs.asdict(finding)
    found.pop("said")
    return found


def version_item(version: Version) -> dict[str, Any]:
    return {
        "id": version.pk, "name": version.name, "cluster": version.cluster.name if version.cluster else "",
        "hash": version.hash, "by": version.by, "at": version.at.timestamp(), "why": version.why,
        "origin": version.origin,
    }  # fmt: skip


def bundle_of(text: str) -> Bundle:
    """Raises Refused with all that is wrong."""
    if len(text) > _ENCODED_MOST:
        raise exceptions.ValidationError({"conf": f"An archive may have {MAX_ARCHIVE_BYTES} bytes."})
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise exceptions.ValidationError({"conf": "This is not base64."}) from None
    try:
        bundle = read_archive(data) if data.startswith((b"PK\x03\x04", b"\x1f\x8b")) else Bundle(data, {})
        Document.read(bundle.conf)
    except (ArchiveError, DocumentError) as error:
        raise Refused(" ".join(str(finding) for finding in error.findings[:20])) from error
    return bundle


def running(request: Request, cluster: Cluster, *, with_scripts: bool) -> Bundle:
    known = selectors.running(cluster)
    if known is None:
        raise exceptions.NotFound("No server has sent its configuration yet.")
    if not with_scripts:
        return known
    by = f"{request.user.get_username()}@{throttle.client_address(request)}"
    fetched, why = async_to_sync(delivery.running_bundle)(cluster=cluster.name, by=by)
    if fetched is None:
        raise Refused(f"{why} Its scripts could not be fetched; to take clp.conf alone, send “scripts”: false.")
    return fetched


class Drafts(Base):
    @documented(shapes.DraftsReply, operation_id="configuration_drafts")
    def get(self, request: Request) -> Response:
        """All drafts."""
        return Response({"drafts": [draft_item(one) for one in selectors.drafts()], "result": OK})

    @documented(shapes.DraftReply, operation_id="configuration_draft_create", request=shapes.NewDraft)
    def post(self, request: Request) -> Response:
        """A new draft: of what runs, of a version, or of a file."""
        draft = new_draft(self, self.sent(shapes.NewDraft), request.GET.get("cluster", "")).draft
        return Response({"draft": draft_item(draft), "result": OK})


def new_draft(view: Base, sent: dict[str, Any], name: str) -> services.Taken:
    """`name`: of the cluster whose running configuration it is, unless `sent` says something else."""
    if "version" in sent:
        version = selectors.get_version_or_404(sent["version"])
        user = view.writer(version.cluster)
        return services.Taken(services.restore(version=version, user=user, name=sent.get("name", "")))
    if "conf" in sent:
        cluster, user, origin = None, view.writer(None), Version.Origin.UPLOAD
        bundle, usual = bundle_of(sent["conf"]), "clp.conf"
    else:
        cluster, origin = access.get_cluster_or_404(name, view.request.user), Version.Origin.AGENT
        user, usual = view.writer(cluster), cluster.name
        bundle = running(view.request, cluster, with_scripts=sent["scripts"])
    return services.take(
        bundle=bundle, name=sent.get("name") or usual, user=user, cluster=cluster, origin=origin,
        why=sent.get("name", "") if cluster is None else "",
    )  # fmt: skip


class OneDraft(Base):
    @documented(shapes.DraftReply, operation_id="configuration_draft")
    def get(self, request: Request, key: int) -> Response:
        """One draft."""
        return Response({"draft": draft_item(selectors.get_draft_or_404(key)), "result": OK})

    @documented(serializers.Reply, operation_id="configuration_draft_delete")
    def delete(self, request: Request, key: int) -> Response:
        """Deletes a draft with its history; versions stay."""
        services.delete_draft(draft=self.draft_to_write(key)[1])
        return Response({"result": OK})


class DraftChanges(Base):
    @documented(shapes.DraftReply, operation_id="configuration_draft_change", request=shapes.Changes)
    def post(self, request: Request, key: int) -> Response:
        """Changes a draft: all or nothing, stored when this answers. 409 when the revision is not the newest."""
        user, draft = self.draft_to_write(key)
        sent = self.sent(shapes.Changes)
        what = ", ".join(dict.fromkeys(one.get("path") or one.get("name") or one["op"] for one in sent["changes"]))

        def act(work: services.Work) -> None:
            for one in sent["changes"]:
                carry_out(work.edit, one)

        try:
            services.change(draft=draft, revision=sent["revision"], user=user, text=gettext_noop("By REST: %(what)s"),
                            values={"what": what}, act=act)  # fmt: skip
        except services.StaleError as error:
            raise Stale(_stale(error)) from error
        except EditError as error:
            raise Refused(str(error.finding)) from error
        except DocumentError as error:
            raise Refused(str(error)) from error
        return Response({"draft": draft_item(draft), "result": OK})


def _stale(error: services.StaleError) -> str:
    by, revision = error.draft.changed_by, error.draft.revision
    return f"The draft is at revision {revision} now, by {by}. Read it again and decide."


def carry_out(edit: Edit, one: dict[str, Any]) -> None:
    """One change. What an operation needs and was not sent is refused by name."""

    def need(*fields: str) -> list[Any]:
        missing = [field for field in fields if field not in one]
        if missing:
            raise exceptions.ValidationError({one["op"]: f"It needs {', '.join(missing)}."})
        return [one[field] for field in fields]

    op = one["op"]
    if op in ("set", "add_device"):
        if op == "set":
            edit.set(*need("path", "value"))
        else:
            edit.add_device(*need("server", "type", "device", "value"))
    elif op in ("unset", "remove"):
        getattr(edit, op)(*need("path"))
    elif op == "rename":
        edit.rename(*need("path", "name"))
    elif op in ("add_server", "add_group"):
        getattr(edit, op)(*need("name"))
    elif op == "add_resource":
        edit.add_resource(*need("group", "type", "name"))
    elif op == "add_monitor":
        edit.add_monitor(*need("type", "name"))
    elif op == "add_fence":
        edit.add_fence(*need("name", "type"))
    elif op == "add_heartbeat":
        edit.add_heartbeat(*need("type", "device"), one.get("name", ""))
    elif op == "add_partition":
        edit.add_partition(*need("type"), one.get("device"), one.get("name", ""))
    elif op == "move":
        edit.move_resource(*need("name", "group"))
    elif op == "policy":
        edit.set_policy(*need("name", "names"))
    else:
        kind, names = need("type", "names")
        if kind not in ("server", "heartbeat", "partition"):
            raise exceptions.ValidationError({"type": "Known: server, heartbeat, partition."})
        edit.order(kind, names)


class Undo(Base):
    back = True

    @documented(shapes.DraftReply, operation_id="configuration_draft_undo", request=shapes.AtRevision)
    def post(self, request: Request, key: int) -> Response:
        """Takes the newest change back."""
        return self.answer(key)

    def answer(self, key: int) -> Response:
        user, draft = self.draft_to_write(key)
        sent = self.sent(shapes.AtRevision)
        try:
            (services.undo if self.back else services.redo)(draft=draft, revision=sent["revision"], user=user)
        except services.StaleError as error:
            raise Stale(_stale(error)) from error
        return Response({"draft": draft_item(draft), "result": OK})


class Redo(Undo):
    back = False

    @documented(shapes.DraftReply, operation_id="configuration_draft_redo", request=shapes.AtRevision)
    def post(self, request: Request, key: int) -> Response:
        """Does again what was taken back."""
        return self.answer(key)


class DraftFile(Base):
    @documented(shapes.FileReply, operation_id="configuration_draft_file")
    def get(self, request: Request, key: int) -> Response:
        """The file with its secrets, and with its scripts: for administrators."""
        bundle = self.draft_to_write(key)[1].bundle
        text, archive = (base64.b64encode(data).decode() for data in (bundle.conf, write_archive(bundle)))
        return Response({"conf": text, "archive": archive, "result": OK})


class DraftValidation(Base):
    @documented(shapes.ValidationReply, operation_id="configuration_draft_validation")
    def get(self, request: Request, key: int) -> Response:
        """All findings about a draft."""
        found = documents.findings(selectors.get_draft_or_404(key))
        return Response({"findings": [finding_item(one) for one in found], "result": OK})


class Validation(Base):
    @documented(shapes.ValidationReply, operation_id="configuration_validation", request=shapes.File)
    def post(self, request: Request) -> Response:
        """All findings about a file, which is not kept."""
        return self.judged()

    def judged(self) -> Response:
        access.operator_or_403(self.request.user)
        try:
            data = bundle_of(self.sent(shapes.File)["conf"]).conf
        except Refused as error:
            if isinstance(error.__cause__, DocumentError):
                return Response({"findings": [finding_item(f) for f in error.__cause__.findings], "result": OK})
            raise
        return Response({"findings": [finding_item(one) for one in validate(data, specs())], "result": OK})


class Diff(Base):
    @documented(shapes.DiffReply, _BEFORE, _AFTER, operation_id="configuration_diff")
    def get(self, request: Request) -> Response:
        """What differs in meaning between any two of what runs, drafts and versions."""
        name = request.GET.get("cluster", "")
        cluster = access.get_cluster_or_404(name, request.user) if name else None
        if cluster is None and "running" in (request.GET.get("before"), request.GET.get("after")):
            cluster = access.get_cluster_or_404("", request.user)
        left, right = (selectors.side_or_404(request.GET.get(key, ""), cluster) for key in ("before", "after"))
        with selectors.both(left, right) as (before, after):
            found = diff(before, after, specs())
        rows = [{field: getattr(one, field) for field in shapes.DIFFERENCE_FIELDS} for one in found]
        return Response({"differences": rows, "result": OK})


class Versions(Base):
    @documented(shapes.VersionsReply, operation_id="configuration_versions")
    def get(self, request: Request) -> Response:
        """Kept versions, newest first."""
        return Response({"versions": [version_item(one) for one in selectors.versions()], "result": OK})


class KeepVersion(Base):
    @documented(shapes.VersionsReply, operation_id="configuration_version_keep", request=shapes.Why)
    def post(self, request: Request, key: int) -> Response:
        """Keeps a draft as a version."""
        user, draft = self.draft_to_write(key)
        sent = self.sent(shapes.Why)
        version = services.keep_version(
            bundle=draft.bundle, name=draft.name, cluster=draft.cluster, by=user.get_username(), why=sent["why"],
            origin=Version.Origin.DRAFT,
        )  # fmt: skip
        return Response({"versions": [version_item(version)], "result": OK})
