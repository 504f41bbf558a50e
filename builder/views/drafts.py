"""The list of drafts and versions; making, fetching and deleting them."""

from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync
from django.core.exceptions import BadRequest
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from agent.clpconf.archive import MAX_ARCHIVE_BYTES, ArchiveError, Bundle, read_archive, write_archive
from agent.clpconf.document import DocumentError
from agent.clpconf.findings import Finding
from builder import delivery, selectors, services
from builder.models import Draft, Version
from builder.views import common
from webmanager import access, throttle
from webmanager.models import Cluster

_FORMATS = ("conf", "tar.gz", "zip")
_TYPES = {"conf": "application/xml", "tar.gz": "application/gzip", "zip": "application/zip"}


@never_cache
@require_GET
def listing(request: HttpRequest) -> HttpResponse:
    cluster = access.chosen_cluster(request)
    request.cluster = cluster  # type: ignore[attr-defined]
    return common.page(request, "drafts", {**_lists(cluster), "at": _place(request.GET.get("at", ""))})


def _place(path: str) -> str:
    """The object with which the draft that is chosen here opens; "" for its beginning."""
    return path if path.startswith("/root/") and len(path) <= common.LONGEST_PATH else ""


def _lists(cluster: Cluster | None) -> dict[str, Any]:
    return {
        "drafts": selectors.drafts(),
        "applies": selectors.applies(cluster, 20),
        "versions": selectors.versions(),
        "running": cluster is not None and bool(cluster.config_hash),
        "sides": selectors.sides(cluster),
    }


@require_POST
def create(request: HttpRequest) -> HttpResponse:
    """From what runs, or from a file."""
    cluster = access.chosen_cluster(request)
    # A file belongs to no cluster yet.
    access.administrator_or_403(request.user, cluster if request.POST.get("from") == "running" else None)
    if request.POST.get("from") == "running":
        bundle, name = _running(request, cluster), cluster.name if cluster else ""
        origin, why = Version.Origin.AGENT, ""
    else:
        uploaded = request.FILES.get("file")
        if not isinstance(uploaded, UploadedFile):
            return _not_taken(request, [Finding("upload.missing", "error", "", _("No file was chosen."))])
        cluster, name, origin, why = None, uploaded.name or "clp.conf", Version.Origin.UPLOAD, uploaded.name or ""
        try:
            bundle = read_upload(uploaded)
        except (ArchiveError, DocumentError) as error:
            return _not_taken(request, error.findings)
    try:
        draft = _make(request, bundle, name, cluster, origin, why)
        at = _place(request.POST.get("at", ""))
        return redirect(common.to_object(draft, at)) if at else redirect("builder-draft", key=draft.pk)
    except DocumentError as error:
        return _not_taken(request, error.findings)


def _running(request: HttpRequest, cluster: Cluster | None) -> Bundle:
    """With its scripts, from a server; without one that answers, the file alone as an agent has sent it."""
    known = selectors.running(cluster)
    if known is None or cluster is None:
        raise BadRequest(_("No server has sent its configuration yet."))
    by = f"{request.user.get_username()}@{throttle.client_address(request)}"
    fetched, why = async_to_sync(delivery.running_bundle)(cluster=cluster.name, by=by)
    if fetched is None:
        common.told(request, _("The scripts could not be fetched, so this draft has none: %(why)s") % {"why": why})
    return fetched or known


def _make(
    request: HttpRequest, bundle: Bundle, name: str, cluster: Cluster | None, origin: Version.Origin, why: str
) -> Draft:
    taken = services.take(bundle=bundle, name=name, user=request.user, cluster=cluster, origin=origin, why=why)
    if bundle.ignored:
        common.told(request, _("Left out, since they are no part of a configuration: %(names)s") %
                    {"names": ", ".join(bundle.ignored[:20])})  # fmt: skip
    if taken.refused is not None:
        common.told(request, str(taken.refused))
    if count := len(taken.converted):
        common.told(request, ngettext("Converted from an older version: %(count)d change. Undo takes it back.",
                                      "Converted from an older version: %(count)d changes. Undo takes them back.",
                                      count) % {"count": count})  # fmt: skip
    return taken.draft


def read_upload(uploaded: UploadedFile) -> Bundle:
    """clp.conf alone, or an archive with its scripts. Raises ArchiveError."""
    if (uploaded.size or 0) > MAX_ARCHIVE_BYTES:
        text = f"The file has {uploaded.size} bytes."
        raise ArchiveError(Finding("archive.too_large", "error", "", text, f"The limit is {MAX_ARCHIVE_BYTES} bytes."))
    data = uploaded.read(MAX_ARCHIVE_BYTES + 1)
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b")) or data[257:262] == b"ustar":
        return read_archive(data)
    return Bundle(data, {})


def _not_taken(request: HttpRequest, findings: list[Finding]) -> HttpResponse:
    cluster = access.chosen_cluster(request)
    request.cluster = cluster  # type: ignore[attr-defined]
    context = _lists(cluster) | {"findings": [common.shown(finding, None) for finding in findings[:50]]}
    return common.page(request, "drafts", context, 422)


@never_cache
@require_GET
def download(request: HttpRequest, key: int) -> HttpResponse:
    """The real file with its secrets: for those who may administer."""
    draft = common.draft_for_writing(request, key)
    return _file(draft.bundle, request.GET.get("format", "conf"))


@never_cache
@require_GET
def download_version(request: HttpRequest, key: int) -> HttpResponse:
    version = selectors.get_version_or_404(key)
    access.administrator_or_403(request.user, version.cluster)
    return _file(version.bundle, request.GET.get("format", "conf"))


def _file(bundle: Bundle, kind: str) -> HttpResponse:
    if kind not in _FORMATS:
        raise BadRequest(_("Known formats: %(known)s.") % {"known": ", ".join(_FORMATS)})
    data = bundle.conf if kind == "conf" else write_archive(bundle, "zip" if kind == "zip" else "tar.gz")
    name = "clp.conf" if kind == "conf" else f"clp-conf.{kind}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return HttpResponse(data, content_type=_TYPES[kind], headers=headers)


@require_POST
def keep(request: HttpRequest, key: int) -> HttpResponse:
    draft = common.draft_for_writing(request, key)
    why = request.POST.get("why", "").strip()
    services.keep_version(
        bundle=draft.bundle, name=draft.name, cluster=draft.cluster, by=request.user.get_username(), why=why,
        origin=Version.Origin.DRAFT,
    )  # fmt: skip
    common.told(request, _("Kept as a version."))
    return redirect("builder-history", key=draft.pk)


@require_POST
def restore(request: HttpRequest, key: int) -> HttpResponse:
    version = selectors.get_version_or_404(key)
    access.administrator_or_403(request.user, version.cluster)
    draft = services.restore(version=version, user=request.user)
    page = "builder-apply" if request.POST.get("to") == "apply" else "builder-draft"
    return redirect(page, key=draft.pk)


@never_cache
def delete(request: HttpRequest, key: int) -> HttpResponse:
    draft = common.draft_for_writing(request, key)
    if request.method != "POST":
        return common.draft_page(request, "delete", draft, {})
    services.delete_draft(draft=draft)
    common.told(request, _("The draft “%(name)s” is deleted.") % {"name": draft.name})
    return redirect("builder")
