"""What operators ask of drills: is it safe, begin, end. The rules stand at the head of drills.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from agent.engine.drill_guard import hindrances, remarks
from agent.engine.drills import Drills
from agent.engine.effects import EndDrill
from agent.wire.drill import wrong
from agent.wire.epoch import NO_EPOCH
from agent.wire.peer import Answer, Request

if TYPE_CHECKING:
    from agent.engine.coordinator import Coordinator
    from agent.engine.monitor_requests import Refuse

_PATIENCE_S = 5.0
_KEPT_S = 600.0
_NOBODY = (
    "Nobody has answered that the drill began. It begins no more; whether it did is told by clpdrill list and the "
    "events."
)


class DrillRequests:
    """The callables are those of Operations."""

    def __init__(
        self, coordinator: Coordinator, *, refuse: Refuse, answer: Callable[[Request, Answer], None],
        log: Callable[..., str],
    ) -> None:  # fmt: skip
        self.coordinator = coordinator
        self.core = coordinator.core
        self.membership = coordinator.membership
        self._refuse = refuse
        self._answer = answer
        self._log = log
        self._allowed: dict[str, tuple[Request, float]] = {}  # by this coordinator: stamped, and until when it is told
        self._asked_at: dict[str, float] = {}  # of those that were taken here

    @property
    def drills(self) -> Drills:
        """Of this server; the engine has given it to the reports."""
        assert self.coordinator.reports.drills is not None
        return self.coordinator.reports.drills

    # On the server that was asked -----------------------------------------------------------------------------------

    def taken(self, request: Request) -> Request:
        """The request names the start of the server that is meant, as it is known here."""
        if request.op != "drill_start" or request.drill is None:
            return request
        report = self.coordinator.reports.of(request.target)
        self._asked_at.setdefault(request.id, self.core.now)
        self.core.timers[f"drill asked {request.id}"] = self.core.now + _PATIENCE_S
        known = report.incarnation if report is not None else 0
        return replace(request, drill=replace(request.drill, incarnation=known, epoch=NO_EPOCH))

    def give_up(self, mine: dict[str, Request], finish: Callable[[Answer], None]) -> None:
        """Those that nobody has answered in time."""
        over = [key for key, at in self._asked_at.items() if key not in mine or at + _PATIENCE_S <= self.core.now]
        for key in over:
            del self._asked_at[key]
            if key in mine:
                finish(Answer(id=key, code=3, reason="no_answer", text=_NOBODY))

    def end(self, request: Request) -> None:
        """Taken here or not: whoever hears it ends what runs on the target, and answers."""
        target = request.target or self._drilled()
        report = self.coordinator.reports.of(target)
        if target not in self.core.index:
            known = ", ".join(self.core.index)
            text = f'There is no server "{target}"; the servers are {known}.' if target else "No drill runs."
            self._refuse(replace(request, target=target), "unknown_server" if target else "no_drill", text)
        elif report is None or report.drill is None:
            self._refuse(request, "no_drill", f"No drill runs on {target}.")
        elif target == self.core.me:
            self.drills.end(f"{request.by or 'somebody'} ended it")
            self._answer(request, Answer(id=request.id, code=0, text=f"The drill on {target} is over."))
        elif report.drill.kind in ("crash", "reset"):
            text = f"{target} is down; it is back by itself within {report.drill.ends - report.drill.began:g} s."
            self._refuse(request, "cannot_end", text)
        else:
            self.core.send(target, replace(request, target=target, origin=request.origin or self.core.me))
            self.core.emit(EndDrill(id=report.drill.id, server=target))
            self._answer(request, Answer(id=request.id, code=0, text=f"{target} is told to end the drill."))

    def _drilled(self) -> str:
        reports = ((name, self.coordinator.reports.of(name)) for name in self.core.index)
        return next((name for name, report in reports if report is not None and report.drill is not None), "")

    # On the server that shall fail -----------------------------------------------------------------------------------

    def obeyed(self, sender: str, request: Request) -> bool:
        """An order of the coordinator to this server; False: it is something else."""
        if request.op == "drill_end":
            if request.target == self.core.me and self.drills.running is not None:
                self.drills.end(f"{request.by or 'somebody'} ended it")
            return True
        drill, view = request.drill, self.membership.view
        if request.op != "drill_start" or drill is None or drill.epoch == NO_EPOCH or request.target != self.core.me:
            return False
        if sender != view.coordinator or drill.epoch != view.epoch or not self.membership.in_view:
            return True  # Of another view: whoever took it gives up.
        if why := self.drills.refuses(request.id, drill):
            self._refuse(request, "not_safe", why)
        else:
            text = f"The drill has begun on {request.target}."
            self._answer(request, Answer(id=request.id, code=0, text=text))
            self.drills.begin(request, self._log(request))
        return True

    # On the coordinator ----------------------------------------------------------------------------------------------

    def carry_out(self, request: Request) -> None:
        drill, server, cluster = request.drill, request.target, self.core.cluster
        if request.id in self._allowed:
            self._tell_again(request)
        elif server not in self.core.index:
            known = ", ".join(self.core.index)
            self._decline(request, "unknown_server", f'There is no server "{server}"; the servers are {known}.')
        elif drill is None:
            self._decline(request, "no_drill", "The request does not say what shall fail.")
        elif why := wrong(drill, [h.name for h in cluster.heartbeats], [m.name for m in cluster.monitors]):
            self._decline(request, "wrong_drill", why)
        elif reasons := hindrances(self.coordinator, drill, server):
            self._decline(request, "not_safe", " ".join(reasons))
        elif request.op == "drill_check":
            report = self.coordinator.reports.of(server)
            said = remarks(cluster, drill, report) if report is not None else ()
            self._answer(request, Answer(id=request.id, code=0, text=" ".join(["It is safe now.", *said])))
        else:
            self._allow(request)

    def _decline(self, request: Request, reason: str, text: str) -> None:
        """A question leaves no line in the log."""
        if request.op == "drill_check":
            self._answer(request, Answer(id=request.id, code=2, reason=reason, text=text))
        else:
            self._refuse(request, reason, text)

    def _allow(self, request: Request) -> None:
        assert request.drill is not None
        stamped = replace(request, drill=replace(request.drill, epoch=self.membership.view.epoch))
        self._allowed = {key: one for key, one in self._allowed.items() if one[1] + _KEPT_S > self.core.now}
        self._allowed[request.id] = (stamped, self.core.now + _PATIENCE_S)
        self._hand_on(stamped)

    def _tell_again(self, request: Request) -> None:
        stamped, until = self._allowed[request.id]
        if self.core.now < until:
            self._hand_on(stamped)

    def _hand_on(self, stamped: Request) -> None:
        if stamped.target == self.core.me:
            self.obeyed(self.core.me, stamped)
        else:
            self.core.send(stamped.target, stamped)
