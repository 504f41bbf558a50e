"""What can be said of a draft before it is applied: findings, differences, what an apply would do, what was done."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Any

from asgiref.sync import async_to_sync
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from agent.catalog import specs
from agent.clpconf.archive import ArchiveError
from agent.clpconf.diff import Difference, diff, diff_scripts
from agent.clpconf.document import Document, DocumentError
from agent.clpconf.plan import plan
from builder import contents, documents, inventory, selectors, words
from builder.models import Draft
from builder.views import common
from builder.views.drafts import read_upload
from webmanager import access, throttle

_SHOWN = 500
_SEVERITIES = ("error", "warning", "note")


@never_cache
@require_GET
def findings(request: HttpRequest, key: int) -> HttpResponse:
    """All of a draft; `at` only those of one object, as a part of its page."""
    draft = common.draft_for_reading(request, key)
    found = documents.findings(draft)
    counts = {one: sum(f.severity == one for f in found) for one in _SEVERITIES}
    at = request.GET.get("at", "")
    if at:
        found = [f for f in found if f.path == at or f.path.startswith(f"{at}/")]
    elif (wanted := request.GET.get("severity", "")) in _SEVERITIES:
        found = [f for f in found if f.severity == wanted]
    found.sort(key=lambda finding: _SEVERITIES.index(finding.severity))
    rows = [common.shown(finding, draft) for finding in found[:_SHOWN]]
    context = {"findings": rows, "more": max(0, len(found) - _SHOWN), "counts": counts, "at": at}
    if request.GET.get("live"):
        context |= _live(request, draft)
    if request.htmx:  # type: ignore[attr-defined]
        return common.page(request, "_findings", {**context, "draft": draft})
    return common.draft_page(request, "findings", draft, context)


def _live(request: HttpRequest, draft: Draft) -> dict[str, Any]:
    """Addresses, disks, ports and clocks, as the servers themselves see them. It loads them, so operators may."""
    cluster = draft.cluster or access.chosen_cluster(request)
    access.operator_or_403(request.user, cluster)
    if cluster is None:
        return {"live": True, "live_findings": [], "live_why": ""}
    by = f"{request.user.get_username()}@{throttle.client_address(request)}"
    document = Document.read(contents.unpack(draft.conf))
    found, why = async_to_sync(inventory.live_findings)(cluster=cluster.name, document=document, by=by)
    return {"live": True, "live_findings": [common.shown(f, draft) for f in found[:_SHOWN]], "live_why": why}


@never_cache
@require_http_methods(["GET", "POST"])
def compare(request: HttpRequest) -> HttpResponse:
    """Any two of draft, running, version and a file that is only looked at."""
    cluster = access.chosen_cluster(request)
    request.cluster = cluster  # type: ignore[attr-defined]
    asked = request.POST if request.method == "POST" else request.GET
    before, after = asked.get("before", "")[:40], asked.get("after", "")[:40]
    context: dict[str, Any] = {"sides": selectors.sides(cluster), "before": before, "after": after}
    uploaded = request.FILES.get("file")
    if not before or not (after or uploaded):
        return common.page(request, "diff", context)
    try:
        left = selectors.side_or_404(before, cluster)
        if isinstance(uploaded, UploadedFile):
            right = selectors.Side("", uploaded.name or "clp.conf", read_upload(uploaded))
        else:
            right = selectors.side_or_404(after, cluster)
        context |= {"left": left.label, "right": right.label, **_differences(left, right)}
    except (ArchiveError, DocumentError) as error:
        context["findings"] = [common.shown(finding, None) for finding in error.findings[:50]]
        return common.page(request, "diff", context, 422)
    return common.page(request, "diff", context)


def _differences(left: selectors.Side, right: selectors.Side) -> dict[str, Any]:
    with selectors.both(left, right) as (before, after):
        found = diff(before, after, specs())
    # What runs comes without its scripts: nothing can be said of them.
    scripts = selectors.RUNNING not in (left.key, right.key)
    if scripts:
        found += diff_scripts(left.bundle.scripts, right.bundle.scripts)
    return {"count": len(found), "objects": grouped(found[:_SHOWN]), "more": max(0, len(found) - _SHOWN),
            "without_scripts": not scripts, "compared": True}  # fmt: skip


def grouped(found: list[Difference]) -> list[dict[str, Any]]:
    """Differences by the object that they are about."""
    groups = []
    for (kind, name), rows in groupby(found, key=lambda one: (one.kind, one.name)):
        groups.append({"kind": words.ONE.get(kind, kind), "name": name, "rows": [_row(one) for one in rows]})
    return groups


def _row(one: Difference) -> dict[str, Any]:
    return {
        "change": one.change, "word": words.CHANGES[one.change], "label": words.said(one.label), "path": one.path,
        "before": one.before, "after": one.after, "default": one.default, "whole": one.whole,
        "applies": words.APPLIES[one.applies],
    }  # fmt: skip


@never_cache
@require_GET
def plan_page(request: HttpRequest, key: int) -> HttpResponse:
    """What an apply of this draft would do to the cluster that runs."""
    draft = common.draft_for_reading(request, key)
    runs = selectors.running(draft.cluster or access.chosen_cluster(request))
    context: dict[str, Any] = {"runs": runs is not None}
    if runs is not None:
        try:
            context |= _plan(draft, Document.read(runs.conf))
        except DocumentError as error:
            context |= {"runs": False, "findings": [common.shown(f, None) for f in error.findings[:10]]}
    errors = sum(f.severity == "error" for f in documents.findings(draft))
    return common.draft_page(request, "plan", draft, context | {"count_errors": errors})


def _plan(draft: Draft, before: Document) -> Mapping[str, Any]:
    with documents.held(draft) as after:
        differences = diff(before, after, specs())
        made = plan(differences, before, after, specs())
    return {"level": made.level, "lines": [words.line(one) for one in made.lines()], "count": len(differences),
            "objects": grouped(differences[:_SHOWN]), "more": max(0, len(differences) - _SHOWN),
            "answer": words.answer(made)}  # fmt: skip


@never_cache
@require_GET
def history(request: HttpRequest, key: int) -> HttpResponse:
    draft = common.draft_for_reading(request, key)
    return common.draft_page(request, "history", draft, {"steps": selectors.steps(draft)})
