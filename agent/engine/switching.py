"""A change of the configuration of the running cluster, as one server takes part in it.

The theory. clp.conf decides who takes over what, so that two servers which go by different ones must never decide
beside each other. A change therefore has a time in which nobody decides anything: every member has said that it is
*frozen* (it proposes no view and promises none) before the first one exchanges its files; and whoever begins anew with
other files stays frozen until it has heard all others with the same ones. While everybody is frozen nothing is taken
over, so that it does no harm if the new heartbeats reach nobody; leases go on, since the heartbeats go on to confirm
them. What runs goes on and is adopted by the new daemon; groups that the change concerns were stopped before.

Every wait has an end, on each server by itself:
- told to freeze, and nothing follows: it thaws, with what it runs (`_FROZEN_S`);
- begun anew, and not all others are heard with the same within `meet_s`: back to what ran before;
- all heard, but the coordinator does not say within twice that time that all is well: back;
- not confirmed `meet_s` after the time for it (the coordinator leads everybody back at that time): back.
Back is the same way: stop what the change concerns, exchange the files, begin anew, stay frozen for `meet_s` at most.
A confirmation is durable on a server before it says so. Who has returned by itself and hears by the report of another
server that the change was confirmed goes to it again; so all end with the same, whoever was away.
A new incarnation never runs what is not confirmed (agent/daemon/switching.py).
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from agent.engine.coordinator import Coordinator
from agent.engine.core import NEVER, Core
from agent.engine.effects import KeepConfiguration, SwitchConfiguration
from agent.engine.events import ConfigurationStored, SwitchFailed
from agent.engine.groups import LocalGroups
from agent.engine.membership import Membership
from agent.engine.reports import Reports
from agent.wire.switch import Applying, Stored, Switch

_FROZEN_S = 10.0  # beside the heartbeat timeout
_TOLD_S = 0.2  # for our report to say that we have been told, before we begin anew
_AGAIN_S = 5.0  # after an exchange that could not be done
_STOP_S = 120.0  # for groups, when this server returns by itself


class Switching:
    """`switch` is the newest change that this server remembers, `stored` what it could switch to."""

    def __init__(
        self, core: Core, membership: Membership, groups: LocalGroups, coordinator: Coordinator, reports: Reports
    ) -> None:
        self.core = core
        self.membership = membership
        self.groups = groups
        self.coordinator = coordinator
        self.reports = reports
        self.stored: Stored | None = None
        self.switch: Switch | None = None
        self.going: Switch | None = None  # this daemon ends as soon as the files are exchanged
        self._goal: Switch | None = None  # where this server goes by itself, once what the change concerns is stopped
        self._meet_until = NEVER  # begun anew: for all members to be heard
        self._until = NEVER  # then this server returns by itself
        self._trying = False  # the coordinator has said that all run the new configuration
        self._frozen_until = NEVER  # told to freeze
        self._given_up: tuple[str, bool] = ("", False)
        self._failed_at = -NEVER
        self._why = ""  # of the return that could not be done
        self._stop_until = NEVER
        self._go_at = NEVER

    @property
    def leaving(self) -> bool:
        """This server goes to another configuration by itself: nothing starts here any more."""
        return self._goal is not None

    # Beginning --------------------------------------------------------------------------------------------------

    def started(self, switch: Switch | None, stored: Stored | None, saved: dict[str, Any] | None) -> None:
        """`saved`: our part of the local state, None in a new incarnation: then nothing was running to be kept."""
        self.switch, self.stored = switch, stored
        self.core.touch()
        if switch is None or saved is None or switch.state == "confirmed" or self.core.config != switch.runs:
            return
        if saved.get("met") == [switch.id, switch.state]:
            self._set_until(float(saved["until"]) if saved.get("until") else NEVER)
            self._trying = bool(saved.get("trying"))
            return
        self.membership.voice.kept = tuple(saved.get("members", ()))
        self.membership.frozen = True
        self._meet_until = self.core.timers["switch meet"] = self.core.now + switch.meet_s
        event = 74 if switch.state == "trying" else 75
        self.core.note("cp", event, "server", self.core.me, self.core.me, self.core.config, switch.reason,
                       rule="one-configuration", causes=(switch.cause,))  # fmt: skip
        self.membership.voice.beat()

    def saved(self) -> dict[str, Any]:
        met = self.switch is not None and self._meet_until == NEVER
        return {
            "met": [self.switch.id, self.switch.state] if met and self.switch else [],
            "until": self._until if self._until < NEVER else 0.0,
            "trying": self._trying,
            "members": list(self.membership.promised_members or self.membership.voice.kept),
        }

    def took(self, event: ConfigurationStored) -> None:
        self.stored = event.stored
        self.core.touch()

    def failed(self, event: SwitchFailed) -> str:
        """It stays with what it has; a return is tried again. Who has switched already does not meet us and returns."""
        if self.going is None or event.id != self.going.id:
            return ""
        going, self.going, self._failed_at = self.going, None, self.core.now
        self._given_up = (going.id, going.state == "returned")
        self.core.timers["switch again"] = self.core.now + _AGAIN_S
        if going.state == "returned":
            self._why = going.reason
            self._set_until(self.core.now + _AGAIN_S)
        self._freeze(frozen=False)
        return self.core.note("cp", 76, "server", self.core.me, self.core.me, event.detail, causes=(going.cause,))

    # What follows from each step --------------------------------------------------------------------------------

    def advance(self) -> None:
        """Before views are thought of."""
        if self.going is not None:
            return
        self._meet()
        self._obey(self.coordinator.table.applying)
        self._return_when_due()
        self._catch_up()
        self._leave_when_stopped()

    def _meet(self) -> None:
        switch = self.switch
        if self._meet_until == NEVER or switch is None:
            return
        missing = [m for m in switch.members if m in self.membership.peers and not self._is_with_us(m)]
        if not missing or (switch.state == "returned" and self.core.now >= self._meet_until):
            self._meet_until = NEVER
            if switch.state == "trying":
                self._set_until(self.core.now + 2 * switch.meet_s)
            self._freeze(frozen=False)
        elif self.core.now >= self._meet_until:
            names = ", ".join(missing)
            why = f"{names} was not heard with the new configuration within {switch.meet_s:g} s"
            self.go(replace(switch, state="returned", reason=why))

    def _is_with_us(self, server: str) -> bool:
        peer = self.membership.peers[server]
        return peer.alive and peer.config == self.core.config

    def _obey(self, applying: Applying | None) -> None:
        """What the coordinator's table wants of us."""
        if applying is None or not (applying.freezes and self._concerned(applying)):
            if self._frozen_until < NEVER:
                self._freeze(frozen=False)
            self._follow(applying)
            return
        if self._frozen_until == NEVER:
            self._frozen_until = self.core.now + _FROZEN_S + self.core.cluster.timeout_s
            self.core.timers["switch frozen"] = self._frozen_until
            self._freeze(frozen=True)
        if self.core.now >= self._frozen_until:
            self._given_up = (applying.switch.id, applying.back)
            self._freeze(frozen=False)
        elif applying.phase == "switching" and self.membership.view.coordinator != self.core.me:
            self._go_soon(applying)

    def _concerned(self, applying: Applying) -> bool:
        """We run what shall be left, and have not given it up."""
        own = self.switch
        if own is not None and own.id == applying.switch.id and own.state == "returned":
            return False  # An old table: we have been there.
        return self.core.config == applying.leaves and self._given_up != (applying.switch.id, applying.back)

    def _go_soon(self, applying: Applying) -> None:
        if self._go_at == NEVER:
            self._go_at = self.core.timers["switch go"] = self.core.now + _TOLD_S
        if self.core.now >= self._go_at:
            self.go(applying.switch)

    def _follow(self, applying: Applying | None) -> None:
        switch = self.switch
        if applying is None or switch is None or applying.switch.id != switch.id or switch.state != "trying":
            return
        if applying.phase == "trying" and not self._trying:
            self._trying = True
            self._set_until(self.core.now + switch.confirm_s + switch.meet_s)
        elif applying.phase == "confirming":
            self._set_until(NEVER)
            note = self.core.note("cp", 77, "server", self.core.me, self.core.me, self.core.config,
                                  causes=(switch.cause,))  # fmt: skip
            self.switch = replace(switch, state="confirmed", cause=note)
            self.core.emit(KeepConfiguration(switch=self.switch))

    # By itself --------------------------------------------------------------------------------------------------

    def _return_when_due(self) -> None:
        switch = self.switch
        if self.core.now < self._until or switch is None or switch.state != "trying" or self.leaving:
            return
        usual = "it was not confirmed in time" if self._trying else "the servers did not come together with it"
        why = self._why or usual
        self._leave(why, replace(switch, state="returned", reason=why))

    def _catch_up(self) -> None:
        """Somebody has had it confirmed while we were away."""
        switch = self.switch
        if switch is None or switch.state != "returned" or self.membership.frozen or self.leaving:
            return
        if self.core.config != switch.origin or self.core.now < self._failed_at + _AGAIN_S:
            return
        for name, peer in self.membership.peers.items():
            report = self.reports.of(name) if peer.alive and peer.config == switch.to else None
            theirs = report.switch if report is not None else None
            if theirs is not None and theirs.id == switch.id and theirs.state == "confirmed":
                self._leave(f"{name} has had it confirmed", replace(switch, state="confirmed", reason=""))
                return

    def _leave(self, why: str, goal: Switch) -> None:
        """What the change concerns stops first."""
        self._stop_until = self.core.timers["switch stop"] = self.core.now + _STOP_S
        note = self.core.note("cp", 78 if goal.state == "returned" else 79, "server", self.core.me, self.core.me, why,
                              causes=(goal.cause,))  # fmt: skip
        self._goal = replace(goal, cause=note)
        for name in goal.groups:
            if name in self.groups.local:
                self.groups.stop(name, "GROUPSTOP", note)

    def _leave_when_stopped(self) -> None:
        if self._goal is None:
            return
        local, goal = self.groups.local, self._goal
        busy = any(n in local and local[n].state not in ("Offline", "Offline Failure") for n in goal.groups)
        if not busy or self.core.now >= self._stop_until:
            self._goal = None
            self.go(goal)

    # Doing it ---------------------------------------------------------------------------------------------------

    def go(self, switch: Switch) -> None:
        """Exchange the files and begin anew; not at once again after it has failed."""
        if self.core.now < self._failed_at + _AGAIN_S:
            return
        self.going = switch
        self.membership.frozen = True
        self._meet_until = NEVER
        self.core.touch()
        self.core.emit(SwitchConfiguration(switch=switch))

    def _freeze(self, *, frozen: bool) -> None:
        if not frozen:
            self._frozen_until = self._go_at = NEVER
            self.membership.voice.kept = ()
        self.membership.frozen = frozen
        self.core.touch()

    def _set_until(self, at: float) -> None:
        self._until = at
        self.core.touch()
        if at < NEVER:
            self.core.timers["switch until"] = at
        else:
            self.core.timers.pop("switch until", None)
