"""What stops a whole server as the last answer to an error: which action it is, and when it is left out.

Rules: an action that would stop the last healthy server is left out where cluster/survive says so. Reboots are counted
on disk; beyond openclp/maxreboot none follows, so that a group that cannot start does not reboot its server for ever.
Hardware actions (BMC, I/O fencing) are done by a reset: what they promise is that this server runs nothing any more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from agent.clpconf.model import FinalAction
from agent.engine.core import Core
from agent.engine.effects import HaltServer

Kind = Literal["activation", "deactivation", "monitor"]
How = Literal["shutdown", "reboot", "panic", "reset"]

STOP_SERVICE = 3
STOP_RESOURCE = 16
_HOW: dict[FinalAction, How] = {4: "shutdown", 5: "reboot", 8: "panic", 10: "panic"}
#: Names of what is done by a reset or panic of ours, for the log.
HARD = {
    8: "sysrq panic", 9: "keepalive reset", 10: "keepalive panic", 11: "BMC reset", 12: "BMC power off",
    13: "BMC power cycle", 14: "BMC NMI", 15: "I/O fencing",
}  # fmt: skip
_ALONE = {"activation": ("rc", 500), "deactivation": ("rc", 501), "monitor": ("rm", 200)}


class FinalActions:
    """`reboots`: when this server was rebooted so, in steady seconds; kept on disk."""

    def __init__(self, core: Core, reboots: Sequence[float] = ()) -> None:
        self.core = core
        self.reboots = list(reboots)
        self.alone: Callable[[], bool] = lambda: False  # is no other server healthy?
        self.stop_service = ""  # note that asks for a stop of this server's cluster service

    def left_out(self, action: FinalAction, kind: Kind, name: str, cause: str) -> bool:
        """Must an action that stops this server not follow? Says why. `name`: the resource or monitor."""
        cluster = self.core.cluster
        survive = {
            "activation": cluster.survive_activation,
            "deactivation": cluster.survive_deactivation,
            "monitor": cluster.survive_monitor,
        }
        if action < STOP_SERVICE or action == STOP_RESOURCE:
            return False
        if survive[kind] and self.alone():
            module, event = _ALONE[kind]
            if kind == "monitor":
                self.core.note(module, event, kind, name, name, self.core.me, rule="survive", causes=(cause,))
            else:
                self.core.note(module, event, "resource", name, self.core.me, name, rule="survive", causes=(cause,))
            return True
        return self._too_often(action, cause)

    def _too_often(self, action: FinalAction, cause: str) -> bool:
        cluster = self.core.cluster
        # After a boot the clock may show less than before.
        self.reboots = [min(at, self.core.now) for at in self.reboots if at > self.core.now - cluster.max_reboots_s]
        if not cluster.max_reboots or how_of(action) == "shutdown" or len(self.reboots) < cluster.max_reboots:
            return False
        if action == STOP_SERVICE:
            return False
        why = f"{len(self.reboots)} times within {cluster.max_reboots_s:g} s; the limit is {cluster.max_reboots}"
        self.core.note("rc", 100, "server", self.core.me, self.core.me, why, rule="max-reboots", causes=(cause,))
        return True

    def take(self, action: FinalAction, cause: str, reason: str) -> None:
        """Actions from 3 up, when they are not left out. 3: the engine's parts see to it."""
        if action == STOP_SERVICE:
            self.stop_service = cause
            return
        how = how_of(action)
        if action in HARD:
            reason = f"{reason} (final action {action}, {HARD[action]})"
        self.core.note("rc", 90 if how == "shutdown" else 91, "server", self.core.me, self.core.me, reason,
                       rule="final-action", causes=(cause,))  # fmt: skip
        if how != "shutdown":
            self.reboots.append(self.core.now)
            self.core.save_dirty = self.core.durable = True
        self.core.emit(HaltServer(how=how, reason=reason))


def how_of(action: FinalAction) -> How:
    return _HOW.get(action, "reset")
