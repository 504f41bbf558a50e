"""A mirror disk in the bed under faults: its connects, its processes, its servers. No acknowledged record is lost."""

from __future__ import annotations

import contextlib
import os
import signal
from random import Random

import pytest

from tests.e2e.mirror import HEAL_S, MIRROR, NAME, MirrorStage, mirror
from tests.e2e.stage import GROUP
from webmanager.demo.machine import BedError, until

__all__ = ["mirror"]
pytestmark = [pytest.mark.root, pytest.mark.slow]

KINDS = (
    "kill_process", "kill_both", "kill_daemon", "stop_process", "cable", "isolate", "hang", "power", "power_in_copy",
    "move",
)  # fmt: skip
ROUNDS = int(os.environ.get("OPENCLP_MIRROR_ROUNDS", "20"))
SEED = int(os.environ.get("OPENCLP_MIRROR_SEED", "1"))


@pytest.mark.timeout(180)
def test_the_second_mirror_connect_takes_over_and_nothing_is_lost(mirror: MirrorStage):
    mirror.writes("server1")
    mirror.faults.pull(mirror.bed.lans[0], "server1")
    mirror.says("server1", "mdc2", f"{NAME}.log")
    mirror.equal()
    mirror.writes("server1")
    mirror.kept("server1")
    mirror.says("server1", "is in use now, in place of Mirror connect mdc1", f"{NAME}.log")


class Rounds:
    """One fault after the other, each at another moment; after each all is well again by itself."""

    def __init__(self, mirror: MirrorStage, seed: int) -> None:
        self.mirror, self.dice = mirror, Random(seed)
        self.story: list[str] = []

    @property
    def active(self) -> str:
        return next(s for s in self.mirror.bed.servers if self.mirror.side(s).get("active"))

    def play(self) -> None:
        mirror, dice = self.mirror, self.dice
        until(lambda: any(mirror.side(s).get("active") for s in mirror.bed.servers), "md1 is active", HEAL_S, 0.1)
        active = self.active
        other = next(s for s in mirror.bed.servers if s != active)
        kind = dice.choice(KINDS)
        victim = dice.choice((active, other))
        self.story.append(f"{kind} {victim}")
        mirror.writes(active, dice.randrange(5, 30))
        getattr(self, f"_{kind}")(victim, active)
        mirror.faults.heal()
        for server in mirror.bed.servers:
            mirror.cluster.recover(server)
        self._well()

    def _well(self) -> None:
        mirror = self.mirror
        mirror.equal()
        until(lambda: any(mirror.side(s).get("active") for s in mirror.bed.servers), "md1 is active", HEAL_S, 0.1)
        active = self.active
        mirror.writes(active, 10)
        mirror.kept(active)

    def _kill_process(self, victim: str, active: str) -> None:
        self.mirror.faults.kill(victim, MIRROR)

    def _kill_both(self, victim: str, active: str) -> None:
        for server in self.mirror.bed.servers:
            self.mirror.faults.kill(server, MIRROR)

    def _kill_daemon(self, victim: str, active: str) -> None:
        self.mirror.faults.kill(victim, "agent.daemon.main")

    def _stop_process(self, victim: str, active: str) -> None:
        """Longer than the link waits for a sign of life."""
        pids = self.mirror.faults.kill(victim, MIRROR, signal.SIGSTOP)
        other = next(s for s in self.mirror.bed.servers if s != victim)
        until(lambda: self.mirror.side(other).get("relation") != "equal", "the stopped side is missed", HEAL_S, 0.1)
        if victim != active:
            self.mirror.writes(active, 10)
        for pid in pids:
            self.mirror.bed[victim].kill(pid, signal.SIGCONT)

    def _cable(self, victim: str, active: str) -> None:
        self.mirror.faults.pull(self.dice.choice(self.mirror.bed.lans[:2]), victim)
        self.mirror.writes(active, 10)

    def _isolate(self, victim: str, active: str) -> None:
        """The other one goes on: it alone reaches the witness."""
        self.mirror.faults.isolate(victim)
        self._goes_on_without(victim)

    def _hang(self, victim: str, active: str) -> None:
        """All of the server stands still, is replaced, and goes on as if nothing had been."""
        self.mirror.cluster.hang(victim)
        self._goes_on_without(victim)

    def _goes_on_without(self, victim: str) -> None:
        other = next(s for s in self.mirror.bed.servers if s != victim)
        self.mirror.active(other)
        self.mirror.writes(other, 10)

    def _power_in_copy(self, victim: str, active: str) -> None:
        """The source loses its power while the other side is no whole copy yet."""
        other = next(s for s in self.mirror.bed.servers if s != active)
        self._stop_process(other, active)
        self.mirror.cluster.crash(active)

    def _power(self, victim: str, active: str) -> None:
        self.mirror.cluster.crash(victim)
        self._goes_on_without(victim)

    def _move(self, victim: str, active: str) -> None:
        other = next(s for s in self.mirror.bed.servers if s != active)
        self.mirror.cluster.run(active, "clpgrp", "-m", GROUP, "-a", other)
        self.mirror.active(other)


@pytest.mark.long
@pytest.mark.timeout(120 + 90 * ROUNDS)
def test_rounds_of_faults_lose_no_acknowledged_record(mirror: MirrorStage):
    rounds = Rounds(mirror, SEED)
    try:
        for _ in range(ROUNDS):
            rounds.play()
    except BaseException:
        print(f"seed {SEED}: {rounds.story}")
        with contextlib.suppress(BedError):
            print(mirror.status()["groups"], mirror.status()["mirrors"])
        raise
