"""The failover groups on this server: take resources up and down in order, retry, report failure.

Rules: nothing here starts a group by itself; an order does. Nothing here decides where a group runs. Each resource
wants to be up or down (`wanted`); `_advance` starts whatever may go a step towards it. A resource goes up when all
it depends on is online, and down when all that depends on it is offline.
A retry follows a failed attempt after a short pause, `retry` times; then the failure is final and the group rests in it
until the coordinator orders a stop (to try elsewhere) or gives up (then the final action of the resource runs). The
pause (0.1 s, doubled each time, at most 2 s) is part of the time that the next attempt has.
"""

from __future__ import annotations

from typing import Any

import msgspec

from agent.clpconf.model import Activation, FinalAction
from agent.engine.effects import Abort
from agent.engine.final_actions import HARD, Kind
from agent.engine.group_steps import GroupSteps, pause_s
from agent.engine.local_state import LocalGroup, LocalResource, Retry
from agent.engine.order import dependents
from agent.engine.states import (
    OFFLINE,
    ONLINE,
    START_FAILED,
    STARTING,
    STOP_FAILED,
    STOPPING,
)
from agent.wire.peer import Order


class LocalGroups(GroupSteps):
    """All groups, as far as they live on this server."""

    # Orders ---------------------------------------------------------------------------------------------------

    def obey(self, order: Order) -> None:
        """Carry an order out; older or repeated ones are ignored (the caller has checked the epoch)."""
        group = self.local.get(order.group)
        if group is None or order.serial <= group.serial:
            return
        group.serial = order.serial
        group.cause = order.cause
        self.mark(order.group)
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
            resource.wanted, resource.attempt, resource.detail, resource.stopped = True, 0, "", False
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
        self.mark(name)
        group.factor = factor
        group.cause = cause or group.cause
        group.wants, group.wants_id, group.restarting, group.halts = "", "", False, False
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
        self.mark(name)

    def stop_resource(self, name: str, resource: str, cause: str) -> None:
        """A final action stops one resource with all that rests on it; its group goes on without them."""
        group = self.local[name]
        if group.state != ONLINE:
            return
        group.factor, group.cause, group.restarting = "GROUPSTOP", cause, False
        for each in dependents(self.depends[name], resource):
            group.resources[each].wanted, group.resources[each].attempt = False, 0
            group.resources[each].stopped = True
        self._move(name, "restart", cause)
        self._advance(name)

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
        revives = not resource or group.resources[resource].stopped
        for each in names:
            group.resources[each].wanted, group.resources[each].attempt = False, 0
            group.resources[each].stopped &= not revives
        self._move(name, "restart", cause)
        self._advance(name)
        return True

    def want_failover(self, name: str, cause: str, detail: str) -> bool:
        """Ask the coordinator for another server; False when the group is not in a state to move."""
        group = self.local[name]
        if group.state not in (ONLINE, START_FAILED):
            return False
        group.wants, group.wants_id, group.detail = "failover", cause, detail
        self.mark(name)
        self.core.touch()
        return True

    # Results --------------------------------------------------------------------------------------------------

    def action_done(self, token: int, ok: bool, detail: str, *, stalled: bool = False) -> None:
        """An Activate or Deactivate has ended; unknown tokens belong to an earlier life and are ignored."""
        place = self.actions.pop(token, None)
        if place is None:
            return
        name, resource_name = place
        self.mark(name)
        resource = self.local[name].resources[resource_name]
        direction, resource.token, resource.action = resource.action, 0, ""
        resource.detail = "" if ok else detail
        if stalled and not ok and self.core.cluster.stalled_action:
            self._stalled(name, resource_name, direction)
        elif direction == "up":
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
        note = self._start_failed(name, resource_name, cause)
        if self.core.cluster.ignore_activation_errors:
            self.core.note("rc", 512, "resource", resource_name, resource_name, name, rule="errordetect",
                           causes=(note,))  # fmt: skip
        elif plan.failover > 0:
            group = self.local[name]
            group.wants, group.wants_id = "failover", note
        else:
            self._final_activation_action(name, resource_name, note)

    def _start_failed(self, name: str, resource_name: str, cause: str) -> str:
        """The group rests in its failure; returns the note."""
        group = self.local[name]
        group.detail = f"{resource_name}: {group.resources[resource_name].detail}"
        group.failed_serial = group.start_serial
        note = self._move(name, "resource_failed", cause)
        for resource in group.resources.values():
            if resource.state == OFFLINE:
                resource.wanted = False
        return note

    def _deactivated(self, name: str, resource_name: str, ok: bool) -> None:
        resource = self.local[name].resources[resource_name]
        if ok:
            self._move_resource(name, resource_name, "done")
            resource.attempt = 0
            return
        plan = self.resource[resource_name].deactivation
        if resource.attempt <= plan.retry:
            self._retry(name, resource_name, 220, plan)
            return
        note = self._stop_failed(name, resource_name)
        if self.core.cluster.ignore_deactivation_errors:
            self.core.note("rc", 513, "resource", resource_name, resource_name, name, rule="errordetect",
                           causes=(note,))  # fmt: skip
        else:
            self._final_deactivation_action(name, resource_name, plan.action, note)

    def _stop_failed(self, name: str, resource_name: str) -> str:
        group = self.local[name]
        failed = self._move_resource(name, resource_name, "failed")
        group.detail = f"{resource_name}: {group.resources[resource_name].detail}"
        # Another resource of it may have failed to stop before.
        return failed if group.state == STOP_FAILED else self._move(name, "stop_failed", failed)

    def _retry(self, name: str, resource_name: str, event: int, plan: Activation) -> None:
        group, resource = self.local[name], self.local[name].resources[resource_name]
        group.cause = self.core.note(
            "rc", event, "resource", resource_name, resource_name, f"{resource.attempt}/{plan.retry}", resource.detail,
            rule="retry", causes=(group.cause,),
        )  # fmt: skip
        at = self.core.now + pause_s(resource.attempt)
        self._retries[resource_name] = Retry(at, name, "up" if event == 200 else "down")
        self.core.timers[f"retry {resource_name}"] = at

    def due(self) -> None:
        """Make the attempts whose pause is over, where they are still wanted."""
        due = [(r, retry) for r, retry in self._retries.items() if retry.at <= self.core.now]
        for resource_name, retry in due:
            if retry.direction == "up" and not self.core.may_start():
                continue
            del self._retries[resource_name]
            resource = self.local[retry.group].resources[resource_name]
            waits = resource.state == (STARTING if retry.direction == "up" else STOPPING) and not resource.action
            if waits and (resource.wanted or retry.direction == "down"):
                self._run(retry.group, resource_name, retry.direction)

    def resume(self) -> None:
        """Activations are allowed again: go on with those that waited."""
        self.due()
        for name in self.local:
            self._advance(name)

    # Final actions --------------------------------------------------------------------------------------------

    def _stalled(self, name: str, resource_name: str, direction: str) -> None:
        """Nobody knows what the step left behind, or still does: this server goes down, as configured."""
        group, resource = self.local[name], self.local[name].resources[resource_name]
        up = direction == "up"
        if up and not resource.wanted:
            return  # Aborted by a stop: what stalls then is its deactivation.
        note = self.core.note("rc", 230 if up else 231, "resource", resource_name, resource_name, name,
                              resource.detail, rule="stalled", causes=(group.cause,))  # fmt: skip
        if not up:
            note = self._stop_failed(name, resource_name)
        else:
            failed = self._move_resource(name, resource_name, "failed")
            note = self._start_failed(name, resource_name, failed) if group.state == STARTING else note
        kind: Kind = "activation" if up else "deactivation"
        action = self.core.cluster.stalled_action
        if not self.final.left_out(action, kind, resource_name, note):
            self._halt(name, resource_name, kind, action, note)

    def _halt(self, name: str, resource_name: str, kind: Kind, action: FinalAction, cause: str) -> None:
        """A final action that concerns the whole server."""
        self.local[name].halts = True
        self.mark(name)
        self.final.take(action, cause, f"{resource_name} could not be {kind[:-3]}ed")
        self.core.touch()

    def _final_activation_action(self, name: str, resource_name: str, cause: str) -> None:
        action = self.resource[resource_name].activation.action
        if self.final.left_out(action, "activation", resource_name, cause):
            return
        group = self.local[name]
        note = self.core.note(
            "rc", _activation_event(action), "resource", resource_name, resource_name, name, HARD.get(action, ""),
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
            self._halt(name, resource_name, "activation", action, note)

    def _final_deactivation_action(self, name: str, resource_name: str, action: FinalAction, cause: str) -> None:
        if self.final.left_out(action, "deactivation", resource_name, cause):
            return
        note = self.core.note(
            "rc", _deactivation_event(action), "resource", resource_name, resource_name, name, HARD.get(action, ""),
            rule="final-action", causes=(cause,),
        )  # fmt: skip
        if action == 0:
            self._move_resource(name, resource_name, "ignore")
            self._move(name, "continue", note)
            self._advance(name)
        elif action >= 4:
            self._halt(name, resource_name, "deactivation", action, note)

    # Restart of the daemon ------------------------------------------------------------------------------------

    def adopt(self, saved: dict[str, Any], running: dict[str, bool]) -> None:
        """Take over what an earlier daemon of the same boot left. `running`: what the probe of each resource found.

        Actions that were under way are begun again: both directions may be repeated safely (ResourceType).
        """
        for name, raw in saved.items():
            if name not in self.local:
                continue
            self.local[name] = group = msgspec.convert(raw, LocalGroup)
            # A change of the configuration may have taken some away, and brought others.
            group.resources = {r: group.resources.get(r) or LocalResource() for r in self.depends[name]}
            for resource_name in self.depends[name]:
                resource = group.resources[resource_name]
                self._adopt_resource(name, resource_name, running.get(resource_name, True))
                resource.attempt = 0
            self.mark(name)
            self._readvance(name)

    def _adopt_resource(self, name: str, resource_name: str, running: bool) -> None:
        resource = self.local[name].resources[resource_name]
        direction, resource.token, resource.action = resource.action, 0, ""
        self.version += 1
        if not direction and resource.state in (STARTING, STOPPING):  # It was in the pause before a retry.
            direction = "up" if resource.state == STARTING else "down"
        if direction == "up" and resource.wanted and not self.core.may_start():
            self._retries[resource_name] = Retry(self.core.now, name, "up")
        elif direction == "down" or (direction and resource.wanted):
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


def _activation_event(action: FinalAction) -> int:
    """rc ids 202-206: what follows a failed activation; 240: at once, by a reset or panic."""
    return {0: 206, 1: 206, 2: 202, 3: 203, 4: 204, 5: 205}.get(action, 240)


def _deactivation_event(action: FinalAction) -> int:
    return {0: 225, 1: 221, 4: 224, 5: 223}.get(action, 280)
