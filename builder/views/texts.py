"""The file itself and its scripts as text: with line numbers, and to be edited."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods

from agent.clpconf.archive import SCRIPTS, Script, check_path
from agent.clpconf.document import Document, DocumentError
from agent.clpconf.findings import Finding
from builder import contents, documents, secrets, services
from builder.models import Draft
from builder.views import common
from webmanager import access

_EDITABLE = 700_000  # bytes in a form; larger files go by download and upload
_PAGE_LINES = 5_000
_MODES = (0o755, 0o700, 0o644, 0o600)


@never_cache
@require_http_methods(["GET", "POST"])
@sensitive_post_parameters("text")
def xml(request: HttpRequest, key: int) -> HttpResponse:
    draft = common.draft_for_reading(request, key)
    if request.method == "POST":
        access.administrator_or_403(request.user, draft.cluster)
        return _store_xml(request, draft)
    with documents.held(draft) as document:
        data = secrets.masked(document)
    text = decoded(data, document)
    if request.GET.get("edit"):
        access.administrator_or_403(request.user, draft.cluster)
        context = {"text": text, "too_large": len(data) > _EDITABLE, "findings": []}
        return common.draft_page(request, "xml_edit", draft, context)
    lines = text.split("\n")
    asked = request.GET.get("line", "")
    line = int(asked) if asked.isdecimal() and len(asked) < 9 else 0
    first = max(0, min(line - _PAGE_LINES // 2, len(lines) - _PAGE_LINES)) if line else 0
    rows = [(number, one) for number, one in enumerate(lines[first : first + _PAGE_LINES], first + 1)]
    context = {"rows": rows, "line": line, "first": first, "total": len(lines), "next": first + len(rows) + 1
               + _PAGE_LINES // 2, "more": first + len(rows) < len(lines), "size": len(data)}  # fmt: skip
    return common.draft_page(request, "xml", draft, context)


def decoded(data: bytes, document: Document) -> str:
    """With line feeds only: forms change the ends of lines anyway."""
    return document.root.source.encoded.decode(data).lstrip("\ufeff").replace("\r\n", "\n")


def encoded(text: str, before: Document) -> bytes:
    """In the draft's encoding (or the one that the text declares now) and ends of lines. Raises DocumentError."""
    source = before.root.source
    text = text.replace("\r\n", "\n")
    data = text.encode("ascii", "ignore")
    declared = data[: data.find(b"?>") + 2] if data.startswith(b"<?xml") else b""
    try:
        codec = Document.read(declared + b"<root/>").root.source.encoded.codec if declared else source.encoded.codec
        if source.has_crlf:
            text = text.replace("\n", "\r\n")
        head = b"\xef\xbb\xbf" if source.encoded.data.startswith(b"\xef\xbb\xbf") else b""
        return head + text.encode(codec)
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        reason = f"The character {error.object[error.start]!r} does not exist in the encoding of the file."
        remedy = "Leave it out, or declare another encoding in the first line."
        raise DocumentError(Finding("encoding.character", "error", "", reason, remedy, line, 1)) from error


def _store_xml(request: HttpRequest, draft: Draft) -> HttpResponse:
    text, revision = request.POST.get("text", ""), common.revision_of(request)
    if len(text) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        raise BadRequest(_("This is too large for a form. Download the file, change it, and upload it."))

    def act(work: services.Work) -> None:
        document = Document.read(encoded(text, work.document))
        secrets.unmask(document, work.document)
        # Places of findings and lines are those of the bytes that were read.
        work.replace(Document.read(document.write()))

    try:
        services.change(
            draft=draft, revision=revision, user=request.user, text=gettext_noop("Edited as XML"), values={}, act=act
        )
    except services.StaleError:
        # The text stays on the page: its writer decides what of it goes into the newer revision.
        findings = [Finding("draft.stale", "error", "", _("Somebody changed this draft meanwhile."),
                            _("Open the XML in another tab, compare, and save here to replace it."))]  # fmt: skip
        return _again(request, draft, text, findings, 409)
    except DocumentError as error:
        return _again(request, draft, text, error.findings, 422)
    common.told(request, _("Saved as revision %(revision)d.") % {"revision": draft.revision})
    return redirect("builder-xml", key=draft.pk)


