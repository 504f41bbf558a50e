"""paused: everything on the active server sleeps for three timeouts; does it serve after its successor has started?

The watchdog device is played from outside of the server (a machine of the bed has none of its own): it takes the power
when it was not petted for the whole seconds that a device of the kernel counts in.
"""

from __future__ import annotations

import bisect
import contextlib
import json
import os
import random
import select
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from agent.drivers.watchdog import DEVICE
from agent.engine.firing import fires_after_s
from tests.bench.goals import Goal, Outcome, median
from tests.bench.rivals import Openclp, disk, raise_cluster, settle
from webmanager.demo.bed import Bed
from webmanager.demo.machine import DISK, BedError, Job, until

SERVED = Path(__file__).with_name("served.py")
ROUNDS = 100
INTERVAL_MS, TIMEOUT_MS = 100, 500
TIMEOUT_S = TIMEOUT_MS / 1000
PAUSE_S = 3 * TIMEOUT_S
STEP_MS = 10
LONGEST_S = 30.0
AFTER_S = 1.0  # what a woken server might still answer, it answers at once
Say = Callable[[str], None]


class Case(NamedTuple):
    name: str
    servers: int
    plan: dict[str, object]
    watchdog: bool
    share: float  # of the rounds


CASES = (
    Case("3 servers, majority, watchdog", 3, {}, True, 1.0),
    Case("2 servers, witness, watchdog", 2, {"resolvers": ("witness",)}, True, 0.2),
    Case("3 servers, majority, no watchdog device", 3, {}, False, 0.2),
)


class Answer(NamedTuple):
    start: float
    end: float
    server: str


@dataclass(frozen=True, slots=True)
class Round:
    takeover_s: float  # from the pause to the first answer of the successor
    late: int  # answers of the paused server after that
    late_ms: float  # the last of them, after the first answer of the successor
    reset: str  # "asleep": by the watchdog, "awake": by itself, "": not at all


class Answers:
    """All that the patient client got, as it comes."""

    def __init__(self, bed: Bed, address: str, port: int) -> None:
        self._all: list[Answer] = []
        source, sink = os.pipe2(os.O_CLOEXEC)
        words = [sys.executable, "-I", "-S", str(SERVED), address, str(port), str(STEP_MS)]
        self._job: Job = bed.client.spawn(words, stdout=sink)
        os.close(sink)
        self._thread = threading.Thread(target=self._read, args=(source,), daemon=True)
        self._thread.start()

    def _read(self, source: int) -> None:
        with os.fdopen(source) as lines:
            for line in lines:
                self._all.append(Answer(*json.loads(line)))

    def since(self, at: float) -> list[Answer]:
        """Those that came after this time, in order."""
        known = list(self._all)
        return known[bisect.bisect_right(known, at, key=lambda answer: answer.end) :]

    def close(self) -> None:
        self._job.kill()
        self._thread.join(5)


class Watchdogs:
    """One for each server, as the kernel's: petted through a FIFO, it takes the server's power when that ends."""

    def __init__(self, bed: Bed) -> None:
        self._bed = bed
        self._ends: dict[str, int] = {}
        self._due: dict[str, float] = {}
        self.fired: list[str] = []
        self._over = threading.Event()
        for server in bed.servers:
            bed[server].environment[DEVICE] = f"{DISK}/watchdog"
        self._thread = threading.Thread(target=self._run, daemon=True)

    def install(self) -> None:
        """Before the agents start: a device is there before who opens it."""
        for server in self._bed.servers:
            path = disk(self._bed, server) / "watchdog"
            path.unlink(missing_ok=True)
            os.mkfifo(path, 0o600)
            # For writing as well: so it never is at its end.
            self._ends[server] = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(5)
        for end in self._ends.values():
            os.close(end)
        for server in self._bed.servers:
            self._bed[server].environment.pop(DEVICE, None)

    def _run(self) -> None:
        names = {end: server for server, end in self._ends.items()}
        while not self._over.is_set():
            wait_s = min([0.1, *(due - time.monotonic() for due in self._due.values())])
            ready, _, _ = select.select(list(names), [], [], max(0.0, wait_s))
            for end in ready:
                self._take(names[end], os.read(end, 4096))
            for server, due in list(self._due.items()):
                if time.monotonic() >= due:
                    self._fire(server)

    def _take(self, server: str, pets: bytes) -> None:
        if pets.endswith(b"V"):
            self._due.pop(server, None)
        else:
            self._due[server] = time.monotonic() + fires_after_s(TIMEOUT_S)

    def _fire(self, server: str) -> None:
        # A server without power does not pet, nor does its watchdog run.
        del self._due[server]
        if self._bed[server].on:
            self.fired.append(server)
            self._bed.faults.power_off(server)


