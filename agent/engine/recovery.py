"""Monitors on this server: count failures, confirm, then reactivate → fail over → final action.

Rules: a monitor counts only its own results on this server. `retries` abnormal results in a row are forgiven; the
next one is an error. Each error leads to one step: restart while the restart threshold lasts, then failover while its
threshold lasts, then the final action once. A monitor that has been normal for cluster.calm_s counts anew: a program
that dies again and again shortly after each start comes to its failover, not to an endless row of restarts.
Where a step has a script (preaction) it runs first; the step follows when it has ended, well or not, unless the
monitor is normal again by then.
No step follows where the monitor only observes or recovery is switched off; the error is shown all the same.
A monitor of timing "active" runs only while its target is online here; it is stopped before its target is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from agent.clpconf.model import Monitor
from agent.engine.core import NEVER, Core
from agent.engine.effects import RunScript, StartMonitor, StopMonitor
from agent.engine.final_actions import HARD, STOP_RESOURCE
from agent.engine.groups import LocalGroups
from agent.engine.states import ONLINE, START_FAILED
from agent.wire.peer import MonitorWish
from agent.wire.report import MonitorReport, MonitorState

Step = Literal["", "restart", "failover", "final"]
_SCRIPT_GRACE_S = 15.0  # beyond its timeout, for the word of its end
_PRETENDED = "a failure is pretended, as the operator asked for"
_NO_WISH = MonitorWish()


class LocalMonitor(msgspec.Struct):
    running: bool = False
    state: MonitorState = "Offline"
    since: float = 0.0
    detail: str = ""
    elapsed_ms: float = 0.0
    failures: int = 0  # in a row
    restarts: int = 0
    failovers: int = 0
    finished: bool = False  # the final action of this episode has run
    alarmed: bool = False  # an error has been told, and not yet that it is over
    normal_since: float = NEVER
    suspended: bool = False  # by the operator, this one alone
    pretends: bool = False
    drilled: bool = False  # it pretends for a drill (drills.py)
    step: Step = ""  # that waits for its script
    step_cause: str = ""
    token: int = 0  # of the script


class Recovery:
    """Starts and stops the monitors as their targets come and go; answers errors."""

    def __init__(self, core: Core, groups: LocalGroups) -> None:
        self.core = core
        self.groups = groups
        self.monitors = [m for m in core.cluster.monitors if m.runs_on(core.me)]
        self.by_name = {m.name: m for m in self.monitors}
        self.local = {m.name: LocalMonitor() for m in self.monitors}
        self.group_of = {resource: g.name for g in core.cluster.groups for resource in g.resources}
        self.suspended = False
        self._wishes: Mapping[str, MonitorWish] = {}
        self._aligned: tuple[object, ...] = ()

    # Which monitors run -----------------------------------------------------------------------------------------

    def align(self, in_service: bool) -> None:
        """Run exactly those monitors whose time it is."""
        seen = (in_service, self.suspended, self.groups.version)
        if seen == self._aligned:
            return
        self._aligned = seen
        online = self.groups.online_resources()
        for monitor in self.monitors:
            local = self.local[monitor.name]
            suspended = self.suspended or local.suspended
            its_time = in_service and self._due(monitor, online)
            due = its_time and not suspended
            if due and not local.running:
                self._start(monitor)
            elif not due and local.running:
                self._stop(monitor)
            if suspended and its_time:
                self._set(monitor.name, "Suspend", "")
            elif not due and local.state != "Offline":
                self._set(monitor.name, "Offline", "")

    def _due(self, monitor: Monitor, online: set[str]) -> bool:
        if monitor.timing == "always":
            return True
        group = self.group_of.get(monitor.target)
        return monitor.target in online and self.groups.local[group or ""].state in (ONLINE, START_FAILED)

    def _start(self, monitor: Monitor) -> None:
        local = self.local[monitor.name]
        local.running, local.failures = True, 0
        self.core.emit(StartMonitor(monitor=monitor.name))
        if local.state in ("Offline", "Suspend"):
            self._set(monitor.name, "Unknown", "")

    def _stop(self, monitor: Monitor) -> None:
        local = self.local[monitor.name]
        local.running, local.step, local.token = False, "", 0
        local.normal_since = NEVER
        self.core.emit(StopMonitor(monitor=monitor.name))
        self._set(monitor.name, "Offline", "")

    def suspend(self, suspended: bool) -> None:
        self.suspended = suspended

    def wish(self, wishes: Mapping[str, MonitorWish]) -> None:
        """What operators want of single monitors, as the table says."""
        if wishes is self._wishes:
            return
        self._wishes = wishes
        for name, local in self.local.items():
            wish = wishes.get(name, _NO_WISH)
            suspended, pretends = self.core.me in wish.suspended, self.core.me in wish.failing
            if suspended != local.suspended:
                local.suspended, self._aligned = suspended, ()
                self._tell(name, 29 if suspended else 30, wish.cause)
            if pretends != local.pretends:
                local.pretends = pretends
                self._tell(name, 180 if pretends else 181, wish.cause)

    def pretend(self, drilled: str, cause: str) -> None:
        """A drill lets this monitor report a failure, "" none of them."""
        for name, local in self.local.items():
            if local.drilled != (name == drilled):
                local.drilled = name == drilled
                self._tell(name, 180 if local.drilled else 181, cause)

    def _tell(self, name: str, event: int, cause: str) -> None:
        self.core.note("rm", event, "monitor", name, name, self.core.me, rule="operator", causes=(cause,))
        self.core.touch()

    # Results ----------------------------------------------------------------------------------------------------

    def result(
        self, name: str, ok: bool, detail: str, elapsed_ms: float, warning: bool, *, timed_out: bool = False
    ) -> None:
        local = self.local.get(name)
        if local is None or not local.running:
            return  # Late answer of a monitor that has been stopped.
        local.elapsed_ms = elapsed_ms
        if ok and not (local.pretends or local.drilled):
            self._normal(name, warning, detail)
            return
        monitor, detail = self.by_name[name], _PRETENDED if ok else detail
        forgiven = 0 if timed_out and not monitor.retry_timeout else monitor.retries
        local.failures += 1
        if local.failures <= forgiven:
            self._set(name, "Caution", f"{detail} ({local.failures} of {forgiven + 1})")
            return
        if local.state == "Error" and self._has_answered(local, name):
            local.failures = 0
            self._set(name, "Error", detail)  # All has been said and done.
            return
        local.failures, local.alarmed, local.normal_since = 0, True, NEVER
        note = self.core.note("rm", 9, "monitor", name, name, self.core.me, detail,
                              before=local.state, after="Error")  # fmt: skip
        self._set(name, "Error", detail)
        if not self._left_alone(monitor, timed_out, note):
            self._recover(monitor, local, note)

    def _has_answered(self, local: LocalMonitor, name: str) -> bool:
        return local.finished or bool(local.step) or f"left alone {name}" in self.core.said

    def _normal(self, name: str, warning: bool, detail: str) -> None:
        local = self.local[name]
        if local.alarmed:
            local.alarmed = False
            self.core.clear(f"left alone {name}")
            self.core.note("rm", 26, "monitor", name, name, self.core.me, before="Error", after="Normal")
        local.failures = 0
        local.normal_since = min(local.normal_since, self.core.now)
        calm = self.core.now >= local.normal_since + self.core.cluster.calm_s
        if calm and (local.restarts or local.failovers or local.finished):
            local.restarts = local.failovers = 0
            local.finished = False
            self.core.touch()
        self._set(name, "Caution" if warning else "Normal", detail if warning else "")

    def _set(self, name: str, state: MonitorState, detail: str) -> None:
        local = self.local[name]
        if local.state != state or local.detail != detail:
            if local.state != state:
                local.since = self.core.now
            local.state, local.detail = state, detail
            self.core.touch()

    def _left_alone(self, monitor: Monitor, timed_out: bool, cause: str) -> bool:
        """Is an error of this monitor only shown? Says why, once in an episode."""
        event, rule = 0, ""
        if monitor.observe:
            event, rule = 190, "observe"
        elif self.core.cluster.ignore_monitor_errors:
            event, rule = 192, "errordetect"
        elif not monitor.recovery_type:
            event, rule = 193, "no-recovery-target"
        elif timed_out and not monitor.recover_timeout:
            event, rule = 193, "no-recovery-at-timeout"
        if event:
            self.core.note_once(f"left alone {monitor.name}", "rm", event, "monitor", monitor.name, monitor.name,
                                self.core.me, rule=rule, cause=cause)  # fmt: skip
        return bool(event)

    # Recovery ---------------------------------------------------------------------------------------------------

    def _recover(self, monitor: Monitor, local: LocalMonitor, cause: str) -> None:
        if local.step:
            return  # Its script runs.
        step = self._next_step(monitor, local, cause)
        script = monitor.preaction
        if script is None or not step or not getattr(script, step):
            self._take(monitor, local, step, cause)
            return
        group, _ = self._target(monitor)
        local.step, local.token = step, self.core.next_token()
        local.step_cause = self.core.note("rm", 169, "monitor", monitor.name, monitor.name, step, rule="preaction",
                                          causes=(cause,))  # fmt: skip
        self.core.timers[f"script {monitor.name}"] = self.core.now + script.timeout_s + _SCRIPT_GRACE_S
        self.core.emit(RunScript(token=local.token, monitor=monitor.name, step=step, group=group, path=script.path,
                                 timeout_s=script.timeout_s))  # fmt: skip

    def script_done(self, token: int, ok: bool, detail: str) -> None:
        """Tokens of monitors that have stopped meanwhile are unknown."""
        name = next((n for n, m in self.local.items() if token and m.token == token), "")
        if not name:
            return
        monitor, local = self.by_name[name], self.local[name]
        step, local.step, local.token = local.step, "", 0
        self.core.timers.pop(f"script {name}", None)
        note = self.core.note("rm", 170 if ok else 171, "monitor", name, name, step, detail,
                              causes=(local.step_cause,))  # fmt: skip
        if local.state != "Error":
            self.core.note("cp", 9, "monitor", name, f"monitor {name} is normal again", rule="preaction",
                           causes=(note,))  # fmt: skip
        elif self._next_step(monitor, local, note) == step:
            self._take(monitor, local, step, note)

    def script_late(self, name: str) -> None:
        """Nobody waits for ever for the end of a script."""
        self.script_done(self.local[name].token, False, "nothing was heard of its end")

    def _next_step(self, monitor: Monitor, local: LocalMonitor, cause: str) -> Step:
        group, _ = self._target(monitor)
        if group and self.groups.local[group].state not in (ONLINE, START_FAILED):
            self.core.note("rm", 25, "monitor", monitor.name, monitor.name, group, causes=(cause,))
            return ""
        if group and local.restarts < monitor.restart_threshold:
            return "restart"
        if group and local.failovers < monitor.failover_threshold:
            return "failover"
        return "" if local.finished else "final"

    def _take(self, monitor: Monitor, local: LocalMonitor, step: Step, cause: str) -> None:
        group, resource = self._target(monitor)
        if step == "restart":
            local.restarts += 1
            note = self.core.note("rm", 13, "monitor", monitor.name, resource or group, monitor.name,
                                  f"{local.restarts}/{monitor.restart_threshold}", rule="reactivation",
                                  causes=(cause,))  # fmt: skip
            self.groups.restart(group, resource, note)
        elif step == "failover":
            local.failovers += 1
            note = self.core.note("rm", 14, "monitor", monitor.name, group, monitor.name,
                                  f"{local.failovers}/{monitor.failover_threshold}", rule="failover",
                                  causes=(cause,))  # fmt: skip
            self.groups.want_failover(group, note, f"{monitor.name}: {local.detail}")
        elif step == "final":
            local.finished = True
            self._final_action(monitor, group, resource, cause)
        self.core.touch()

    def _target(self, monitor: Monitor) -> tuple[str, str]:
        """(group, resource) to recover; ("", "") when the target is the whole server."""
        if monitor.recovery_type == "grp":
            return monitor.recovery_name, ""
        if monitor.recovery_type == "rsc":
            group = self.group_of.get(monitor.recovery_name)
            return (group, monitor.recovery_name) if group else ("", "")
        return "", ""

    def _final_action(self, monitor: Monitor, group: str, resource: str, cause: str) -> None:
        action, name = monitor.action, monitor.name
        if self.groups.final.left_out(action, "monitor", name, cause):
            return
        about = resource if resource and action == STOP_RESOURCE else group or self.core.me
        params = (name, HARD[action]) if action in HARD else (name, about)
        note = self.core.note("rm", _final_event(action, group), "monitor", name, *params, rule="final-action",
                              causes=(cause,))  # fmt: skip
        if action == STOP_RESOURCE and resource:
            self.groups.stop_resource(group, resource, note)
        elif action in (2, STOP_RESOURCE) and group:
            self.groups.stop_for_good(group, note)
        elif action >= 3 and action != STOP_RESOURCE:
            self.groups.final.take(action, note, f"monitor {name} found an error")

    # Views on it ------------------------------------------------------------------------------------------------

    def reports(self) -> dict[str, MonitorReport]:
        return {
            name: MonitorReport(
                state=m.state, since=m.since, detail=m.detail, elapsed_ms=m.elapsed_ms,
                restarts=m.restarts, failovers=m.failovers,
            )
            for name, m in self.local.items()
        }  # fmt: skip


def _final_event(action: int, group: str) -> int:
    """rm ids: 12 something is stopped, 15 the service, 16 shutdown, 17 reboot, 35 a hard reset, 193 nothing."""
    if action in (2, STOP_RESOURCE):
        return 12 if group else 193  # The target is the whole server: there is no group to stop.
    return {0: 193, 1: 193, 3: 15, 4: 16, 5: 17}.get(action, 35)
