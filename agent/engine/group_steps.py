"""One step of the groups on this server towards what is wanted, and what is reported of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from agent.engine.core import Core
from agent.engine.effects import Activate, Announce, Deactivate
from agent.engine.final_actions import FinalActions
from agent.engine.local_state import Retry, fresh
from agent.engine.order import DefaultDepends, depends_on
from agent.engine.states import (
    GROUP,
    OFFLINE,
    ONLINE,
    RESOURCE,
    START_FAILED,
    STARTING,
    STOP_FAILED,
    STOPPING,
    moved,
)
from agent.wire.report import GroupReport, ResourceReport

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 2.0
_RC_GROUP = {STARTING: 10, ONLINE: 11, START_FAILED: 12, STOPPING: 20, OFFLINE: 21, STOP_FAILED: 22}
_RC_RESOURCE = {STARTING: 30, ONLINE: 31, START_FAILED: 32, STOPPING: 40, OFFLINE: 41, STOP_FAILED: 42}


class GroupSteps:
    """What LocalGroups rests on; decides nothing."""

    def __init__(self, core: Core, defaults: DefaultDepends, reboots: Sequence[float] = ()) -> None:
        self.core = core
        self.final = FinalActions(core, reboots)
        self.version = 0  # raised by every change of what is online here
        self.depends = {g.name: depends_on(core.cluster, g, defaults) for g in core.cluster.groups}
        self.above = {
            name: {r: frozenset(o for o, on in deps.items() if r in on) for r in deps}
            for name, deps in self.depends.items()
        }
        self.resource = {r.name: r for r in core.cluster.resources}
        self.group = {g.name: g for g in core.cluster.groups}
        self.local = {g.name: fresh(g) for g in core.cluster.groups}
        self.actions: dict[int, tuple[str, str]] = {}  # token -> group, resource
        self._retries: dict[str, Retry] = {}  # by resource
        self._held: set[str] = set()  # groups that are not offline
        self._fresh = set(self.local)  # groups that have changed since they were reported
        self._unsaved: set[str] = set()  # and since they were saved
        self._group_reports: dict[str, GroupReport] = {}
        self._resource_reports: dict[str, ResourceReport] = {}
        self._saved: dict[str, Any] = {}

    def mark(self, name: str) -> None:
        """This group may have changed. Whoever changes one says so: reports of a thousand resources are not made anew
        for each step of one."""
        self._fresh.add(name)
        self._unsaved.add(name)
        (self._held.discard if self.local[name].state == OFFLINE else self._held.add)(name)

    # Steps ----------------------------------------------------------------------------------------------------

    def _advance(self, name: str) -> None:
        group = self.local[name]
        if group.state in (STARTING, STOPPING):
            for resource_name in group.resources:
                self._advance_resource(name, resource_name)
            self._settle(name)

    def _advance_resource(self, name: str, resource_name: str) -> None:
        group = self.local[name]
        resource = group.resources[resource_name]
        if resource.action:
            return
        if resource.wanted and resource.state == OFFLINE and group.state == STARTING:
            if self.core.may_start() and all(
                group.resources[d].state == ONLINE for d in self.depends[name][resource_name]
            ):
                self._move_resource(name, resource_name, "activate")
                self._run(name, resource_name, "up")
        elif not resource.wanted and resource.state in (STARTING, ONLINE, START_FAILED, STOP_FAILED):
            if resource.state == STOP_FAILED and group.state != STOPPING:
                return
            if all(group.resources[a].state == OFFLINE for a in self.above[name][resource_name]):
                self._move_resource(name, resource_name, "deactivate")
                resource.attempt = 0
                self._run(name, resource_name, "down")

    def _settle(self, name: str) -> None:
        """Has the group arrived?"""
        group = self.local[name]
        states = {r.state for r in group.resources.values()}
        if group.state == STOPPING and states <= {OFFLINE}:
            self._move(name, "all_offline", group.cause)
        elif group.state == STARTING and group.restarting:
            if all(r.wanted or r.state == OFFLINE for r in group.resources.values()):
                group.restarting = False
                for resource in group.resources.values():
                    resource.wanted = not resource.stopped
                self.version += 1
                self._advance(name)
        elif group.state == STARTING and all(
            r.state == (ONLINE if r.wanted else OFFLINE) for r in group.resources.values()
        ):
            self._move(name, "all_online", group.cause)

    def _run(self, name: str, resource_name: str, direction: Literal["up", "down"]) -> None:
        group = self.local[name]
        resource, plan = group.resources[resource_name], self.resource[resource_name]
        self.mark(name)
        resource.attempt += 1
        resource.action, resource.token = direction, self.core.next_token()
        self.actions[resource.token] = (name, resource_name)
        step = plan.activation if direction == "up" else plan.deactivation
        # The pause before a retry is part of its time.
        paused_s = pause_s(resource.attempt - 1) if resource.attempt > 1 else 0.0
        timeout_s = max(step.timeout_s / 2, step.timeout_s - paused_s)
        if direction == "up":
            self.core.emit(Activate(token=resource.token, group=name, resource=resource_name, event=group.event,
                                    timeout_s=timeout_s, attempt=resource.attempt))  # fmt: skip
        else:
            self.core.emit(Deactivate(token=resource.token, group=name, resource=resource_name, factor=group.factor,
                                      timeout_s=timeout_s, attempt=resource.attempt))  # fmt: skip

    def _move_resource(self, name: str, resource_name: str, cause: str) -> str:
        resource = self.local[name].resources[resource_name]
        before = resource.state
        resource.state, resource.since = moved(RESOURCE, before, cause), self.core.now
        self.mark(name)
        self.version += 1
        self.core.touch()
        return self.core.note("rc", _RC_RESOURCE[resource.state], "resource", resource_name, resource_name,
                              self.core.me, resource.detail, causes=(self.local[name].cause,), before=before,
                              after=resource.state)  # fmt: skip

    def _move(self, name: str, cause: str, because: str) -> str:
        group = self.local[name]
        before = group.state
        group.state, group.since = moved(GROUP, before, cause), self.core.now
        self.mark(name)
        self.version += 1
        self.core.touch()
        return self.core.note("rc", _RC_GROUP[group.state], "group", name, name, self.core.me, group.detail,
                              causes=(because,), before=before, after=group.state)  # fmt: skip

    # Views on it ----------------------------------------------------------------------------------------------

    def announce_all(self) -> None:
        """Another server stood down: neighbours may still send to its hardware address."""
        for name, group in self.local.items():
            if group.state in (ONLINE, STARTING):
                self.core.emit(Announce(group=name))

    def holding(self) -> bool:
        return bool(self._held)

    def online_resources(self) -> set[str]:
        return {
            name
            for group in map(self.local.__getitem__, self._held)
            if group.state in (ONLINE, STARTING)
            for name, resource in group.resources.items()
            if resource.state == ONLINE and resource.wanted
        }

    def group_reports(self) -> dict[str, GroupReport]:
        self._report()
        return self._group_reports

    def resource_reports(self) -> dict[str, ResourceReport]:
        self._report()
        return self._resource_reports

    def _report(self) -> None:
        """New dictionaries only when something is new: readers know the old ones again."""
        if not self._fresh:
            return
        groups, resources = dict(self._group_reports), dict(self._resource_reports)
        for name in sorted(self._fresh):
            g = self.local[name]
            groups[name] = GroupReport(
                state=g.state, serial=g.serial, epoch=g.start_epoch, since=g.since, failed_serial=g.failed_serial,
                wants=g.wants, wants_id=g.wants_id, detail=g.detail, start_serial=g.start_serial, halts=g.halts,
            )  # fmt: skip
            for resource, r in g.resources.items():
                resources[resource] = ResourceReport(state=r.state, since=r.since, detail=r.detail)
        self._fresh.clear()
        self._group_reports, self._resource_reports = groups, resources

    def saved(self) -> dict[str, Any]:
        """For a later daemon of the same boot (`adopt`)."""
        if self._unsaved:
            self._saved = {n: s for n, s in self._saved.items() if n not in self._unsaved}
            for name in sorted(self._unsaved & self._held):
                self._saved[name] = msgspec.to_builtins(self.local[name])
            self._unsaved.clear()
        return self._saved


def pause_s(attempt: int) -> float:
    """Between the attempt of this number, which failed, and the next."""
    return float(min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** (attempt - 1)))
