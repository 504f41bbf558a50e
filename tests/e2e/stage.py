"""Real agents on three servers in the bed, and a client that watches their groups."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Iterator
from typing import Any

from webmanager.demo.bed import Bed
from webmanager.demo.client import Client
from webmanager.demo.cluster import DemoCluster, Status, demo_plan
from webmanager.demo.configuration import GroupPlan, Plan
from webmanager.demo.machine import DISK, BedError, Result, until

ONLINE_S = 60.0
WAIT_S = 30.0
GROUP = "failover1"
WORK = f"{DISK}/work"  # of the administrator, on the server's own disk: /tmp is that of all tests


class Stage:
    """Bed, cluster and client; `with` brings all groups online at home."""

    def __init__(self, bed: Bed, plan: Plan | None = None) -> None:
        self.bed = bed
        self.faults = bed.faults
        self.plan = plan or demo_plan(bed)
        self.cluster = DemoCluster(bed, self.plan)
        self.address = self.plan.groups[0].address

    def __enter__(self) -> Stage:
        self.cluster.install()
        self.cluster.start_agents()
        self.cluster.wait_online(ONLINE_S)
        for group in self.plan.groups:
            self._bring_home(group)
        self.client = Client(self.bed, self.cluster.targets())
        for group in self.plan.groups:
            self.client.wait_answer(group.name, group.policy[0], WAIT_S)
        return self

    def _bring_home(self, group: GroupPlan) -> None:
        """A machine so slow that one server came after the start-up wait of the others has started it elsewhere."""
        home = group.policy[0]
        if self.status()["groups"][group.name]["current"] != home:
            self.cluster.run(home, "clpgrp", "-m", group.name, "-a", home)
            self.cluster.wait_online(ONLINE_S)

    def __exit__(self, *_: object) -> None:
        self.client.close()

    # ---- what is so ----
    def count(self) -> int:
        return self.client.count(GROUP)

    def owned_by(self, *servers: str) -> None:
        """By the kernels, not by what the agents say."""
        owners = lambda: self.cluster.owners(self.address)  # noqa: E731
        until(lambda: owners() == list(servers), f"{self.address} on {servers}", WAIT_S, 0.05, owners)

    def quiet(self) -> bool:
        """Both groups are answered from home and never were interrupted. A client that was starved for a moment sees
        nobody answer until it has asked again; that is no interruption."""
        for group in self.plan.groups:
            self.client.wait_answer(group.name, group.policy[0], WAIT_S)
        return all(self.client.count(group.name) == 0 for group in self.plan.groups)

    def server(self, name: str, seen_by: str) -> dict[str, Any]:
        """The server as that agent shows it."""
        return dict(self.status(seen_by)["servers"][name])

    def shown(self, server: str) -> str:
        """Its status as it says itself; "" while its agent does not answer."""
        with contextlib.suppress(BedError):
            return str(self.server(server, server)["status"])
        return ""

    def status(self, seen_by: str = "") -> Status:
        return self.cluster.status(seen_by)

    def log(self, server: str, name: str = "agent.log") -> str:
        """A log of the server, "" while there is none."""
        path = self.cluster.disk(server) / "log" / name
        return path.read_text(errors="replace") if path.exists() else ""

    def says(self, server: str, words: str, name: str = "agent.log", timeout_s: float = WAIT_S) -> None:
        """Waits until the log of the server has these words."""
        tail = lambda: self.log(server, name)[-1500:]  # noqa: E731
        until(lambda: words in self.log(server, name), f"{name} of {server} says {words!r}", timeout_s, 0.05, tail)

    # ---- what an administrator does ----
    def sh(self, server: str, command: str, timeout_s: float = 60.0) -> Result:
        """A command line on a server, whatever its exit code."""
        machine = self.bed[server]
        path = f"{DISK}/bin:{machine.environment['PATH']}"
        argv = ["/bin/sh", "-c", command]
        return machine.run(argv, environment={"PATH": path}, timeout_s=timeout_s, check=False)

    def script(self, server: str, name: str, text: str) -> None:
        """Replace start.sh or stop.sh of the first group on one server."""
        path = self.cluster.disk(server) / "etc/scripts" / GROUP / "exec1" / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def gone(self, server: str, word: str = "") -> None:
        """Waits until no process there has `word` in its command line: who ended them need not have seen the end."""
        there = self.bed[server]
        what = f"no {word or 'process'} runs on {server}"
        until(lambda: not there.pids(word), what, WAIT_S, 0.05, there.processes)

    def hit(self, server: str, word: str, number: int = signal.SIGKILL) -> list[int]:
        """As faults.kill, at a moment when there is one to be hit: one may just make room for the next."""
        struck: list[int] = []

        def strikes() -> bool:
            with contextlib.suppress(BedError):
                struck.extend(self.faults.kill(server, word, number))
            return bool(struck)

        until(strikes, f"{word} of {server} is hit", WAIT_S)
        return struck

    def restart(self, server: str) -> None:
        """Its power is cut and comes back; the agent starts as at boot."""
        self.cluster.crash(server)
        self.cluster.recover(server)

    # ---- the order of things, by the agents' event logs (all servers of the bed have one clock) ----
    def notes(self, server: str) -> list[dict[str, Any]]:
        """Events of the server, oldest first; a line that is being written is none yet."""
        text = self.log(server, "events.jsonl")
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def when(self, server: str, number: str, words: str, *, last: bool = True) -> float:
        """Time of the newest (or first) event with this number ("rc:10") and these words; it may be still to come."""
        module, _, event = number.partition(":")

        def times() -> list[float]:
            return [
                note["time"]
                for note in self.notes(server)
                if note["module"] == module and note["event"] == int(event) and words in note["text"]
            ]

        until(lambda: bool(times()), f"event {number} of {server} with {words!r}", WAIT_S, 0.05)
        return times()[-1 if last else 0]


@contextlib.contextmanager
def staged(bed: Bed, plan: Plan | None = None) -> Iterator[Stage]:
    """All groups online at home, and what the agents said last, which pytest shows when the test fails."""
    stage = Stage(bed, plan)
    try:
        with stage:
            yield stage
    finally:
        with contextlib.suppress(BedError):
            print(stage.cluster.tails(40))
