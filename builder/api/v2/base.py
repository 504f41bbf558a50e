"""What the paths of drafts share: the revision that was read, and the answer when it is not the newest.

Rules of this file
- Whoever changes a draft says which revision was read, in the body or as If-Match (its ETag). Without one nothing is
  changed (428), `If-Match: *` says that anything may be overwritten.
- Of two people at one draft the later one gets 409: what the draft says now, what was sent, what happened since.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NoReturn

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response

from agent.clpconf.diff import Difference
from agent.clpconf.document import DocumentError
from agent.clpconf.edit import EditError
from builder import selectors, services
from builder.api import shapes as old
from builder.api.v2 import shapes
from builder.api.views import Base, Refused, draft_item
from builder.models import Draft, DraftStep
from webmanager.api.serializers import Reply
from webmanager.api.v2 import base
from webmanager.api.views import OK

__all__ = ["OK", "Base", "Refused", "documented", "etag", "etagged"]

_IF_MATCH = re.compile(r"\*|\"[0-9]{1,9}\"")
IF_MATCH = OpenApiParameter(
    "If-Match", {"type": "string", "pattern": f"^({_IF_MATCH.pattern})$"}, OpenApiParameter.HEADER,
    description="ETag of the draft as it was read; * overwrites anything.",
)  # fmt: skip
ETAG = OpenApiParameter("ETag", OpenApiTypes.STR, OpenApiParameter.HEADER, response=[200, 201], description="Revision.")


class NoRevision(exceptions.APIException):
    status_code = 428
    default_code = "no_revision"
    default_detail = "Say which revision of the draft you have read: “revision” in the body, or its ETag as If-Match."


def documented(reply: Any, *parameters: OpenApiParameter, **more: Any) -> Any:
    return base.documented(reply, *parameters, **more)


def changing(reply: Any, **more: Any) -> Any:
    """What changes a draft at a revision."""
    replies = {200: reply, 409: shapes.ConflictReply, 422: Reply, 428: Reply}
    return documented(replies, IF_MATCH, ETAG, **more)


def etag(draft: Draft) -> dict[str, str]:
    return {"ETag": f'"{draft.revision}"'}


def etagged(draft: Draft, body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response({**body, "result": OK}, status=status, headers={**etag(draft), **(headers or {})})


def revision_of(request: Request, sent: dict[str, Any], draft: Draft) -> int:
    """Which one was read."""
    header = request.headers.get("If-Match", "").strip()
    known: int | None = sent.get("revision")
    if header and not _IF_MATCH.fullmatch(header):
        raise exceptions.ValidationError({"If-Match": 'It is the ETag of a draft, such as "7", or *.'})
    if header == "*":
        return draft.revision if known is None else known
    if header and known is not None and header != f'"{known}"':
        raise exceptions.ValidationError({"If-Match": f"It says {header}, but “revision” says {known}."})
    if not header and known is None:
        raise NoRevision
    return int(header.strip('"')) if known is None else known


def step_item(step: DraftStep) -> dict[str, Any]:
    return {"revision": step.revision, "by": step.by, "at": step.at.timestamp(), "text": step.words,
            "undone": step.undone}  # fmt: skip


def difference_item(one: Difference) -> dict[str, Any]:
    return {field: getattr(one, field) for field in old.DIFFERENCE_FIELDS}


def refuse(error: EditError | DocumentError) -> NoReturn:
    found = [error.finding] if isinstance(error, EditError) else error.findings
    raise Refused(" ".join(str(finding) for finding in found[:20])) from error


def conflict(draft: Draft, revision: int, act: Callable[[services.Work], object] | None = None) -> Response:
    """`act`: what was asked for, to tell what it would change in the draft as it is now."""
    draft.refresh_from_db()
    found: list[Difference] = []
    why = ""
    if act is not None:
        try:
            found = services.preview(draft=draft, act=act)
        except (EditError, DocumentError) as error:
            why = str(error)
    by = f" by {draft.changed_by}" if draft.changed_by else ""
    text = f"The draft is at revision {draft.revision} now,{by}; you have read {revision}. Read it again and decide."
    told = {
        "revision": draft.revision, "by": draft.changed_by, "why": why,
        "steps": [step_item(step) for step in selectors.steps_since(draft, revision)],
        "differences": [difference_item(one) for one in found[:500]],
    }  # fmt: skip
    body = {"conflict": told, "result": {"code": 409, "message": text}}
    return Response(body, status=409, headers=etag(draft))


def changed(draft: Draft, **more: Any) -> Response:
    return etagged(draft, {"draft": draft_item(draft), **more})
