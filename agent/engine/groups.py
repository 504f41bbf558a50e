"""The failover groups on this server: take resources up and down in order, retry, report failure.

Rules: nothing here starts a group by itself; an order does. Nothing here decides where a group runs. Each resource
wants to be up or down (`wanted`); `_advance` starts whatever may go a step towards it. A resource goes up when all
it depends on is online, and down when all that depends on it is offline.
A retry follows a failed attempt at once, `retry` times; then the failure is final and the group rests in it until
the coordinator orders a stop (to try elsewhere) or gives up (then the final action of the resource runs).
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from agent.clpconf.model import Activation, Group
from agent.engine.core import Core
from agent.engine.effects import Abort, Activate, Announce, Deactivate, HaltServer
from agent.engine.order import DefaultDepends, dependents, depends_on
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
from agent.wire.epoch import NO_EPOCH, Epoch
from agent.wire.peer import Order
from agent.wire.report import GroupReport, GroupState, ResourceReport

_RC_GROUP = {STARTING: 10, ONLINE: 11, START_FAILED: 12, STOPPING: 20, OFFLINE: 21, STOP_FAILED: 22}
_RC_RESOURCE = {STARTING: 30, ONLINE: 31, START_FAILED: 32, STOPPING: 40, OFFLINE: 41, STOP_FAILED: 42}


class LocalResource(msgspec.Struct):
    """One resource here. `token` names the running action, 0 when none runs."""

    state: GroupState = OFFLINE
    since: float = 0.0
    wanted: bool = False
    token: int = 0
    action: Literal["", "up", "down"] = ""
    attempt: int = 0
    detail: str = ""


class LocalGroup(msgspec.Struct):
    state: GroupState = OFFLINE
    since: float = 0.0
    serial: int = 0
    start_epoch: Epoch = NO_EPOCH
    start_serial: int = 0
    failed_serial: int = 0
    wants: Literal["", "failover"] = ""
    wants_id: str = ""
    detail: str = ""
    event: str = "START"  # CLP_EVENT of the running activation
    factor: str = ""  # CLP_FACTOR of the running deactivation
    cause: str = ""  # note behind the newest order
    restarting: bool = False  # resources that went down for a restart come up again by themselves
    resources: dict[str, LocalResource] = {}


class LocalGroups:
    """All groups, as far as they live on this server."""

    def __init__(self, core: Core, defaults: DefaultDepends) -> None:
        self.core = core
        self.depends = {g.name: depends_on(core.cluster, g, defaults) for g in core.cluster.groups}
        self.above = {
            name: {r: frozenset(o for o, on in deps.items() if r in on) for r in deps}
            for name, deps in self.depends.items()
        }
        self.resource = {r.name: r for r in core.cluster.resources}
        self.group = {g.name: g for g in core.cluster.groups}
        self.local = {g.name: _fresh(g) for g in core.cluster.groups}
        self.actions: dict[int, tuple[str, str]] = {}  # token -> group, resource

    # Orders ---------------------------------------------------------------------------------------------------

    def obey(self, order: Order) -> None:
        """Carry an order out; older or repeated ones are ignored (the caller has checked the epoch)."""
        group = self.local.get(order.group)
        if group is None or order.serial <= group.serial:
            return
        group.serial = order.serial
        group.cause = order.cause
        self.core.touch()
        if order.action == "start":
            self._start(order)
        elif order.action == "stop":
            self.stop(order.group, order.why)
        else:
            self._give_up(order.group, order.cause)

    def _start(self, order: Order) -> None:
        group = self.local[order.group]
        if group.state == START_FAILED:
            group.start_serial = order.serial
            self._retry_start(order.group, order.cause)
        if group.state != OFFLINE:
            return
        group.event = order.why
        group.start_epoch = order.epoch
        group.start_serial = order.serial
        group.failed_serial = 0
        group.wants, group.wants_id, group.detail = "", "", ""
        group.restarting = False
        for resource in group.resources.values():
            resource.wanted, resource.attempt, resource.detail = True, 0, ""
        self._move(order.group, "start", order.cause)
        self._advance(order.group)

    def _retry_start(self, name: str, cause: str) -> None:
        """The operator wants another attempt: what failed goes down with all that rests on it, then all go up."""
        group = self.local[name]
        group.factor, group.event, group.cause = "RESOURCERESTART", "START", cause
        group.wants, group.wants_id, group.detail, group.failed_serial = "", "", "", 0
        for failed in [r for r, local in group.resources.items() if local.state == START_FAILED]:
            for each in dependents(self.depends[name], failed):
                group.resources[each].wanted, group.resources[each].attempt = False, 0
        group.restarting = True
        self._move(name, "restart", cause)
        self._advance(name)

    def stop(self, name: str, factor: str, cause: str = "") -> None:
        """Take the group down, whatever it is doing."""
        group = self.local[name]
        if group.state in (OFFLINE, STOPPING):
            return
        group.factor = factor
        group.cause = cause or group.cause
        group.wants, group.wants_id, group.restarting = "", "", False
        for resource in group.resources.values():
            resource.wanted = False
            resource.attempt = 0
            if resource.action == "up":
                self.core.emit(Abort(token=resource.token))
        self._move(name, "stop", group.cause)
        self._advance(name)

    def stop_for_good(self, name: str, cause: str) -> None:
        """A final action stops the group: the coordinator shall not start it again by itself."""
        self.local[name].failed_serial = self.local[name].start_serial
        self.stop(name, "GROUPSTOP", cause)
        self.local[name].wants_id = cause

    def stop_all(self, factor: str, cause: str) -> None:
        for name in self.local:
            self.stop(name, factor, cause)

    def _give_up(self, name: str, cause: str) -> None:
        """No server is left to try: the final action of the failed resource runs here."""
        group = self.local[name]
        group.wants, group.wants_id = "", ""
        failed = [r for r, local in group.resources.items() if local.state == START_FAILED]
        for resource in failed:
            self._final_activation_action(name, resource, cause)

    # Reactivation ---------------------------------------------------------------------------------------------

    def restart(self, name: str, resource: str, cause: str) -> bool:
        """Take `resource` ("" for the whole group) and all that rests on it down and up again in place."""
        group = self.local[name]
        if group.state not in (ONLINE, START_FAILED):
            return False
        names = dependents(self.depends[name], resource) if resource else frozenset(group.resources)
        group.factor, group.event, group.cause = "RESOURCERESTART", "START", cause
        group.wants, group.wants_id, group.detail = "", "", ""
        group.restarting = True
        for each in names:
            group.resources[each].wanted = False
            group.resources[each].attempt = 0
        self._move(name, "restart", cause)
        self._advance(name)
        return True

    def want_failover(self, name: str, cause: str, detail: str) -> bool:
        """Ask the coordinator for another server; False when the group is not in a state to move."""
        group = self.local[name]
        if group.state not in (ONLINE, START_FAILED):
            return False
        group.wants, group.wants_id, group.detail = "failover", cause, detail
        self.core.touch()
        return True

    # Results --------------------------------------------------------------------------------------------------

    def action_done(self, token: int, ok: bool, detail: str) -> None:
        """An Activate or Deactivate has ended; unknown tokens belong to an earlier life and are ignored."""
        place = self.actions.pop(token, None)
        if place is None:
            return
        name, resource_name = place
        resource = self.local[name].resources[resource_name]
        direction, resource.token, resource.action = resource.action, 0, ""
        resource.detail = "" if ok else detail
        if direction == "up":
            self._activated(name, resource_name, ok)
        else:
            self._deactivated(name, resource_name, ok)
        self._advance(name)

    def _activated(self, name: str, resource_name: str, ok: bool) -> None:
        group, resource = self.local[name], self.local[name].resources[resource_name]
        if not resource.wanted:
            return  # Aborted by a stop: _advance takes it down.
        if ok:
            self._move_resource(name, resource_name, "done")
            resource.attempt = 0
            return
        plan = self.resource[resource_name].activation
        if resource.attempt <= plan.retry:
            self._retry(name, resource_name, 200, plan)
            return
        note = self._move_resource(name, resource_name, "failed")
        if group.state == STARTING:
            self._fail_start(name, resource_name, plan, note)

    def _fail_start(self, name: str, resource_name: str, plan: Activation, cause: str) -> None:
        group = self.local[name]
        group.detail = f"{resource_name}: {group.resources[resource_name].detail}"
        group.failed_serial = group.start_serial
        note = self._move(name, "resource_failed", cause)
        for resource in group.resources.values():
            if resource.state == OFFLINE:
                resource.wanted = False
        if plan.failover > 0:
            group.wants, group.wants_id = "failover", note
        else:
            self._final_activation_action(name, resource_name, note)

    def _deactivated(self, name: str, resource_name: str, ok: bool) -> None:
        group, resource = self.local[name], self.local[name].resources[resource_name]
        if ok:
            self._move_resource(name, resource_name, "done")
            resource.attempt = 0
            return
        plan = self.resource[resource_name].deactivation
        if resource.attempt <= plan.retry:
            self._retry(name, resource_name, 220, plan)
            return
        failed = self._move_resource(name, resource_name, "failed")
        group.detail = f"{resource_name}: {resource.detail}"
        note = self._move(name, "stop_failed", failed)
        self._final_deactivation_action(name, resource_name, plan.action, note)

    def _retry(self, name: str, resource_name: str, event: int, plan: Activation) -> None:
        """The next attempt is made by _advance, which sees the resource where it was before this one."""
        resource = self.local[name].resources[resource_name]
        note = self.core.note(
            "rc", event, "resource", resource_name, resource_name, f"{resource.attempt}/{plan.retry}", resource.detail,
            rule="retry", causes=(self.local[name].cause,),
        )  # fmt: skip
        self._run(name, resource_name, "up" if event == 200 else "down")
        self.local[name].cause = note

    # Final actions --------------------------------------------------------------------------------------------

    def _final_activation_action(self, name: str, resource_name: str, cause: str) -> None:
        action = self.resource[resource_name].activation.action
        group = self.local[name]
        note = self.core.note(
            "rc", _activation_event(action), "resource", resource_name, resource_name, name,
            rule="final-action", causes=(cause,),
        )  # fmt: skip
        if action == 0:
            self._move_resource(name, resource_name, "ignore")
            for resource in group.resources.values():
                resource.wanted = True
            self._move(name, "continue", note)
            self._advance(name)
        elif action == 2:
            self.stop_for_good(name, note)
        elif action >= 3:
            self.final_server_action(action, note, f"{resource_name} could not be activated")

    def _final_deactivation_action(self, name: str, resource_name: str, action: int, cause: str) -> None:
        note = self.core.note(
            "rc", 225 if action == 0 else 224 if action >= 4 else 221, "resource", resource_name, resource_name, name,
            rule="final-action", causes=(cause,),
        )  # fmt: skip
        if action == 0:
            self._move_resource(name, resource_name, "ignore")
            self._move(name, "continue", note)
            self._advance(name)
        elif action >= 4:
            self.final_server_action(action, note, f"{resource_name} could not be deactivated")

    def final_server_action(self, action: int, cause: str, reason: str) -> None:
        """Final action numbers 3 and above concern the whole server (3: its service; the engine's parts see to it)."""
        hows: dict[int, Literal["shutdown", "reboot", "panic", "reset"]] = {4: "shutdown", 5: "reboot", 8: "panic"}
        if action == 3:
            self.stop_service = cause
            return
        how = hows.get(action, "reset")
        self.core.note("rc", 90 if how == "shutdown" else 91, "server", self.core.me, self.core.me, reason,
                       rule="final-action", causes=(cause,))  # fmt: skip
        self.core.emit(HaltServer(how=how, reason=reason))

    stop_service = ""  # note that asks for a stop of this server's cluster service

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
            if all(group.resources[d].state == ONLINE for d in self.depends[name][resource_name]):
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
                    resource.wanted = True
                self._advance(name)
        elif group.state == STARTING and states <= {ONLINE}:
            self._move(name, "all_online", group.cause)

    def _run(self, name: str, resource_name: str, direction: Literal["up", "down"]) -> None:
        group = self.local[name]
        resource, plan = group.resources[resource_name], self.resource[resource_name]
        resource.attempt += 1
        resource.action, resource.token = direction, self.core.next_token()
        self.actions[resource.token] = (name, resource_name)
        if direction == "up":
            self.core.emit(Activate(token=resource.token, group=name, resource=resource_name, event=group.event,
                                    timeout_s=plan.activation.timeout_s, attempt=resource.attempt))  # fmt: skip
        else:
            self.core.emit(Deactivate(token=resource.token, group=name, resource=resource_name, factor=group.factor,
                                      timeout_s=plan.deactivation.timeout_s, attempt=resource.attempt))  # fmt: skip

    def _move_resource(self, name: str, resource_name: str, cause: str) -> str:
        resource = self.local[name].resources[resource_name]
        before = resource.state
        resource.state, resource.since = moved(RESOURCE, before, cause), self.core.now
        self.core.touch()
        return self.core.note("rc", _RC_RESOURCE[resource.state], "resource", resource_name, resource_name,
                              self.core.me, resource.detail, causes=(self.local[name].cause,), before=before,
                              after=resource.state)  # fmt: skip

    def _move(self, name: str, cause: str, because: str) -> str:
        group = self.local[name]
        before = group.state
        group.state, group.since = moved(GROUP, before, cause), self.core.now
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
        return any(g.state != OFFLINE for g in self.local.values())

    def online_resources(self) -> set[str]:
        return {
            name
            for group in self.local.values()
            if group.state in (ONLINE, STARTING)
            for name, resource in group.resources.items()
            if resource.state == ONLINE and resource.wanted
        }

    def group_reports(self) -> dict[str, GroupReport]:
        return {
            name: GroupReport(
                state=g.state, serial=g.serial, epoch=g.start_epoch, since=g.since, failed_serial=g.failed_serial,
                wants=g.wants, wants_id=g.wants_id, detail=g.detail, start_serial=g.start_serial,
            )
            for name, g in self.local.items()
        }  # fmt: skip

    def resource_reports(self) -> dict[str, ResourceReport]:
        return {
            name: ResourceReport(state=r.state, since=r.since, detail=r.detail)
            for g in self.local.values()
            for name, r in g.resources.items()
        }

    # Restart of the daemon ------------------------------------------------------------------------------------

    def saved(self) -> dict[str, Any]:
        return {name: msgspec.to_builtins(g) for name, g in self.local.items() if g.state != OFFLINE}

    def adopt(self, saved: dict[str, Any], running: dict[str, bool]) -> None:
        """Take over what an earlier daemon of the same boot left. `running`: what the probe of each resource found.

        Actions that were under way are begun again: both directions may be repeated safely (ResourceType).
        """
        for name, raw in saved.items():
            if name not in self.local:
                continue
            self.local[name] = group = msgspec.convert(raw, LocalGroup)
            for resource_name in self.depends[name]:
                resource = group.resources.setdefault(resource_name, LocalResource())
                self._adopt_resource(name, resource_name, running.get(resource_name, True))
                resource.attempt = 0
            self._readvance(name)

    def _adopt_resource(self, name: str, resource_name: str, running: bool) -> None:
        resource = self.local[name].resources[resource_name]
        direction, resource.token, resource.action = resource.action, 0, ""
        if direction:
            self._run(name, resource_name, direction)
        elif resource.state == ONLINE and not running:
            resource.detail = "was not running any more when the daemon came back"
            resource.state, resource.wanted = OFFLINE, True
            self.core.note("cp", 11, "resource", resource_name, resource_name, resource.detail)
        elif resource.state == ONLINE:
            self.core.note("cp", 11, "resource", resource_name, resource_name, "runs on")

    def _readvance(self, name: str) -> None:
        group = self.local[name]
        lost = [r for r, local in group.resources.items() if local.state == OFFLINE and local.wanted]
        if group.state == ONLINE and lost:
            for resource_name in frozenset().union(*(dependents(self.depends[name], r) for r in lost)):
                group.resources[resource_name].wanted = group.resources[resource_name].state == OFFLINE
            group.restarting = True
            self._move(name, "restart", group.cause)
        self._advance(name)


def _fresh(group: Group) -> LocalGroup:
    return LocalGroup(resources={name: LocalResource() for name in group.resources})


def _activation_event(action: int) -> int:
    """rc ids 202-206: what follows a failed activation."""
    return {0: 206, 1: 206, 2: 202, 3: 203, 4: 204, 5: 205}.get(action, 205)
