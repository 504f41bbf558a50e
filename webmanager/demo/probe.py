"""The client: a new TCP connection to each floating address every 10 ms, and how long nobody answered.

Started in the client's network as `python -I -S probe.py '{"failover1": ["10.29.3.101", 8081], ...}' [STEP_MS]`. Prints
one JSON object a line: {"alive": {name: server or ""}, "runs": [...]} five times a second, and {"outage": {...}} when
answers come again after connections failed, or come from another server. An outage lasts from the start of the last
connection that was answered to the next answer; its grain is therefore the step. A late answer is no outage, nor is a
time in which this client itself did not get to try.

A run is a server that answers without a failure between: how often, and the time (CLOCK_MONOTONIC, the same for every
probe of this machine) within which it certainly served: from its first answer to the start of its last connection.
"""

import contextlib
import itertools
import json
import selectors
import socket
import sys
import time
from typing import Any

QUIET_S = 0.25  # without an answer, after which nobody is said to answer
PATIENCE_S = 0.4  # a connection that has no answer by then is given up, before TCP repeats its SYN
REPORT_S = 0.2
REQUEST = b"GET / HTTP/1.0\r\n\r\n"


class Attempt:
    def __init__(self, target: "Target", start: float) -> None:
        self.target = target
        self.start = start
        self.socket = socket.socket(target.family, socket.SOCK_STREAM)
        self.socket.setblocking(False)


class Run:
    """Answers of one server without a failure between."""

    def __init__(self, name: str, server: str, now: float) -> None:
        self.name = name
        self.server = server
        self.count = 0
        self.first = self.last = now

    def told(self) -> dict[str, Any]:
        return {"name": self.name, "server": self.server, "count": self.count,
                "first": round(self.first, 4), "last": round(self.last, 4)}  # fmt: skip


class Target:
    def __init__(self, name: str, address: str, port: int) -> None:
        self.name = name
        self.place = (address, port)
        self.family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.server = ""  # that answered last
        self.last = 0.0  # start of the newest connection that was answered
        self.failures = 0  # connections since then that got no answer
        self.runs: list[Run] = []  # since the last report; the newest goes on

    def failed(self, start: float) -> None:
        if start > self.last:
            self.failures += 1

    def report(self) -> list[dict[str, Any]]:
        """Runs since the last report; the one that goes on is told again, longer."""
        told = [run.told() for run in self.runs]
        del self.runs[:-1]
        return told

    def _count(self, server: str, start: float, now: float) -> None:
        if self.failures or not self.runs or self.runs[-1].server != server:
            self.runs.append(Run(self.name, server, now))
        self.runs[-1].count += 1
        self.runs[-1].last = max(start, self.runs[-1].first)

    def answered(self, server: str, start: float, now: float) -> dict[str, Any] | None:
        """The outage that this answer ends, if there was one."""
        gap, before = now - self.last, self.server
        if start <= self.last:
            return None
        self._count(server, start, now)
        failures, self.failures = self.failures, 0
        self.last, self.server = start, server
        if not before or (server == before and not failures):
            return None
        return {"name": self.name, "outage_s": round(gap, 4), "from": before, "to": server, "at": time.time()}

    def answering(self, now: float) -> str:
        return "" if self.failures or now - self.last > QUIET_S else self.server


class Probe:
    def __init__(self, targets: list[Target], step_s: float) -> None:
        self.targets = targets
        self.step_s = step_s
        self.waiter = selectors.DefaultSelector()
        self.attempts: dict[Attempt, None] = {}

    def run(self) -> None:
        due = report = time.monotonic()
        while True:
            now = time.monotonic()
            if now >= due:
                for target in self.targets:
                    self.attempt(target, now)
                self.give_up(now)
                # No burst after a delay: a client that was starved has simply tried less often.
                due = max(due + self.step_s, now)
            if now >= report:
                runs = [run for target in self.targets for run in target.report()]
                say({"alive": {target.name: target.answering(now) for target in self.targets}, "runs": runs})
                report = now + REPORT_S
            self.look(max(0.0, min(due, report) - time.monotonic()))

    def attempt(self, target: Target, now: float) -> None:
        attempt = Attempt(target, now)
        self.attempts[attempt] = None
        self.waiter.register(attempt.socket, selectors.EVENT_WRITE, attempt)
        try:
            attempt.socket.connect(target.place)
        except BlockingIOError:
            pass
        except OSError:  # No route, no such address: the same as no answer.
            self.fail(attempt)

    def proceed(self, attempt: Attempt, mask: int) -> None:
        try:
            if mask & selectors.EVENT_WRITE:
                attempt.socket.send(REQUEST)
                self.waiter.modify(attempt.socket, selectors.EVENT_READ, attempt)
                return
            data = attempt.socket.recv(2048)
        except OSError:
            data = b""
        server = server_of(data)
        if not server:
            self.fail(attempt)
            return
        self.close(attempt)
        if outage := attempt.target.answered(server, attempt.start, time.monotonic()):
            say({"outage": outage})

    def give_up(self, now: float) -> None:
        late = self.late(now)
        if late:
            self.look(0.0)  # We may have been late ourselves, and the answer is here.
        for attempt in late:
            if attempt in self.attempts:
                self.fail(attempt)

    def late(self, now: float) -> list[Attempt]:
        """The oldest stand first."""
        return list(itertools.takewhile(lambda attempt: now - attempt.start >= PATIENCE_S, self.attempts))

    def look(self, seconds: float) -> None:
        for key, mask in self.waiter.select(seconds):
            self.proceed(key.data, mask)

    def fail(self, attempt: Attempt) -> None:
        attempt.target.failed(attempt.start)
        self.close(attempt)

    def close(self, attempt: Attempt) -> None:
        del self.attempts[attempt]
        self.waiter.unregister(attempt.socket)
        with contextlib.suppress(OSError):
            attempt.socket.close()


def server_of(data: bytes) -> str:
    for line in data.decode("latin-1").split("\r\n"):
        if line.startswith("X-Server: "):
            return line[10:]
    return ""


def say(thing: dict[str, Any]) -> None:
    print(json.dumps(thing), flush=True)


if __name__ == "__main__":
    wanted = json.loads(sys.argv[1])
    step = float(sys.argv[2]) / 1000 if len(sys.argv) > 2 else 0.01
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        Probe([Target(name, *place) for name, place in wanted.items()], step).run()
