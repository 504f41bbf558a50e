"""The audit: read, filtered, checked, taken away as JSON lines."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from webmanager.accounts import audit
from webmanager.accounts.models import AuditEntry, AuditHead
from webmanager.accounts.views.common import actor, administrator_or_403

PAGE = 100
EXPORT_ROWS = 100_000


@never_cache
@require_GET
def show(request: HttpRequest) -> HttpResponse:
    administrator_or_403(request)
    asked = {key: request.GET.get(key, "").replace("\0", "")[:200] for key in ("who", "action", "q")}
    before = _number(request.GET.get("before", ""))
    found = _filtered(asked)
    rows = list((found.filter(number__lt=before) if before else found)[: PAGE + 1])
    context = {
        "entries": [_shown(row) for row in rows[:PAGE]],
        "older": rows[PAGE - 1].number if len(rows) > PAGE else 0,
        "filter": asked,
        "head": AuditHead.objects.filter(id=1).first(),
        "verdict": audit.verify() if request.GET.get("verify") == "1" else None,
    }
    return render(request, "accounts/audit.html", context)


def _filtered(asked: dict[str, str]) -> Any:
    found = AuditEntry.objects.all()
    if asked["who"]:
        found = found.filter(who=asked["who"])
    if asked["action"]:
        found = found.filter(action__startswith=asked["action"])
    if asked["q"]:
        found = found.filter(target__icontains=asked["q"]) | found.filter(cluster__icontains=asked["q"])
    return found


def _shown(row: AuditEntry) -> dict[str, Any]:
    detail = ", ".join(f"{key}: {_words(value)}" for key, value in row.detail.items())
    return {"row": row, "when": datetime.fromisoformat(row.at), "detail": detail}


def _words(value: Any) -> str:
    return ", ".join(f"{key} {one or '-'}" for key, one in value.items()) if isinstance(value, dict) else str(value)


@never_cache
@require_GET
def export(request: HttpRequest) -> HttpResponse:
    """Oldest first, from row `after` on; the last line's number is the next `after`."""
    administrator_or_403(request)
    after = _number(request.GET.get("after", ""))
    by = actor(request)
    audit.add("audit.export", who=by.who, address=by.address, detail={"after": after})
    body = "".join(audit.lines(after, EXPORT_ROWS))
    response = HttpResponse(body, content_type="application/x-ndjson; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="openclp-audit.jsonl"'
    return response


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0
