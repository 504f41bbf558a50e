"""Rounds of faults against a mirror in the bed: each kind of fault, and how it is known that all is well again."""

from __future__ import annotations

import signal
from random import Random

from tests.e2e.mirror import HEAL_S, MIRROR, MirrorStage
from tests.e2e.stage import GROUP
from webmanager.demo.machine import until

HOLDER = "agent.mirrord.holding"
DAEMON, SUPERVISOR = "agent.daemon.main", "agent.daemon.supervisor"
KINDS = (
    "kill_process", "kill_both", "kill_holder", "kill_daemon", "kill_agent", "stop_process", "cable", "connects",
    "isolate", "hang", "power", "power_in_copy", "power_of_copy", "move",
)  # fmt: skip
WRITES_AFTER = 10


class Rounds:
    """One fault after the other, each at another moment; after each all is well again by itself."""

    def __init__(self, mirror: MirrorStage, seed: int) -> None:
        self.mirror, self.dice = mirror, Random(seed)
        self.story: list[str] = []

    @property
    def active(self) -> str:
        mirror = self.mirror
        found: list[str] = []

        def look() -> bool:
            found[:] = [server for server in mirror.bed.servers if mirror.side(server).get("active")]
            return bool(found)

        until(look, "md1 is active", HEAL_S, 0.1)
        return found[0]

    def other(self, server: str) -> str:
        return next(s for s in self.mirror.bed.servers if s != server)

    def play(self, kind: str = "") -> None:
        """One round; without a kind, the dice choose it."""
        self.fault(kind or self.dice.choice(KINDS))
        self.well()

    def fault(self, kind: str) -> None:
        """Happens while the service writes, and is mended."""
        mirror, dice = self.mirror, self.dice
        active = self.active
        victim = dice.choice(mirror.bed.servers)
        self.story.append(f"{kind} {victim}, active {active}")
        mirror.writes(active, dice.randrange(5, 30))
        getattr(self, f"_{kind}")(victim, active)
        self.mend()

    def mend(self) -> None:
        self.mirror.faults.heal()
        for server in self.mirror.bed.servers:
            self.mirror.cluster.recover(server)

    def well(self) -> None:
        """Both sides equal, the service goes on, and no record is missing."""
        self.mirror.equal()
        active = self.active
        self.mirror.writes(active, WRITES_AFTER)
        self.mirror.kept(active)

    # ---- processes ----
    def _kill_process(self, victim: str, active: str) -> None:
        self.mirror.faults.kill(victim, MIRROR)

    def _kill_both(self, victim: str, active: str) -> None:
        for server in self.mirror.bed.servers:
            self.mirror.faults.kill(server, MIRROR)

    def _kill_holder(self, victim: str, active: str) -> None:
        """Of the side that has a device; the mirror process serves on and starts another one."""
        old = self.mirror.faults.kill(active, HOLDER)
        until(
            lambda: bool(set(self.mirror.bed[active].pids(HOLDER)) - set(old)), f"a new holder on {active}", HEAL_S, 0.1
        )

    def _kill_daemon(self, victim: str, active: str) -> None:
        self.mirror.faults.kill(victim, DAEMON)

    def _kill_agent(self, victim: str, active: str) -> None:
        """All of it, which takes down what it runs; then its server starts it as at boot."""
        self.mirror.faults.kill(victim, SUPERVISOR)
        until(lambda: self.mirror.bed[victim].processes() == {}, f"{victim} runs nothing any more", HEAL_S, 0.1)
        self._goes_on_without(victim)

    def _stop_process(self, victim: str, active: str) -> None:
        """Longer than the link waits for a sign of life."""
        pids = self.mirror.faults.kill(victim, MIRROR, signal.SIGSTOP)
        until(
            lambda: self.mirror.side(self.other(victim)).get("relation") != "equal",
            "the stopped side is missed", HEAL_S, 0.1,
        )  # fmt: skip
        if victim != active:
            self.mirror.writes(active, 10)
        for pid in pids:
            self.mirror.bed[victim].kill(pid, signal.SIGCONT)

    # ---- links ----
    def _cable(self, victim: str, active: str) -> None:
        self.mirror.faults.pull(self.dice.choice(self.mirror.bed.lans[:2]), victim)
        self.mirror.writes(active, 10)

    def _connects(self, victim: str, active: str) -> None:
        """Both mirror connects; the agents still hear each other."""
        for lan in self.mirror.bed.lans[:2]:
            self.mirror.faults.cut(lan)
        self.mirror.goes_alone(active)
        self.mirror.writes(active, 10)

    def _isolate(self, victim: str, active: str) -> None:
        """The other one goes on: it alone reaches the witness."""
        self.mirror.faults.isolate(victim)
        self._goes_on_without(victim)

    # ---- servers ----
    def _hang(self, victim: str, active: str) -> None:
        """All of the server stands still, is replaced, and goes on as if nothing had been."""
        self.mirror.cluster.hang(victim)
        self._goes_on_without(victim)

    def _goes_on_without(self, victim: str) -> None:
        other = self.other(victim)
        self.mirror.active(other)
        self.mirror.writes(other, 10)

    def _power_in_copy(self, victim: str, active: str) -> None:
        """The source loses its power while the other side is no whole copy yet."""
        self._stop_process(self.other(active), active)
        self.mirror.cluster.crash(active)

    def _power_of_copy(self, victim: str, active: str) -> None:
        """The side that is copied to loses its power; the service stays where it is."""
        self._stop_process(self.other(active), active)
        self.mirror.cluster.crash(self.other(active))
        self._goes_on_without(self.other(active))

    def _power(self, victim: str, active: str) -> None:
        self.mirror.cluster.crash(victim)
        self._goes_on_without(victim)

    def _move(self, victim: str, active: str) -> None:
        other = self.other(active)
        self.mirror.cluster.run(active, "clpgrp", "-m", GROUP, "-a", other)
        self.mirror.active(other)
