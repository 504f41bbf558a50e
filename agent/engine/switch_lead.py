"""The coordinator's part in a change of the configuration: what operators ask for, and the next phase when it is time.

Level-triggered like everything that the coordinator does: the phase stands in the table, and each pass compares it with
the members' reports. A new coordinator goes on where the old one was; how long a phase lasts is measured by whoever
coordinates, from when it saw it first.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from agent.engine.coordinator import Coordinator
from agent.engine.monitor_requests import Refuse, Wait
from agent.engine.switching import Switching
from agent.wire.peer import Answer, Request
from agent.wire.report import Report
from agent.wire.switch import Applying, Switch

_STOP_S = 600.0  # for groups to stop, and for others to come to rest
_FREEZE_S = 8.0  # shorter than the members' own patience
_TOLD_S = 5.0
_MEET_S = 20.0  # at most, beside two heartbeats: also a busy machine starts a daemon in that time
_LONGEST_CONFIRM_S = 24 * 3600.0


class SwitchLead:
    def __init__(
        self,
        coordinator: Coordinator,
        switching: Switching,
        *,
        refuse: Refuse,
        answer: Callable[[Request, Answer], None],
        log: Callable[..., str],
        wait: Wait,
    ) -> None:
        self.coordinator = coordinator
        self.core = coordinator.core
        self.membership = coordinator.membership
        self.switching = switching
        self._refuse = refuse
        self._answer = answer
        self._log = log
        self._wait = wait
        self._seen: tuple[str, bool, str] = ("", False, "")
        self._since = 0.0
        self._name = self.core.cluster.name

    @property
    def closed(self) -> bool:
        """Nothing else can be ordered meanwhile."""
        applying = self.coordinator.table.applying
        return applying is not None and (applying.phase == "stopping" or applying.freezes)

    # What operators ask for -------------------------------------------------------------------------------------

    def carry_out(self, request: Request) -> None:
        {"config_apply": self._apply, "config_confirm": self._confirm, "config_return": self._return}[request.op](
            request
        )

    def _apply(self, request: Request) -> None:
        applying, target = self.coordinator.table.applying, request.target
        if applying is not None and applying.switch.id == request.id:
            self._answer(request, Answer(id=request.id, code=0, text="The change has begun."))
        elif (own := self.switching.switch) is not None and own.id == request.id and own.state == "returned":
            self._refuse(request, "returned", f"This change was taken back: {own.reason}.")
        elif target == self.core.config:
            self._answer(request, Answer(id=request.id, code=0, text="The cluster runs this configuration already."))
        elif why := self._hindrance(target):
            self._refuse(request, *why)
        else:
            self._begin(request)

    def _hindrance(self, target: str) -> tuple[str, str] | None:
        """Reason and sentence."""
        table, view = self.coordinator.table, self.membership.view
        if table.applying is not None:
            return "busy", "Another change of the configuration is under way (see clpstat): confirm it or return first."
        if table.closing or table.suspended:
            return "suspended", "The cluster is suspended or being stopped; resume it first (clpcl --resume)."
        stored = self.switching.stored
        stay = stored.servers if stored is not None and stored.config == target and stored.servers else self.core.index
        if away := [s for s in self.core.index if s in stay and s not in view.members]:
            return "not_all_here", f"{', '.join(away)} must be in the cluster for a change. Start it, or remove it too."
        if leaving := [m for m in view.members if m not in stay]:
            names = ", ".join(leaving)
            return (
                "still_here",
                f"{names} is no server of it: stop its cluster service first (clpcl -t -h {leaving[0]}).",
            )
        without = [m for m in view.members if (r := self.coordinator.reports.of(m)) is None or r.stored != target]
        if without:
            return "not_stored", f"{', '.join(without)} has not stored this configuration. Deliver it again."
        return None

    def _begin(self, request: Request) -> None:
        stored = self.switching.stored
        assert stored is not None
        note = self._log(request, stored.config)
        switch = Switch(
            id=request.id, to=stored.config, origin=self.core.config, key=stored.key,
            members=self.membership.view.members, groups=stored.groups, by=request.by, why=request.why,
            confirm_s=min(request.confirm_s, _LONGEST_CONFIRM_S), cause=note,
            meet_s=min(_MEET_S, 8 + 4 * self.core.cluster.timeout_s) + 2 * self.core.cluster.interval_s,
        )  # fmt: skip
        ills = tuple(self._ills()) if request.health else ()
        self._set(Applying(switch=switch, phase="stopping", health=request.health, ills=ills))
        self._answer(request, Answer(id=request.id, code=0, text="The change has begun."))

    def _confirm(self, request: Request) -> None:
        applying = self.coordinator.table.applying
        if applying is None or (request.target and request.target not in (applying.switch.id, applying.switch.to)):
            self._refuse(request, "nothing_to_confirm", "No such change of the configuration waits to be confirmed.")
            return
        if applying.phase not in ("trying", "confirming"):
            self._refuse(request, "busy", "The change is not through yet; confirm it when the cluster runs with it.")
            return
        note = self._log(request, applying.switch.to)
        self._set(replace(applying, phase="confirming"), note)
        self._wait(request, note, lambda: self.coordinator.table.applying is None, lambda: "")

    def _return(self, request: Request) -> None:
        applying = self.coordinator.table.applying
        if applying is None:
            self._refuse(request, "nothing_to_return", "No unconfirmed change of the configuration is under way.")
        elif applying.phase in ("switching", "confirming") or applying.back:
            self._refuse(request, "busy", f"It is too late or too early: {applying.phase}. See clpstat.")
        else:
            note = self._log(request, applying.switch.origin)
            reason = f"{request.by or 'somebody'} wanted it"
            if applying.phase == "trying":
                self._lead_back(applying, reason, note)
            else:
                self._abort(applying, reason)
            text = "The cluster returns to the configuration before."
            self._answer(request, Answer(id=request.id, code=0, text=text))

    # Phases -----------------------------------------------------------------------------------------------------

    def advance(self) -> None:
        """One pass, before the groups are driven."""
        applying = self.coordinator.table.applying
        if applying is None or self.switching.going is not None:
            return
        seen = (applying.switch.id, applying.back, applying.phase)
        if seen != self._seen:
            self._seen, self._since = seen, self.core.now
            self._wake(applying)
        if self.coordinator.table.closing:
            self._finish(applying, "")
        elif not applying.back and self._has_returned(applying.switch):
            self._finish(applying, self.switching.switch.reason if self.switching.switch else "")
        else:
            {
                "stopping": self._stopping, "freezing": self._freezing, "switching": self._switching,
                "trying": self._trying, "confirming": self._confirming,
            }[applying.phase](applying)  # fmt: skip

    def _wake(self, applying: Applying) -> None:
        lasts = {"stopping": _STOP_S, "freezing": _FREEZE_S, "switching": _TOLD_S, "trying": applying.switch.confirm_s}
        self.core.timers["switch lead"] = self._since + lasts.get(applying.phase, _TOLD_S)

    def _over(self, seconds: float) -> bool:
        return self.core.now >= self._since + seconds

    def _has_returned(self, switch: Switch) -> bool:
        own = self.switching.switch
        return own is not None and own.id == switch.id and own.state == "returned" and self.core.config == switch.origin

    def _stopping(self, applying: Applying) -> None:
        plan, groups = self.coordinator, applying.switch.groups
        stuck = [g for g in groups if g in plan.group and plan.stuck(g)]
        if stuck and not applying.back:
            self._abort(applying, f"{', '.join(stuck)} could not be stopped")
        elif stuck or not self._busy(groups):
            self._set(replace(applying, phase="freezing"))
        elif self._over(_STOP_S):
            self._abort(applying, f"{', '.join(self._busy(groups))} did not come to rest")

    def _busy(self, groups: tuple[str, ...]) -> list[str]:
        """Groups that still have to stop, or are on their way."""
        plan = self.coordinator
        return [g for g in plan.group if (plan.holders(g) if g in groups else g in plan.moving)]

    def _freezing(self, applying: Applying) -> None:
        reports = self._reports()
        if all(r is not None and r.frozen for r in reports.values()):
            self._set(replace(applying, phase="switching"))
        elif self._over(_FREEZE_S):
            late = [m for m, r in reports.items() if r is None or not r.frozen]
            self._abort(applying, f"{', '.join(late)} did not answer")

    def _switching(self, applying: Applying) -> None:
        target = applying.target
        if self.core.config == target:
            self._arrived(applying)
            return
        if self.coordinator.dirty:
            return  # Nobody has been told yet.
        version = self.coordinator.table.version
        late = [
            m for m, r in self._reports().items()
            if m != self.core.me and (r is None or r.table < version) and self.membership.peers[m].config != target
        ]  # fmt: skip
        if not late:
            self.switching.go(applying.switch)
        elif self._over(_TOLD_S):
            self._abort(applying, f"{', '.join(late)} did not answer")

    def _arrived(self, applying: Applying) -> None:
        """This coordinator runs it already; do all the others?"""
        switch, view, target = applying.switch, self.membership.view, applying.target
        if not all(r is not None and r.config == target for r in self._reports().values()):
            return
        if applying.back:
            self._finish(applying, switch.reason)
        elif all(m in view.members for m in switch.members if m in self.core.index):
            until = self.core.now + switch.confirm_s
            phase = "trying" if switch.confirm_s else "confirming"
            self._set(replace(applying, phase=phase, until=until if switch.confirm_s else 0.0))
            if switch.confirm_s:
                self.core.note("cp", 72, "cluster", self._name, self._name, target, f"{switch.confirm_s:g}",
                               causes=(switch.cause,))  # fmt: skip

    def _trying(self, applying: Applying) -> None:
        if not self._over(applying.switch.confirm_s):
            return
        bad = [ill for ill in self._ills() if ill not in applying.ills]
        if applying.health and not bad:
            self._set(replace(applying, phase="confirming"))
            return
        why = f"it was not confirmed within {applying.switch.confirm_s:g} s"
        self._lead_back(applying, f"{why}, and {bad[0]}" if applying.health else why, "")

    def _ills(self) -> list[str]:
        """What is not as it should be."""
        plan = self.coordinator
        records = {name: plan.record(name) for name in plan.group}
        down = [n for n, r in records.items() if not r.held and plan.group_report(r.goal, n).state != "Online"]
        errors = [
            f"monitor {name} on {server} finds an error"
            for server, report in self._reports().items()
            for name, monitor in (report.monitors.items() if report is not None else ())
            if monitor.state == "Error"
        ]
        away = [s for s in self.core.index if s not in self.membership.view.members]
        found = [f"group {name} is not online" for name in down]
        return [*found, *errors, *(f"{server} is not in the cluster" for server in away)]

    def _confirming(self, applying: Applying) -> None:
        for report in self._reports().values():
            own = report.switch if report is not None else None
            if report is None or report.config != applying.switch.to:
                return
            if own is not None and own.id == applying.switch.id and own.state != "confirmed":
                return
        self._finish(applying, "")

    def _lead_back(self, applying: Applying, reason: str, cause: str) -> None:
        note = self.core.note("cp", 73, "cluster", self._name, self._name, applying.switch.origin, reason,
                              causes=(cause or applying.switch.cause,))  # fmt: skip
        switch = replace(applying.switch, state="returned", reason=reason, cause=note)
        self._set(replace(applying, switch=switch, phase="stopping", back=True, until=0.0))

    def _abort(self, applying: Applying, reason: str) -> None:
        """Nobody has switched yet, or who has will return by itself."""
        self.core.note("cp", 80, "cluster", self._name, self._name, applying.switch.to, reason,
                       causes=(applying.switch.cause,))  # fmt: skip
        self._end()

    def _finish(self, applying: Applying, reason: str) -> None:
        if applying.back or reason:
            self.core.note("cp", 81, "cluster", self._name, self._name, self.core.config, reason,
                           causes=(applying.switch.cause,))  # fmt: skip
        elif applying.phase == "confirming":
            self.core.note("cp", 82, "cluster", self._name, self._name, self.core.config,
                           causes=(applying.switch.cause,))  # fmt: skip
        self._end()

    def _end(self) -> None:
        self.coordinator.change(applying=None)
        self.coordinator.pending.update(self.coordinator.group)
        self.core.timers.pop("switch lead", None)

    def _set(self, applying: Applying, cause: str = "") -> None:
        if cause:
            applying = replace(applying, switch=replace(applying.switch, cause=cause))
        self.coordinator.change(applying=applying)
        self.coordinator.pending.update(self.coordinator.group)

    def _reports(self) -> dict[str, Report | None]:
        return {m: self.coordinator.reports.of(m) for m in self.membership.view.members}
