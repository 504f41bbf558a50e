"""What every page of the Builder begins and ends with: access, the frame of a draft, conflicts, refusals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _

from agent.clpconf.document import DocumentError
from agent.clpconf.edit import EditError
from agent.clpconf.findings import Finding
from builder import forms, selectors, services, words
from builder.models import Draft
from webmanager import access

LONGEST_PATH = 1000


def page(request: HttpRequest, name: str, context: Mapping[str, Any], status: int = 200) -> HttpResponse:
    if not hasattr(request, "cluster"):
        request.cluster = access.chosen_cluster(request)  # type: ignore[attr-defined]
    return render(request, f"builder/{name}.html", {"title": "", **context}, status=status)


def draft_page(
    request: HttpRequest, name: str, draft: Draft, context: Mapping[str, Any], status: int = 200
) -> HttpResponse:
    """With what the frame of a draft shows on all of its pages."""
    request.cluster = draft.cluster or access.chosen_cluster(request)  # type: ignore[attr-defined]
    undo, redo = selectors.undoable(draft)
    services.seen(draft=draft, user=request.user)
    frame = {
        "draft": draft,
        "undo": undo,
        "redo": redo,
        "present": selectors.present(draft, request.user),
        "editable": access.may_administer(request.user, draft.cluster),
    }
    return page(request, name, {**frame, **context}, status)


def draft_for_reading(request: HttpRequest, key: int) -> Draft:
    return selectors.get_draft_or_404(key)


def draft_for_writing(request: HttpRequest, key: int) -> Draft:
    draft = selectors.get_draft_or_404(key)
    access.administrator_or_403(request.user, draft.cluster)
    return draft


def revision_of(request: HttpRequest) -> int:
    text = request.POST.get("revision", "")
    if not text.isdecimal() or len(text) > 9:
        raise BadRequest(_("The form does not say on which revision of the draft it was made. Load the page again."))
    return int(text)


def path_of(text: str) -> str:
    """Of an object; "" is the cluster."""
    path = "/" + text.strip("/") if text.strip("/") else "/root/cluster"
    if len(path) > LONGEST_PATH or not path.startswith("/root/"):
        raise BadRequest(_("This is no path of a configuration."))
    return path


def to_object(draft: Draft, path: str) -> str:
    return reverse("builder-draft", args=(draft.pk,)) + "?" + urlencode({"at": path})


def store(
    request: HttpRequest, draft: Draft, text: str, values: Mapping[str, str], act: Callable[[services.Work], object],
    then: Callable[[], str], *, back: str = "",
) -> HttpResponse:  # fmt: skip
    """One change. `text` with its `values` says what it was; `then` is where to go, `back` where it was refused."""
    revision = revision_of(request)
    try:
        services.change(draft=draft, revision=revision, user=request.user, text=text, values=values, act=act)
    except services.StaleError:
        return conflict(request, draft, revision, [])
    except (EditError, DocumentError) as error:
        return refuse(request, draft, _findings_of(error), back or to_object(draft, ""))
    return redirect(then())


def _findings_of(error: EditError | DocumentError) -> list[Finding]:
    return [error.finding] if isinstance(error, EditError) else error.findings


def refuse(request: HttpRequest, draft: Draft, findings: Iterable[Finding], back: str) -> HttpResponse:
    """Nothing was stored; says why, and offers to send the same again after a look."""
    context = {"findings": [shown(finding, draft) for finding in findings], "back": back}
    return draft_page(request, "refused", draft, context, 422)


def conflict(request: HttpRequest, draft: Draft, revision: int, rows: list[dict[str, Any]]) -> HttpResponse:
    """Somebody was faster. Both values of each field, and what happened meanwhile; the person decides."""
    fields = [
        (key, value)
        for key in request.POST
        if key not in ("csrfmiddlewaretoken", "revision") and not key.startswith(("value:", "was:", "mode:", "clear:"))
        for value in request.POST.getlist(key)
    ]
    context = {
        "rows": rows,
        "fields": fields,
        "steps": selectors.steps_since(draft, revision),
        "action": request.get_full_path(),
        "back": to_object(draft, request.POST.get("at", "")),
    }
    return draft_page(request, "conflict", draft, context, 409)


def shown(finding: Finding, draft: Draft | None) -> dict[str, Any]:
    """A finding for a page: in words, with the way to its form and its line."""
    reason, remedy = words.reason(finding)
    owner = owner_path(finding.path)
    return {
        "code": finding.code,
        "severity": finding.severity,
        "word": words.SEVERITIES[finding.severity],
        "look": words.LOOKS[finding.severity],
        "path": finding.path,
        "line": finding.line,
        "reason": reason,
        "remedy": remedy,
        "object": to_object(draft, owner) + _anchor(finding.path, owner) if draft is not None and owner else "",
    }


def _anchor(path: str, owner: str) -> str:
    below = path[len(owner) + 1 :]
    return f"#{forms.anchor(below)}" if below else ""


def owner_path(path: str) -> str:
    """Of the object or the section whose form shows `path`; "" where none does."""
    from agent.catalog import specs
    from agent.clpconf.sections import declared

    found = declared(path, specs())
    if found is None or found.base == "/root":
        found = declared(f"{path}/comment", specs())
    # Of a section that holds objects, the question above takes the next word for an object's type.
    whose = found is not None and found.base != "/root" and (path == found.base or path.startswith(f"{found.base}/"))
    return found.base if found is not None and whose else ""


def told(request: HttpRequest, text: str) -> None:
    messages.info(request, text)
