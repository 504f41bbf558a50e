"""Monitors on this server: count failures, confirm, then reactivate → fail over → final action.

Rules: a monitor counts only its own results on this server. `retries` abnormal results in a row are forgiven; the
next one is an error. Each error leads to one step: restart while the restart threshold lasts, then failover while its
threshold lasts, then the final action once. A normal result ends the episode and clears all counters
(threshold defaults 3/1: reference/clp-conf-format.md section 8).
A monitor of timing "active" runs only while its target is online here; it is stopped before its target is.
"""

from __future__ import annotations

import msgspec

from agent.clpconf.model import Monitor
from agent.engine.core import Core
from agent.engine.effects import StartMonitor, StopMonitor
from agent.engine.groups import LocalGroups
from agent.engine.states import ONLINE, START_FAILED
from agent.wire.report import MonitorReport, MonitorState


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


class Recovery:
    """Starts and stops the monitors as their targets come and go; answers errors."""

    def __init__(self, core: Core, groups: LocalGroups) -> None:
        self.core = core
        self.groups = groups
        self.monitors = [m for m in core.cluster.monitors if m.runs_on(core.me)]
        self.by_name = {m.name: m for m in self.monitors}
        self.local = {m.name: LocalMonitor() for m in self.monitors}
        self.suspended = False

    # Which monitors run -----------------------------------------------------------------------------------------

    def align(self, in_service: bool) -> None:
        """Run exactly those monitors whose time it is."""
        online = self.groups.online_resources()
        for monitor in self.monitors:
            due = in_service and not self.suspended and self._due(monitor, online)
            if due and not self.local[monitor.name].running:
                self._start(monitor)
            elif not due and self.local[monitor.name].running:
                self._stop(monitor)
            if self.suspended and in_service and self._due(monitor, online):
                self._set(monitor.name, "Suspend", "")
            elif not due and self.local[monitor.name].state != "Offline":
                self._set(monitor.name, "Offline", "")

    def _due(self, monitor: Monitor, online: set[str]) -> bool:
        if monitor.timing == "always":
            return True
        if monitor.target in online:
            group = self.core.cluster.group_of(monitor.target)
            return group is not None and self.groups.local[group.name].state in (ONLINE, START_FAILED)
        return False

    def _start(self, monitor: Monitor) -> None:
        local = self.local[monitor.name]
        local.running, local.failures = True, 0
        self.core.emit(StartMonitor(monitor=monitor.name))
        if local.state in ("Offline", "Suspend"):
            self._set(monitor.name, "Unknown", "")

    def _stop(self, monitor: Monitor) -> None:
        self.local[monitor.name].running = False
        self.core.emit(StopMonitor(monitor=monitor.name))
        self._set(monitor.name, "Offline", "")

    # Results ----------------------------------------------------------------------------------------------------

    def result(self, name: str, ok: bool, detail: str, elapsed_ms: float, warning: bool) -> None:
        local = self.local.get(name)
        if local is None or not local.running:
            return  # Late answer of a monitor that has been stopped.
        local.elapsed_ms = elapsed_ms
        if ok:
            self._normal(name, warning, detail)
            return
        local.failures += 1
        if local.failures <= self.by_name[name].retries:
            self._set(name, "Caution", f"{detail} ({local.failures} of {self.by_name[name].retries + 1})")
            return
        local.failures = 0
        note = self.core.note("rm", 9, "monitor", name, name, self.core.me, detail,
                              before=local.state, after="Error")  # fmt: skip
        self._set(name, "Error", detail)
        self._recover(self.by_name[name], local, note)

    def _normal(self, name: str, warning: bool, detail: str) -> None:
        local = self.local[name]
        if local.state == "Error" or local.restarts or local.failovers or local.finished:
            self.core.note("rm", 26, "monitor", name, name, self.core.me, before="Error", after="Normal")
        local.failures = local.restarts = local.failovers = 0
        local.finished = False
        self._set(name, "Caution" if warning else "Normal", detail if warning else "")

    def _set(self, name: str, state: MonitorState, detail: str) -> None:
        local = self.local[name]
        if local.state != state or local.detail != detail:
            if local.state != state:
                local.since = self.core.now
            local.state, local.detail = state, detail
            self.core.touch()

    # Recovery ---------------------------------------------------------------------------------------------------

    def _recover(self, monitor: Monitor, local: LocalMonitor, cause: str) -> None:
        group, resource = self._target(monitor)
        if group and self.groups.local[group].state not in (ONLINE, START_FAILED):
            self.core.note("rm", 25, "monitor", monitor.name, monitor.name, group, causes=(cause,))
            return
        if group and local.restarts < monitor.restart_threshold:
            local.restarts += 1
            note = self.core.note("rm", 13, "monitor", monitor.name, resource or group, monitor.name,
                                  f"{local.restarts}/{monitor.restart_threshold}", rule="reactivation",
                                  causes=(cause,))  # fmt: skip
            self.groups.restart(group, resource, note)
        elif group and local.failovers < monitor.failover_threshold:
            local.failovers += 1
            note = self.core.note("rm", 14, "monitor", monitor.name, group, monitor.name,
                                  f"{local.failovers}/{monitor.failover_threshold}", rule="failover",
                                  causes=(cause,))  # fmt: skip
            self.groups.want_failover(group, note, f"{monitor.name}: {local.detail}")
        elif not local.finished:
            local.finished = True
            self._final_action(monitor, group, cause)
        self.core.touch()

    def _target(self, monitor: Monitor) -> tuple[str, str]:
        """(group, resource) to recover; ("", "") when the target is the whole server."""
        if monitor.recovery_type == "grp":
            return monitor.recovery_name, ""
        if monitor.recovery_type == "rsc":
            group = self.core.cluster.group_of(monitor.recovery_name)
            return (group.name, monitor.recovery_name) if group else ("", "")
        return "", ""

    def _final_action(self, monitor: Monitor, group: str, cause: str) -> None:
        event = _final_event(monitor.action, group)
        note = self.core.note("rm", event, "monitor", monitor.name, monitor.name, group or self.core.me,
                              rule="final-action", causes=(cause,))  # fmt: skip
        if monitor.action in (2, 16) and group:
            self.groups.stop_for_good(group, note)
        elif monitor.action >= 3:
            self.groups.final_server_action(monitor.action, note, f"monitor {monitor.name} found an error")

    # Views on it ------------------------------------------------------------------------------------------------

    def suspend(self, suspended: bool) -> None:
        self.suspended = suspended

    def reports(self) -> dict[str, MonitorReport]:
        return {
            name: MonitorReport(
                state=m.state, since=m.since, detail=m.detail, elapsed_ms=m.elapsed_ms,
                restarts=m.restarts, failovers=m.failovers,
            )
            for name, m in self.local.items()
        }  # fmt: skip


def _final_event(action: int, group: str) -> int:
    """rm ids: 12 the group is stopped, 15 the service, 16 shutdown, 17 reboot, 35 a hard reset, 193 nothing."""
    if action in (2, 16):
        return 12 if group else 193  # The target is the whole server: there is no group to stop.
    return {0: 193, 1: 193, 3: 15, 4: 16, 5: 17}.get(action, 35)
