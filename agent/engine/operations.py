"""What operators ask for: checked, carried out by changing the table, answered when it is so.

A request goes to the coordinator, however it came in; its id makes it safe to repeat. The server that took it repeats
it until it is answered, also to a new coordinator. A refusal names the reason and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec
from msgspec.structs import replace

from agent.engine import quarantine
from agent.engine.again import Again, who_what
from agent.engine.coordinator import Coordinator
from agent.engine.core import NEVER, Core
from agent.engine.departed import STOPPED
from agent.engine.drill_requests import DrillRequests
from agent.engine.fence_requests import FenceRequests
from agent.engine.membership import Membership
from agent.engine.monitor_requests import MonitorRequests
from agent.engine.reports import Reports
from agent.engine.switch_lead import SwitchLead
from agent.engine.switching import Switching
from agent.engine.waiting_line import WaitingLine, overtakes
from agent.wire.peer import Answer, Request

_REMEMBERED = 256
_APPLYING = "The configuration is being changed; try again in a moment (see clpstat)."
_SUSPENDED = "The cluster is suspended; resume it first (clpcl --resume)."
_STOPS = ("server_", "cluster_stop", "cluster_shutdown", "cluster_reboot")  # answered by the stop itself
_SERVER_OPS = ("server_stop", "server_shutdown", "server_reboot")


class Waiting(msgspec.Struct):
    """A request that the coordinator has accepted. `done` says when it is so; a text from `failed` ends it badly."""

    request: Request
    note: str
    done: Callable[[], bool]
    failed: Callable[[], str]


class Operations:
    def __init__(
        self, core: Core, membership: Membership, reports: Reports, coordinator: Coordinator, switching: Switching
    ) -> None:
        self.core = core
        self.membership = membership
        self.reports = reports
        self.coordinator = coordinator
        self.mine: dict[str, Request] = {}  # taken here, not answered yet
        self.waiting: dict[str, Waiting] = {}  # accepted as coordinator
        self.answers: dict[str, Answer] = {}  # newest last
        self.resend_at = NEVER
        self.leave_request: Request | None = None  # this server gives its groups away, then stops
        self.close_note = ""  # why the whole cluster stops
        self._fences = FenceRequests(
            coordinator, refuse=self._refuse, answer=self._answer, log=self._log, wait=self._wait
        )
        self._monitors = MonitorRequests(
            coordinator, refuse=self._refuse, answer=self._answer, log=self._log, wait=self._wait
        )
        self.switch = SwitchLead(
            coordinator, switching, refuse=self._refuse, answer=self._answer, log=self._log, wait=self._wait
        )
        self.drills = DrillRequests(coordinator, refuse=self._refuse, answer=self._answer, log=self._log)
        self.line = WaitingLine(core, coordinator)
        self.again = Again(self, refuse=self._refuse, answer=self._answer, finish=self._finish_mine)
        self._taken_at: dict[str, float] = {}  # of `mine` that came during a change of the view

    # On the server that was asked --------------------------------------------------------------------------------

    def asked(self, request: Request) -> None:
        """A command or the manager asks us."""
        request = request if request.origin else replace(request, origin=self.core.me)
        if request.id in self.answers:
            self.core.reply(self.answers[request.id])
        elif request.op == "server_start" and request.target not in self.core.index:
            text = self._unknown("server", request.target, self.core.index)
            self._finish_mine(_refused(request, "unknown_server", text))
        elif request.op == "request_cancel" and request.target in self._taken_at:
            self.again.cancel_here(request, self.mine[request.target])
        elif not self.line.has_view(request):
            self._before_view(request)
        else:
            self._replace_older(request)
            self.mine[request.id] = request = self.drills.taken(request)
            self._forward(request)

    def _replace_older(self, request: Request) -> None:
        """What this server still tells the coordinator must not come true after a later wish."""
        for older in [r for r in self.mine.values() if r.id != request.id and overtakes(request, r)]:
            text = f"A later request replaced this one: {' '.join(who_what(request)[1:])}."
            self._finish_mine(Answer(id=older.id, code=3, reason="failed", text=text))

    def _before_view(self, request: Request) -> None:
        """It waits for the end of a change of the view that is under way."""
        if not self.line.view_changes():
            self._finish_mine(self._no_view(request))
        elif request.id not in self.mine:
            self._replace_older(request)
            self.mine[request.id] = request
            self._taken_at[request.id] = self.core.now
            why = "the servers are agreeing on who is in the cluster"
            self.core.note("apisv", 5, "request", request.target, *who_what(request), why, rule="queued")
            self.core.reply(Answer(id=request.id, code=1, text=f"The request waits: {why}."))
            self.resend_at = min(self.resend_at, self.core.now + self.membership.resend_s)

    def _no_view(self, request: Request) -> Answer:
        if self.membership.service == "stopped":
            text = f"The cluster service on {self.core.me} is stopped; start it first (clpcl -s)."
            return _refused(request, "service_stopped", text)
        text = f"{self.core.me} belongs to no view now: it waits for other servers or has no majority (see clpstat)."
        return _refused(request, "no_view", text)

    def _forward(self, request: Request) -> None:
        # A server whose service is stopped is in no view: only itself can start it.
        to = request.target if request.op == "server_start" else self.membership.view.coordinator
        if to == self.core.me:
            self.requested(self.core.me, request)
        elif to:
            self.core.send(to, request)
        if request.id in self.mine:
            self.resend_at = min(self.resend_at, self.core.now + self.membership.resend_s)

    def resend(self) -> None:
        if self.core.now < self.resend_at:
            return
        self.resend_at = NEVER
        for request in list(self.mine.values()):
            taken_at = self._taken_at.get(request.id, self.core.now)
            if request.op == "server_start" or self._coordinated(request):
                self._taken_at.pop(request.id, None)
                self._forward(request)
            elif self.membership.service == "stopped" and not request.op.startswith(_STOPS):
                self._finish_mine(self._no_view(request))  # A wish of before must not come true at the next start.
            elif taken_at + self.line.patience_s <= self.core.now and request.id in self._taken_at:
                if request.id in self.line.queued:
                    self.line.leave(request.id)
                self._finish_mine(self._no_view(request))
            else:
                self._taken_at.setdefault(request.id, self.core.now)
                self.resend_at = self.core.now + self.membership.resend_s

    def _coordinated(self, request: Request) -> bool:
        """Somebody is there to carry it out. Where the coordinator has gone and no new view can be formed, it waits no
        longer than before a first view: nobody remembers it when it comes back."""
        membership = self.membership
        if request.id not in self.waiting and not self.line.has_view(request):
            return False
        peer = membership.peers.get(membership.view.coordinator)
        return membership.in_view and (peer is None or (peer.alive and peer.service not in STOPPED))

    def answered(self, answer: Answer) -> None:
        if answer.code == 1:
            if answer.id in self.mine:
                self.core.reply(answer)
        elif answer.id in self.mine:
            self._finish_mine(answer)

    def _finish_mine(self, answer: Answer) -> None:
        self.mine.pop(answer.id, None)
        self._taken_at.pop(answer.id, None)
        self._remember(answer)
        self.core.reply(answer)

    def _remember(self, answer: Answer) -> None:
        self.answers[answer.id] = answer
        while len(self.answers) > _REMEMBERED:
            del self.answers[next(iter(self.answers))]

    # On the coordinator, or on the server that shall leave ------------------------------------------------------------

    def requested(self, sender: str, request: Request) -> None:
        """A request has reached us to be carried out."""
        if request.id in self.answers:
            self._answer(request, self.answers[request.id])
        elif (
            request.id in self.waiting
            or request.id in self.line.queued
            or (self.leave_request and self.leave_request.id == request.id)
            or self.drills.obeyed(sender, request)
        ):
            return
        elif why := self.again.begun_anew(request):
            self._refuse(request, "new_life", why)
        elif request.op in _SERVER_OPS and request.target == self.core.me:
            self._leave(request)
        elif not self.membership.coordinates:
            return  # The origin repeats it to whoever coordinates next.
        elif request.op in _SERVER_OPS:
            self._pass_on(request)
        else:
            self._carry_out(request)

    def _pass_on(self, request: Request) -> None:
        if request.target in self.membership.view.members:
            self.core.send(request.target, request)
        elif request.target in self.core.index:
            self._refuse(request, "not_member", f"{request.target} is not in the cluster now.")
        else:
            self._refuse(request, "unknown_server", self._unknown("server", request.target, self.core.index))

    def _carry_out(self, request: Request) -> None:
        """Now, or when a recovery that is under way has ended."""
        if request.op == "request_cancel":
            self.again.cancel(request)
            return
        for older in self.line.overtaken_by(request):
            text = f"A later request replaced this one: {' '.join(who_what(request)[1:])}."
            self.core.note("apisv", 8, "request", older.target, *who_what(older), text)
            self._answer(older, Answer(id=older.id, code=3, reason="failed", text=text))
        if why := self.line.obstacle(request, self.waiting):
            self.line.add(request, why)
            self.core.note("apisv", 5, "request", request.target, *who_what(request), why, rule="queued")
            self._progress(request, f"The request waits: {why}.")
        else:
            self._dispatch(request)

    def _progress(self, request: Request, text: str) -> None:
        answer = Answer(id=request.id, code=1, text=text)
        if request.origin in ("", self.core.me):
            self.core.reply(answer)
        else:
            self.core.send(request.origin, answer)

    def _dispatch(self, request: Request) -> None:
        if request.op.startswith("group_"):
            self._group(request)
        elif request.op in ("cluster_suspend", "cluster_resume"):
            self._suspend(request)
        elif request.op in ("cluster_stop", "cluster_shutdown", "cluster_reboot"):
            self._close(request)
        elif request.op.startswith("monitor_"):
            self._monitors.carry_out(request)
        elif request.op.startswith("fence_"):
            self._fences.carry_out(request)
        elif request.op.startswith("config_"):
            self.switch.carry_out(request)
        elif request.op in ("drill_check", "drill_start"):
            self.drills.carry_out(request)
        elif request.op == "server_release":
            self._release(request)
        else:
            text = f"{request.target or request.server or 'The server'} is in the cluster already."
            self._answer(request, Answer(id=request.id, code=0, text=text))

    def _release(self, request: Request) -> None:
        server, table = request.target, self.coordinator.table
        if server not in self.core.index:
            self._refuse(request, "unknown_server", self._unknown("server", server, self.core.index))
        elif server not in table.quarantine:
            self._answer(request, Answer(id=request.id, code=0, text=f"{server} is not in quarantine."))
        else:
            self.coordinator.change(**quarantine.release(self.core, table, server, self._log(request)))
            text = f"The quarantine of {server} is over: it takes groups again."
            self._answer(request, Answer(id=request.id, code=0, text=text))

    def _group(self, request: Request) -> None:
        groups = {g.name: g for g in self.core.cluster.groups}
        if request.target not in groups:
            self._refuse(request, "unknown_group", self._unknown("group", request.target, groups))
        elif request.server and request.server not in self.core.index:
            self._refuse(request, "unknown_server", self._unknown("server", request.server, self.core.index))
        elif self.coordinator.table.closing:
            self._refuse(request, "closing", "The cluster is being stopped.")
        elif self.coordinator.record(request.target).request == request.id:
            self._take_up(request)
        elif self.coordinator.table.suspended:
            self._refuse(request, "suspended", _SUSPENDED)
        elif self.switch.closed:
            self._refuse(request, "applying", _APPLYING)
        else:
            {"group_start": self._start, "group_stop": self._stop, "group_move": self._move}[request.op](request)

    def _take_up(self, request: Request) -> None:
        """An earlier coordinator has accepted it: its table says so. Not again, only to its end."""
        record = self.coordinator.record(request.target)
        if request.op == "group_stop":
            self._until_stopped(request, record.cause)
        else:
            self._until_online(request, request.server or record.goal, record.cause)

    def _start(self, request: Request) -> None:
        name = request.target
        holders = self.coordinator.holders(name)
        if holders:
            if request.server in ("", *holders) and self._is_online(name, holders[0]):
                self._answer(request, Answer(id=request.id, code=0, text=f"{name} is online on {holders[0]} already."))
            elif request.server in ("", holders[0]) and self.coordinator.record(name).goal == holders[0]:
                self._aim(request, holders[0], retry=True)
            else:
                self._refuse(request, "active_elsewhere",
                             f"{name} is active on {holders[0]}; move it instead (clpgrp -m).")  # fmt: skip
            return
        goal = request.server or self.coordinator.place(self.coordinator.group[name])
        if self._fits(request, goal):
            self._aim(request, goal)

    def _move(self, request: Request) -> None:
        group = self.core.cluster.group(request.target)
        current = self.coordinator.record(group.name).goal
        holders = self.coordinator.holders(group.name)
        if not holders:
            self._refuse(request, "not_active", f"{group.name} is not active; start it instead (clpgrp -s).")
            return
        goal = request.server or self.coordinator.place_next(group, current or holders[0])
        if goal in holders and self._is_online(group.name, goal) and len(holders) == 1:
            self._answer(request, Answer(id=request.id, code=0, text=f"{group.name} is online on {goal} already."))
        elif self._fits(request, goal):
            self._aim(request, goal)

    def _fits(self, request: Request, goal: str) -> bool:
        group = self.core.cluster.group(request.target)
        if not goal:
            self._refuse(request, "no_server", f"No other server of the failover policy of {group.name} is available.")
        elif goal not in group.policy:
            text = f"{goal} is not in the failover policy of {group.name} ({', '.join(group.policy)})."
            self._refuse(request, "not_in_policy", text)
        elif goal not in self.coordinator.available():
            self._refuse(request, "not_available", f"{goal} is not available now; see clpstat.")
        elif other := self.coordinator.exclusion.closed(group).get(goal):
            self._refuse(request, "excluded", f"{group.name} and {other} exclude each other; {other} is on {goal}.")
        elif unsure := [s for s in self.coordinator.unsure(group) if not self.coordinator.fencing.covers(s)]:
            self._refuse(request, "not_certain",
                         f"{', '.join(unsure)} may still run {group.name}: it is lost, not stopped.")  # fmt: skip
        else:
            return True
        return False

    def _aim(self, request: Request, goal: str, *, retry: bool = False) -> None:
        name = request.target
        note = self._log(request, "" if request.server else goal)
        origin = ", ".join(h for h in self.coordinator.holders(name) if h != goal)
        if request.op == "group_move":
            note = self.core.note("rc", 50, "group", name, name, origin, goal, rule="operator", causes=(note,))
        move = "move" if request.op == "group_move" and origin else ""
        self.coordinator.update(name, goal=goal, held=False, gave_up=False, tried=(), failovers=0, cause=note,
                                request=request.id, retry=retry, ordered="", failed_on=(), move=move,
                                stays=request.op == "group_move" or bool(request.server),
                                origin=origin)  # fmt: skip
        self.coordinator.stop_again(name)
        self._until_online(request, goal, note)

    def _until_online(self, request: Request, goal: str, note: str) -> None:
        name = request.target

        def failed() -> str:
            record = self.coordinator.record(name)
            if stuck := self.coordinator.stuck(name):
                return f"{name} could not be stopped: {self.coordinator.group_report(stuck[0], name).detail}"
            if record.gave_up or (record.goal == goal and self.coordinator.rests_in_failure(name, goal)):
                return f"{name} could not be started: {self.coordinator.group_report(record.goal or goal, name).detail}"
            if record.held and record.request == request.id:
                return f"{name} was not started: it has waited too long for {', '.join(self._behind(name))}."
            if record.request != request.id and record.goal != goal:
                return f"A later decision replaced this one: {name} now goes to {record.goal or 'no server'}."
            if record.goal and record.goal != goal and self._is_online(name, record.goal):
                return f"{name} could not be started on {goal}; it is online on {record.goal}."
            return ""

        self._wait(request, note, lambda: self._is_online(name, goal) and self.coordinator.holders(name) == [goal],
                   failed)  # fmt: skip

    def _behind(self, name: str) -> tuple[str, ...]:
        return self.coordinator.group[name].start_after

    def _stop(self, request: Request) -> None:
        name = request.target
        holders = self.coordinator.holders(name)
        if request.server and holders and request.server not in holders:
            self._refuse(request, "not_there", f"{name} is active on {holders[0]}, not on {request.server}.")
            return
        note = self._log(request, ", ".join(holders) or "no server")
        self.coordinator.update(name, goal="", held=True, gave_up=False, tried=(), failovers=0, cause=note,
                                request=request.id, failed_on=(), move="", origin="")  # fmt: skip
        self.coordinator.stop_again(name)
        self._until_stopped(request, note)

    def _until_stopped(self, request: Request, note: str) -> None:
        name = request.target

        def failed() -> str:
            if stuck := self.coordinator.stuck(name):
                return f"{name} could not be stopped: {self.coordinator.group_report(stuck[0], name).detail}"
            started = "A later decision replaced this one: the group is started."
            return "" if self.coordinator.record(name).held else started

        self._wait(request, note, lambda: not self.coordinator.holders(name), failed)

    def _suspend(self, request: Request) -> None:
        suspended = request.op == "cluster_suspend"
        note = self._log(request)
        self.coordinator.change(suspended=suspended)
        self.coordinator.resumed = "" if suspended else note

        def failed() -> str:
            later = "resumed" if suspended else "suspended"
            replaced = f"A later request replaced this one: the cluster is {later}."
            return "" if self.coordinator.table.suspended == suspended else replaced

        self._wait(request, note, lambda: all(
            (r := self.reports.of(m)) is not None and r.suspended == suspended for m in self.membership.view.members
        ), failed)  # fmt: skip

    def _close(self, request: Request) -> None:
        """Stop every group, then every member: the engine halts them when nothing is held any more."""
        note = self.close_note = self._log(request)
        for group in self.core.cluster.groups:
            self.coordinator.update(group.name, goal="", cause=note)
        how = {"cluster_shutdown": "shutdown", "cluster_reboot": "reboot"}.get(request.op, "")
        self.coordinator.change(closing=True, closing_halt=how, suspended=False)
        self._wait(request, note, lambda: False, self._stuck)

    def _stuck(self) -> str:
        bad = [
            f"{g.name} on {s}"
            for g in self.core.cluster.groups
            for s in self.membership.view.members
            if self.coordinator.group_report(s, g.name).state == "Offline Failure"
        ]
        return f"Could not be stopped: {', '.join(bad)}." if bad else ""

    def _leave(self, request: Request) -> None:
        if self.reports.suspended:
            self._refuse(request, "suspended", _SUSPENDED)
            return
        self.leave_request = request
        self.membership.leave(self._log(request))
        self.core.touch()

    # Waiting and answering ------------------------------------------------------------------------------------------

    def _wait(self, request: Request, note: str, done: Callable[[], bool], failed: Callable[[], str]) -> None:
        self.waiting[request.id] = Waiting(request=request, note=note, done=done, failed=failed)

    def settle(self) -> None:
        """Answer what has come true or has failed; called after every step."""
        self.drills.give_up(self.mine, self._finish_mine)
        if not self.membership.coordinates:
            if self.membership.view.coordinator != self.core.me:
                self.waiting.clear()  # The origin asks the new coordinator again.
                self.line.clear()
            return  # A new view of ours is on its way: they wait on.
        for request in self.line.ready(self.waiting):
            self._dispatch(request)
        for waiting in list(self.waiting.values()):
            request = waiting.request
            text = waiting.failed()
            if text:
                self._end(waiting, Answer(id=request.id, code=3, reason="failed", text=text))
            elif waiting.done():
                self._end(waiting, Answer(id=request.id, code=0, text="Done."))

    def _end(self, waiting: Waiting, answer: Answer) -> None:
        request = waiting.request
        del self.waiting[request.id]
        event = 3 if answer.code == 0 else 4
        self.core.note("apisv", event, "request", request.target, *who_what(request), answer.text,
                       causes=(waiting.note,))  # fmt: skip
        self._answer(request, answer)

    def finish(self, request: Request, text: str) -> None:
        """A leave or close has come true (the engine says so just before the service stops here)."""
        waiting = self.waiting.pop(request.id, None)
        self.core.note("apisv", 3, "request", request.target, *who_what(request), text,
                       causes=(waiting.note if waiting else self.membership.leave_note,))  # fmt: skip
        self._answer(request, Answer(id=request.id, code=0, text=text))

    def _refuse(self, request: Request, reason: str, text: str) -> None:
        self.core.note("apisv", 2, "request", request.target, *who_what(request), text)
        self._answer(request, _refused(request, reason, text))

    def _answer(self, request: Request, answer: Answer) -> None:
        self._remember(answer)
        if request.origin in ("", self.core.me):
            self._finish_mine(answer)
        else:
            self.core.send(request.origin, answer)

    def _log(self, request: Request, where: str = "") -> str:
        return self.core.note("apisv", 1, "request", request.target, *who_what(request), where, rule="operator")

    def _is_online(self, name: str, server: str) -> bool:
        return self.coordinator.group_report(server, name).state == "Online"

    def _unknown(self, kind: str, name: str, known: Iterable[str]) -> str:
        return f'There is no {kind} "{name}"; the {kind}s are {", ".join(known)}.'


def _refused(request: Request, reason: str, text: str) -> Answer:
    return Answer(id=request.id, code=2, reason=reason, text=text)