def run(say: Say, *, quick: bool) -> Outcome:
    rounds = 3 if quick else ROUNDS
    out = Outcome(
        f"paused: every process of the active server sleeps for {PAUSE_S:g} s at {INTERVAL_MS}/{TIMEOUT_MS} ms; "
        f"self-fencing; a client that connects each {STEP_MS} ms",
        ("", "n", "take-over s, median", "max", "served late", "answers", "last ms", "reset asleep", "awake", "not"),
    )  # fmt: skip
    for case in CASES:
        wanted = max(3, round(rounds * case.share))
        try:
            found = _case(case, wanted, say)
        except BedError as error:
            out.notes.append(f"{case.name} failed: {error}.")
            found = []
        _fill(out, case, found, wanted)
    out.notes += [
        f"The watchdog is played from outside of the server; it counts whole seconds, as the kernel's devices do: it "
        f"fires {fires_after_s(TIMEOUT_S)} s after the last pet. A shorter pause than that it does not see.",
        "Served late: rounds in which the paused server answered after its successor had; a connection that its kernel "
        "accepted while it slept counts when it is answered.",
    ]
    return out


def _fill(out: Outcome, case: Case, found: Sequence[Round], wanted: int) -> None:
    bad = [one for one in found if one.late]
    if found:
        takeovers = [one.takeover_s for one in found]
        resets = [sum(1 for one in found if one.reset == how) for how in ("asleep", "awake", "")]
        out.rows.append(
            [case.name, str(len(found)), f"{median(takeovers):.3f}", f"{max(takeovers):.3f}", str(len(bad)),
             str(sum(one.late for one in bad)), f"{max([one.late_ms for one in bad], default=0.0):.1f}",
             *map(str, resets)]
        )  # fmt: skip
    # A round that could not be played has proven nothing.
    measured = len(bad) if len(found) == wanted else float("inf")
    if case.watchdog:
        out.goals.append(Goal(f"{case.name}: rounds served late", measured, 0, "goal"))
    elif bad:
        out.notes.append(
            f"{case.name}: {len(bad)} of {len(found)} rounds served late. What wakes all at once races with its own "
            "reset; only a watchdog device (or fencing) is outside of the sleeper."
        )


def _case(case: Case, rounds: int, say: Say) -> list[Round]:
    with contextlib.ExitStack() as stack:
        bed = stack.enter_context(Bed(servers=case.servers))
        dogs = Watchdogs(bed) if case.watchdog else None
        if dogs:
            stack.callback(dogs.close)
        rival = Openclp(bed, INTERVAL_MS, TIMEOUT_MS, services=True, self_fencing=True, **case.plan)
        if dogs:
            rival = _WithWatchdogs(rival, dogs)
        raise_cluster(bed, rival)
        answers = Answers(bed, rival.address, rival.port)
        stack.callback(answers.close)
        found = []
        for number in range(1, rounds + 1):
            found.append(_round(bed, rival, answers, dogs))
            say(f"{case.name}: {number} of {rounds}: {found[-1]}")
        return found


class _WithWatchdogs(Openclp):
    """The devices are made when the servers' disks are."""

    def __init__(self, other: Openclp, dogs: Watchdogs) -> None:
        self.__dict__.update(other.__dict__)
        self._dogs = dogs

    def install(self) -> None:
        super().install()
        self._dogs.install()

    def unsettled(self) -> str:
        if wrong := super().unsettled():
            return wrong
        servers = self.cluster.status()["servers"]
        states = {name: server["watchdog"]["status"] for name, server in servers.items()}
        wrong = [name for name, state in states.items() if state != "armed"]
        return f"the watchdog of {', '.join(wrong)} is not armed" if wrong else ""


def _round(bed: Bed, rival: Openclp, answers: Answers, dogs: Watchdogs | None) -> Round:
    start = time.monotonic()
    until(lambda: bool(answers.since(start)), "an answer before the pause", LONGEST_S)
    active = answers.since(start)[-1].server
    time.sleep(random.uniform(0.2, 0.4))  # At no fixed time of the heartbeats' interval.
    fired = len(dogs.fired) if dogs else 0
    paused = time.monotonic()
    bed.faults.freeze(active)
    time.sleep(PAUSE_S)
    asleep = not bed[active].on
    with contextlib.suppress(BedError):
        bed.faults.thaw(active)

    def successor() -> list[Answer]:
        return [answer for answer in answers.since(paused) if answer.server != active]

    until(lambda: bool(successor()), f"an answer of another server than {active}", LONGEST_S)
    time.sleep(AFTER_S)
    reset = "asleep" if asleep else "awake" if not bed[active].on else ""
    if asleep and (dogs is None or len(dogs.fired) == fired):
        raise BedError(f"{active} lost its power, but not by its watchdog")
    first = successor()[0]
    late = [answer.end for answer in answers.since(first.end) if answer.server == active]
    _restart(bed, rival, active)
    return Round(first.end - paused, len(late), 1000 * (late[-1] - first.end) if late else 0.0, reset)


def _restart(bed: Bed, rival: Openclp, server: str) -> None:
    if not bed[server].on:
        bed.faults.power_on(server)
        rival.boot(server)
    settle(rival)
