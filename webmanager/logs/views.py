"""The pages of collected logs. Only operators see them: logs tell much of a machine.

/logs/ logs.html, htmx: _logs.html (collections, servers, kinds, going)
/logs/ID/ log.html, htmx: _log.html (collection)
/logs/start, /logs/ID/cancel, /logs/ID/delete: forms · /logs/ID/file: the archive
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from agent.wire.logs.conversation import DEFAULT_MIB, KINDS, MOST_MIB
from webmanager import access, throttle
from webmanager.logs import files, selectors, services, work
from webmanager.logs.models import Collection
from webmanager.places import redirect_to

_CHUNK = 256 << 10


def _by(request: HttpRequest) -> str:
    return f"{request.user.get_username()}@{throttle.client_address(request)}"


@never_cache
@require_GET
def logs(request: HttpRequest) -> HttpResponse:
    cluster = access.chosen_cluster(request)
    access.operator_or_403(request.user, cluster)
    work.end_lost()
    found = selectors.collections(cluster=cluster) if cluster else []
    going = any(not one.ended for one in found)
    request.cluster = cluster  # type: ignore[attr-defined]
    context = {"collections": found, "going": going, "most_mib": MOST_MIB, "default_mib": DEFAULT_MIB}
    if request.htmx:  # type: ignore[attr-defined]
        return render(request, "webmanager/_logs.html", context)
    status = access.get_status_or_404(cluster)
    return render(request, "webmanager/logs.html", context | {"servers": list(status["servers"].values())})


@never_cache
@require_GET
def log(request: HttpRequest, key: uuid.UUID) -> HttpResponse:
    work.end_lost()
    found = _found(request, key)
    request.cluster = found.cluster  # type: ignore[attr-defined]
    name = "_log" if request.htmx else "log"  # type: ignore[attr-defined]
    context = {"collection": found, "there": files.archive(key).exists()}
    return render(request, f"webmanager/{name}.html", context)


@require_POST
def start(request: HttpRequest) -> HttpResponse:
    cluster = access.chosen_cluster(request)
    access.operator_or_403(request.user, cluster)
    status = access.get_status_or_404(cluster)
    assert cluster is not None
    servers, kind = request.POST.getlist("servers"), request.POST.get("kind", KINDS[0])
    if unknown := next((name for name in servers if name not in status["servers"]), ""):
        access.get_object_or_404(status, "servers", unknown)
    if kind not in KINDS:
        raise BadRequest(_("Known kinds: %(known)s.") % {"known": ", ".join(KINDS)})
    try:
        services.start(
            cluster=cluster, status=status, servers=servers, kind=kind, user=request.user, by=_by(request),
            limit_mib=_limit(request),
        )  # fmt: skip
    except services.NotNowError as error:
        messages.error(request, str(error))
    return redirect_to(cluster, "logs")


def _limit(request: HttpRequest) -> int:
    text = request.POST.get("limit", "") or str(DEFAULT_MIB)
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MOST_MIB):
        raise BadRequest(_("The limit is a whole number of MiB from 1 to %(most)d.") % {"most": MOST_MIB})
    return int(text)


@require_POST
def cancel(request: HttpRequest, key: uuid.UUID) -> HttpResponse:
    found = _own(request, key)
    if not found.ended:
        services.cancel(row=found, by=_by(request))
    return redirect_to(found.cluster, "logs")


@require_POST
def delete(request: HttpRequest, key: uuid.UUID) -> HttpResponse:
    found = _own(request, key)
    services.delete(row=found, by=_by(request))
    return redirect_to(found.cluster, "logs")


@never_cache
@require_GET
def file(request: HttpRequest, key: uuid.UUID) -> HttpResponseBase:
    found = _found(request, key)
    return download(found, _by(request))


def download(found: Collection, by: str) -> HttpResponseBase:
    """Raises Http404 when it is not there (any more)."""
    path = files.archive(found.pk)
    try:
        size = path.stat().st_size
    except OSError:
        raise Http404(_("This collection has no file: it has not ended well, or it was removed.")) from None
    services.tell("logs.download", found, by)
    cluster = re.sub(r"[^\w.-]", "_", found.cluster.name, flags=re.ASCII)
    name = f"logs-{cluster}-{found.at.strftime('%Y%m%d-%H%M%S')}.tar.gz"
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Content-Length": str(size),
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return StreamingHttpResponse(_parts(path), content_type="application/gzip", headers=headers)


async def _parts(path: Path) -> AsyncIterator[bytes]:
    """Read beside the event loop, a piece at a time: it may be half a gigabyte."""
    file = await asyncio.to_thread(path.open, "rb")
    try:
        while part := await asyncio.to_thread(file.read, _CHUNK):
            yield part
    finally:
        file.close()


def _found(request: HttpRequest, key: uuid.UUID) -> Collection:
    found = selectors.get_or_404(key)
    access.operator_or_403(request.user, found.cluster)
    return found


def _own(request: HttpRequest, key: uuid.UUID) -> Collection:
    """What somebody else collects is ended by administrators only."""
    found = _found(request, key)
    if found.user_id != request.user.pk:
        access.administrator_or_403(request.user, found.cluster)
    return found
