"""Drills: failures on purpose, on a live cluster. Who asks, who allows, who carries out, and how each of them ends.

The rules
- Who may: whoever may command the agent on a server (root), and administrators of a manager. Ending one is allowed to
  operators as well: it only heals.
- The coordinator allows, at the moment of the start, by what it knows then (drill_guard.py), whatever a manager has
  found out before. It stamps the request with its epoch; the server that shall fail obeys it only from the coordinator
  of its own view, in that view, and only in the incarnation that was meant. So a request that comes late, or again
  after the failure, does nothing; and whoever took it gives up after a few seconds.
- One drill at a time in the cluster: the server's report says that one runs.
- What is done really.
  crash: the supervisor kills the daemon and takes the groups down as after a daemon's death for good; only when all of
    them are down it kills the heartbeat child, without a word to anybody, and stays away. So detection, verdict and
    failover are those of a crash, and no group is active twice. What cannot be taken down ends the drill before it
    began. reset: the machine itself, by the kernel, nothing stopped.
  hang: supervisor, heartbeat child and daemon stand still, each by its own clock; what runs goes on. Watchdog and lease
    act as they always do.
  link: the heartbeat child neither sends on nor hears from the chosen paths.
  monitor: its results count as failures. Before its final action would follow, that ends.
- Every drill ends by itself at its deadline by CLOCK_BOOTTIME of who carries it out. What is left of one is memory of
  the processes that are drilled, never a file: after a reset, a power cut or the death of these processes there is
  nothing left. No rule of watchdog or lease is changed for a drill.
- A hang or a cut ends at once by a signed datagram to the heartbeat port, which the child reads also when it stands
  still; what is signed is the drill's own id, so that it ends no later one.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from agent.engine.core import Core
from agent.engine.effects import BeginDrill, EndDrill, HaltServer
from agent.engine.recovery import Recovery
from agent.messages.drills import BEGUN, OVER
from agent.wire.drill import BEGINS_S, DrillReport, what
from agent.wire.peer import Request

if TYPE_CHECKING:
    from agent.wire.drill import Drill

_TIMER = "drill"
_REMEMBERED = 64


class Drills:
    """Of this server: the one that runs here."""

    def __init__(self, core: Core, recovery: Recovery) -> None:
        self.core = core
        self.recovery = recovery
        self.running: DrillReport | None = None
        self._drill: Drill | None = None
        self._note = ""
        self._begun: deque[str] = deque(maxlen=_REMEMBERED)

    def refuses(self, key: str, drill: Drill) -> str:
        """Why it cannot begin here, "" when it can."""
        if key in self._begun:
            return "It has begun already; it does so only once."
        if self.running is not None:
            return f"A drill runs on {self.core.me} already."
        if drill.incarnation != self.core.incarnation:
            return f"{self.core.me} has been restarted since that was asked."
        return ""

    def begin(self, request: Request, cause: str) -> None:
        drill, me, now = request.drill, self.core.me, self.core.now
        assert drill is not None
        self._begun.append(request.id)
        words, by = what(drill, me), request.by or "somebody"
        self._note = self.core.note("apisv", BEGUN, "server", me, request.id, me, words, f"{drill.bound_s:g}", by,
                                    rule="drill", causes=(cause,))  # fmt: skip
        self._drill = drill
        self.running = DrillReport(id=request.id, kind=drill.kind, began=now, ends=now + drill.bound_s, what=words,
                                   by=by)  # fmt: skip
        self.core.timers[_TIMER] = self.running.ends + (BEGINS_S if drill.kind in ("crash", "hang") else 0.0)
        self.core.touch()
        if drill.kind == "monitor":
            self.recovery.pretend(drill.monitor, self._note)
        elif drill.kind == "reset":
            self.core.timers["drill reset"] = now + BEGINS_S
        else:
            self.core.emit(BeginDrill(id=request.id, drill=drill))

    def end(self, why: str) -> None:
        """At once, whatever of it is left."""
        if self.running is None or self._drill is None:
            return
        running, drill = self.running, self._drill
        self.running = self._drill = None
        self.core.timers.pop(_TIMER, None)
        self.core.timers.pop("drill reset", None)
        if drill.kind == "monitor":
            self.recovery.pretend("", self._note)
        self.core.emit(EndDrill(id=running.id, server=self.core.me))
        self.core.note("apisv", OVER, "server", self.core.me, running.id, self.core.me, why, rule="drill",
                       causes=(self._note,))  # fmt: skip
        self.core.touch()

    def timed_out(self, name: str) -> None:
        """One of its timers has come."""
        if name == _TIMER:
            self.end("its time has passed")
        elif name == "drill reset" and self.running is not None:
            self.core.emit(HaltServer(how="reset", reason=f"drill {self.running.id}, asked for by {self.running.by}"))

    def advance(self) -> None:
        """A pretended failure has done its work when the monitor stands still, or when only the final action is left.

        Called after every step, so before another result can come."""
        if self._drill is None or self._drill.kind != "monitor":
            return
        name = self._drill.monitor
        local, monitor = self.recovery.local[name], self.recovery.by_name[name]
        if local.failovers and not local.running:
            self.end("what the monitor watches has left this server")
        elif local.restarts >= monitor.restart_threshold and local.failovers >= monitor.failover_threshold:
            self.end("its recoveries have run; the final action is not drilled")
