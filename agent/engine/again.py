"""Requests that come again after their answer was lost, and requests that are called off.

Rules. A request's id makes it safe to repeat while somebody remembers it. A reboot forgets: so a request may name the
incarnations that it means, and who has begun anew since is left alone. What became of a request can be asked without
asking for it again. Only what still waits can be cancelled: what has begun is ended by another wish.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from agent.wire.peer import Answer, Request

if TYPE_CHECKING:
    from agent.engine.operations import Operations

_NOTHING_DONE = "It was cancelled while it waited. Nothing was done."
_UNDER_WAY = (
    "It is being carried out, so it cannot be cancelled. A group that starts or moves can be stopped, or moved back "
    "when it is online."
)


class Again:
    """The callables are those of Operations."""

    def __init__(
        self,
        operations: Operations,
        *,
        refuse: Callable[[Request, str, str], None],
        answer: Callable[[Request, Answer], None],
        finish: Callable[[Answer], None],
    ) -> None:
        self._all = operations
        self._refuse = refuse
        self._answer = answer
        self._finish = finish

    def outcome(self, key: str) -> Answer | None:
        """What became of a request, as far as this server knows; code 1: it is under way. None: never heard of it."""
        known = self._all
        if key in known.answers:
            return known.answers[key]
        accepted = any(record.request == key for record in known.coordinator.table.groups.values())
        if accepted or self._under_way(key) or key in known.mine or key in known.line.queued:
            return Answer(id=key, code=1, reason="under_way")
        return None

    def _under_way(self, key: str) -> bool:
        leaving = self._all.leave_request
        return key in self._all.waiting or (leaving is not None and leaving.id == key)

    def begun_anew(self, request: Request) -> str:
        """Asked again after its answer was lost, a reboot must not become two."""
        for server, meant in request.lives.items():
            known = self._all.core.incarnation if server == self._all.core.me else self._incarnation(server)
            if known and known != meant:
                return f"{server} has begun anew since this was asked; nothing is done to it again."
        return ""

    def _incarnation(self, server: str) -> int:
        report = self._all.reports.of(server)
        return report.incarnation if report is not None else 0

    def cancel_here(self, request: Request, older: Request) -> None:
        """It waits on this server for a view, and no coordinator knows it."""
        self._finish(_cancelled(older, request))
        self._finish(Answer(id=request.id, code=0, text=_NOTHING_DONE))

    def cancel(self, request: Request) -> None:
        """On the coordinator."""
        key = request.target
        if key in self._all.line.queued:
            older = self._all.line.queued[key].request
            self._all.line.leave(key)
            answer = _cancelled(older, request)
            self._all.core.note("apisv", 8, "request", older.target, *who_what(older), answer.text)
            self._answer(older, answer)
            self._answer(request, Answer(id=request.id, code=0, text=_NOTHING_DONE))
        elif self._under_way(key):
            self._refuse(request, "under_way", _UNDER_WAY)
        elif key in self._all.answers:
            self._refuse(request, "ended", "It has ended already; nothing is left to cancel.")
        else:
            self._refuse(request, "unknown_request", "The coordinator knows no such request; nothing was cancelled.")


def who_what(request: Request) -> tuple[str, str]:
    """For the log: ("admin", "group move failover1 to server2")."""
    to = f" to {request.server}" if request.server else ""
    why = f" ({request.why})" if request.why and not request.op.startswith("config_") else ""
    return request.by or "somebody", f"{request.op.replace('_', ' ')} {request.target}".rstrip() + to + why


def _cancelled(older: Request, later: Request) -> Answer:
    return Answer(id=older.id, code=3, reason="cancelled", text=f"It was cancelled by {later.by or 'somebody'}.")