def _again(request: HttpRequest, draft: Draft, text: str, findings: list[Finding], status: int) -> HttpResponse:
    context = {"text": text, "too_large": False, "findings": [common.shown(f, draft) for f in findings[:50]]}
    return common.draft_page(request, "xml_edit", draft, context, status)


@never_cache
@require_GET
def scripts(request: HttpRequest, key: int) -> HttpResponse:
    """Names for all; contents, which may hold passwords, for administrators."""
    draft = common.draft_for_reading(request, key)
    found = contents.unpack_scripts(draft.scripts)
    rows = [{"path": path, "size": len(s.data), "mode": f"{s.mode:04o}"} for path, s in sorted(found.items())]
    return common.draft_page(request, "scripts", draft, {"rows": rows, "modes": _modes()})


@never_cache
@require_http_methods(["GET", "POST"])
@sensitive_post_parameters("text")
def script(request: HttpRequest, key: int) -> HttpResponse:
    draft = common.draft_for_writing(request, key)
    path = (request.POST if request.method == "POST" else request.GET).get("path", "").strip()
    path = path.removeprefix(f"{SCRIPTS}/")
    known = contents.unpack_scripts(draft.scripts).get(path)
    wrong = check_path(path)
    if wrong:
        return common.refuse(request, draft, [Finding("archive.path", "error", path[:100], wrong)], _scripts_url(draft))
    if request.method == "POST":
        return _store_script(request, draft, path, known)
    if known is None and not request.GET.get("new"):
        raise Http404(_("There is no such script in this draft."))
    return common.draft_page(request, "script", draft, _script_context(path, known))


def _script_context(path: str, known: Script | None) -> dict[str, Any]:
    data = known.data if known is not None else b"#!/bin/sh\n\nexit 0\n"
    try:
        text, binary = data.decode("utf-8"), False
    except UnicodeDecodeError:
        text, binary = "", True
    too_large = len(data) > _EDITABLE
    mode = f"{known.mode if known is not None else _MODES[0]:04o}"
    return {"path": path, "text": "" if too_large else text, "binary": binary or "\0" in text, "too_large": too_large,
            "mode": mode, "modes": _modes(mode), "new": known is None, "crlf": "\r\n" in text}  # fmt: skip


def _modes(mode: str = "") -> list[str]:
    return list(dict.fromkeys([*([mode] if mode else []), *(f"{one:04o}" for one in _MODES)]))


def _store_script(request: HttpRequest, draft: Draft, path: str, known: Script | None) -> HttpResponse:
    mode_text = request.POST.get("mode", "0755")
    try:
        mode = int(mode_text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o777:
        raise BadRequest(_("The mode has to be three octal digits, for example 755."))
    text = request.POST.get("text", "").replace("\r\n", "\n")
    crlf = known is not None and b"\r\n" in known.data
    removed = request.POST.get("do") == "remove"

    def act(work: services.Work) -> None:
        if removed:
            work.scripts.pop(path, None)
        else:
            written = text.replace("\n", "\r\n") if crlf else text
            work.scripts[path] = Script(written.encode("utf-8", "surrogatepass"), mode)

    what = gettext_noop("Removed script %(path)s") if removed else gettext_noop("Script %(path)s")
    place = (
        _scripts_url(draft) if removed else f"{reverse('builder-script', args=(draft.pk,))}?{urlencode({'path': path})}"
    )
    return common.store(request, draft, what, {"path": path}, act, lambda: place, back=_scripts_url(draft))


def _scripts_url(draft: Draft) -> str:
    return reverse("builder-scripts", args=(draft.pk,))
