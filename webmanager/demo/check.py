"""The round without a person: up, crash, take-over, recover, failback, down; each step with the outage seen."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

from webmanager.demo.cut import Cut, outcome
from webmanager.demo.demo import Demo
from webmanager.demo.machine import BedError, until

GROUP = "failover1"
TAKEOVER_S = 30.0
MOVE_S = 60.0
WORST_OUTAGE_S = 5.0  # far above what is normal, far below what a person would call working


class Round:
    """`say` gets one line a step."""

    def __init__(self, demo: Demo, say: Callable[[str], None]) -> None:
        assert demo.client
        self.demo = demo
        self.client = demo.client
        self.cluster = demo.cluster
        self.say = say
        self.home = demo.plan.groups[0].policy[0]
        self.wanted = outcome(demo.plan.resolvers, len(demo.bed.servers))  # of a cut

    def go(self) -> None:
        self.at_home()
        self.crash()
        if self.wanted != "nobody":
            self.recover()
            self.failback()
        self.cut()
        if self.demo.console:
            self.manager_agrees()

    def at_home(self) -> None:
        for group in self.demo.plan.groups:
            self.client.wait_answer(group.name, group.policy[0], TAKEOVER_S)
            self._one_owner(group.address, group.policy[0])
        self.say("up: all servers and groups Online outage_s=0.000")

    def crash(self) -> None:
        """Of the server that the first group runs on; the others must not notice."""
        before = {group: self.client.count(group) for group in self.client.groups()}
        self.cluster.crash(self.home)
        if self.wanted == "nobody":
            self._nobody()
            return
        outage = self.client.outage_after(GROUP, before[GROUP], None, TAKEOVER_S)
        owner = self.client.wait_any(GROUP, TAKEOVER_S)
        self._one_owner(self.demo.plan.groups[0].address, owner)
        if owner != self.demo.plan.groups[0].policy[1]:
            raise BedError(f"{GROUP} moved to {owner}, but its policy says {self.demo.plan.groups[0].policy[1]}")
        for group, count in before.items():
            if group != GROUP and self.client.count(group) != count:
                raise BedError(f"{group} was interrupted by the crash of {self.home}, where it does not run")
        self._report(f"crash of {self.home}: {GROUP} taken over by {owner}", outage)

    def _nobody(self) -> None:
        """Two servers and a majority resolver: one of them is no majority."""
        for group in self.demo.plan.groups:
            self.client.wait_answer(group.name, "", TAKEOVER_S)
        self.say(f"crash of {self.home}: nobody serves, because the one that is left is no majority")
        self.cluster.recover(self.home)
        self.cluster.wait_online(MOVE_S)
        self._all_to(self.home)

    def recover(self) -> None:
        """The server comes back and nothing moves by itself."""
        owner, count = self.client.wait_any(GROUP, TAKEOVER_S), self.client.count(GROUP)
        self.cluster.recover(self.home)
        self.cluster.wait_online(MOVE_S)
        if self.client.count(GROUP) != count or self.client.seen(GROUP).answering != owner:
            raise BedError(f"{GROUP} was interrupted or moved when {self.home} came back")
        self._report(f"recovery of {self.home}: {GROUP} stays on {owner}", 0.0)

    def failback(self) -> None:
        count = self.client.count(GROUP)
        self.cluster.run(self.home, "clpgrp", "-m", GROUP, "-a", self.home, timeout_s=MOVE_S)
        outage = self.client.outage_after(GROUP, count, self.home, TAKEOVER_S)
        self._one_owner(self.demo.plan.groups[0].address, self.home)
        self.cluster.wait_online(MOVE_S)
        self._report(f"failback by clpgrp -m: {GROUP} on {self.home}", outage)

    def cut(self) -> None:
        """All links of the server that runs the first group, then of one that runs none."""
        console = self.demo.console
        shown = (lambda: console.rest("partition")["partition"]) if console else None
        cut = Cut(self.demo.bed, self.cluster, self.client, self.wanted, self.say, shown)
        standby = self.demo.bed.servers[-1]
        cut.server(self.home, "active")
        self._all_to(self.home, standby)
        cut.server(standby, "standby")
        self._all_to(self.home)

    def _all_to(self, server: str, standby: str = "") -> None:
        """Groups of this server come home; what runs on `standby` goes to it as well."""
        for group in self.demo.plan.groups:
            goal = server if standby == group.policy[0] else group.policy[0]
            if self.client.wait_any(group.name, TAKEOVER_S) != goal:
                self.cluster.run(goal, "clpgrp", "-m", group.name, "-a", goal, timeout_s=MOVE_S)
            self.client.wait_answer(group.name, goal, TAKEOVER_S)
        self.cluster.wait_online(MOVE_S)

    def manager_agrees(self) -> None:
        """The manager's REST shows within two seconds what the client sees."""
        console = self.demo.console
        assert console
        last: list[object] = [None]

        def agrees() -> bool:
            last[0] = console.rest(f"groups/{GROUP}")["groups"]
            return last[0] == [{"name": GROUP, "status": "Online", "current": self.home}]

        with _explained(lambda: f"; it says {last[0]}"):
            until(agrees, f"{GROUP} Online on {self.home} in the manager", 10, 0.1)
        self.say(f"manager: shows {GROUP} Online on {self.home} outage_s=0.000")

    def _one_owner(self, address: str, server: str) -> None:
        """By the kernels of the servers, not by what anybody says."""
        until(lambda: self.cluster.owners(address) == [server], f"{address} on {server} alone", TAKEOVER_S, 0.05)

    def _report(self, step: str, outage_s: float) -> None:
        self.say(f"{step} outage_s={outage_s:.3f}")
        if outage_s > WORST_OUTAGE_S:
            raise BedError(f"{step}: an outage of {outage_s:.1f} s is too long (limit {WORST_OUTAGE_S} s)")


def check(
    directory: Path,
    ports: tuple[int, int] | None,
    say: Callable[[str], None] = print,
    resolvers: tuple[str, ...] = ("majority",),
    servers: int = 3,
) -> int:
    """Exit code: 0 when all held."""
    demo = Demo(directory, ports=ports, resolvers=resolvers, servers=servers, say=lambda line: None)
    processes: list[int] = []
    try:
        with demo, _logs_on_error(demo):
            processes = [demo.bed.switch.pid, *(demo.bed[server].pid for server in demo.bed.servers)]
            Round(demo, say).go()
        left = [pid for pid in processes if os.path.exists(f"/proc/{pid}")]
        if left or directory.exists():
            raise BedError(f"something is left: processes {left}, directory {directory}")
    except BedError as error:
        say(f"FAILED: {error}")
        return 1
    say("down: nothing is left outage_s=0.000")
    return 0


@contextlib.contextmanager
def _logs_on_error(demo: Demo):  # type: ignore[no-untyped-def]
    try:
        yield
    except BedError:
        print(demo.cluster.tails(), file=sys.stderr)
        raise


@contextlib.contextmanager
def _explained(more: Callable[[], str]):  # type: ignore[no-untyped-def]
    try:
        yield
    except BedError as error:
        raise BedError(f"{error}{more()}") from error
