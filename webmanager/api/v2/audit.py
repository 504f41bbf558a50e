"""The audit for programs: who did what from where, with what result. Administrators of all clusters only."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from webmanager import access
from webmanager.accounts import audit
from webmanager.api.v2 import shapes
from webmanager.api.v2.base import OK, Base, documented, number_parameter

_LIMIT, _LIMIT_MOST = 200, 1000
_NUMBER_MOST = 2**31 - 1


class Audit(Base):
    @documented(
        shapes.AuditReply,
        number_parameter("after", 0, _NUMBER_MOST, 0, "Number (`next`) of the last reply; 0: from the first on."),
        number_parameter("limit", 1, _LIMIT_MOST, _LIMIT, "At most this many."),
        operation_id="v2_audit",
    )
    def get(self, request: Request) -> Response:
        """In the order in which it happened. Each row holds the hash of the one before: what was kept elsewhere shows
        whether anything was changed since."""
        access.administrator_or_403(request.user)
        after = self.number("after", 0, 0, _NUMBER_MOST)
        limit = self.number("limit", _LIMIT, 1, _LIMIT_MOST)
        rows = [{**audit.as_dict(row), "hash": row.hash} for row in audit.rows(after, limit)]
        return Response({"audit": rows, "next": rows[-1]["number"] if rows else after, "result": OK})
