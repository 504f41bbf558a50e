"""The supervisor's part in a drill: take the groups down, fall silent, stay away, come back; or stand still.

Its rules stand in agent/engine/drills.py. Standard library only, as all of the supervisor.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping

from agent.daemon import spawn
from agent.daemon.drill_memory import DrillMemory

LONGEST_S = 610.0
_NAP_S = 0.1
_REAP_S = 2.0


def steady() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class CrashDrill:
    """`release` runs the emergency stopper and returns why something is still up, "" when all is down."""

    def __init__(self, descriptor: int, release: Callable[[], str], log: Callable[[str, str], None]) -> None:
        self.memory = DrillMemory(descriptor)
        self.over: dict[str, object] = {}  # what the next clpd is told, once the drill has run
        self._release = release
        self._log = log

    @property
    def due(self) -> bool:
        return self.memory.away_until > steady()

    def begin(self) -> str:
        """The groups go down first, while the heartbeats go on, so that nobody takes them over before. Why the drill is
        given up, "" when they are down."""
        self._began = steady()
        self._log("warning", f"Drill {self.memory.name}: this server is about to fail, as an operator asked.")
        why = self._release()
        if why:
            self.memory.away_until = 0.0
            self._log("error", f"Drill {self.memory.name} is given up: {why}")
        return why

    def silence(self, pids: Mapping[str, int]) -> None:
        """No word to anybody."""
        for pid in filter(None, pids.values()):
            spawn.kill_group(pid)
            _reap(pid)
        self._silent = steady()

    def stay_away(self, asked_to_stop: Callable[[], bool]) -> None:
        end = min(self.memory.away_until, steady() + LONGEST_S)
        while steady() < end and not asked_to_stop():
            time.sleep(_NAP_S)
        self.memory.away_until = 0.0
        self._log("info", f"Drill {self.memory.name} is over: clpd begins anew.")
        self.over = {"id": self.memory.name, "began": self._began, "silent": self._silent, "back": steady()}

    def stand_still(self) -> bool:
        """True when it did."""
        if self.memory.hangs_until <= steady():
            return False
        end = steady() + LONGEST_S
        while steady() < min(self.memory.hangs_until, end):
            time.sleep(_NAP_S)
        return True

    def told(self) -> str:
        return json.dumps(self.over)

    def told_given_up(self, why: str) -> str:
        return json.dumps({"id": self.memory.name, "given_up": why})


def _reap(pid: int) -> None:
    """Not for ever: a process that waits for a dead disk cannot even die."""
    end = steady() + _REAP_S
    while steady() < end:
        try:
            if os.waitpid(pid, os.WNOHANG)[0]:
                return
        except ChildProcessError:
            return
        time.sleep(0.01)
