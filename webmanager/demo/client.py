"""A probe, watched: who answers for each group now, every outage that was seen, and who answered from when to when."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from webmanager.demo.bed import Bed
from webmanager.demo.machine import BedError, Job, Machine

PROBE = Path(__file__).with_name("probe.py")
KEEP = 100  # outages of a group
KEEP_RUNS = 500


@dataclass(slots=True)
class Seen:
    """What the client saw of one group."""

    answering: str = ""  # server that answers now, "" when nobody does
    since: float = field(default_factory=time.time)
    outages: list[dict[str, Any]] = field(default_factory=list)  # newest last: outage_s, from, to, at


@dataclass(frozen=True, slots=True)
class Run:
    """A server that answered without a failure between; it certainly served from `first` to `last` (monotonic)."""

    server: str
    first: float
    last: float
    count: int


class Client:
    """Runs the probe in the bed's client machine (or `on` a server, to see its side of a cut) until close()."""

    def __init__(
        self, bed: Bed, targets: Mapping[str, tuple[str, int]], step_ms: float = 10, on: Machine | None = None
    ) -> None:
        self._seen = {name: Seen() for name in targets}
        self._runs: dict[str, dict[float, Run]] = {name: {} for name in targets}
        self._changed = threading.Condition()
        source, sink = os.pipe2(os.O_CLOEXEC)
        argv = [sys.executable, "-I", "-S", str(PROBE), json.dumps(targets), str(step_ms)]
        self._job: Job = (on or bed.client).spawn(argv, stdout=sink)
        os.close(sink)
        self._thread = threading.Thread(target=self._read, args=(source,), name="client", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._job.kill()
        self._thread.join(5)

    def _read(self, source: int) -> None:
        with os.fdopen(source) as lines:
            for line in lines:
                self._take(json.loads(line))

    def _take(self, message: dict[str, Any]) -> None:
        with self._changed:
            if outage := message.get("outage"):
                seen = self._seen[outage.pop("name")]
                seen.outages = [*seen.outages, outage][-KEEP:]
                seen.answering, seen.since = outage["to"], outage["at"]
            for run in message.get("runs", ()):
                self._ran(run)
            for name, server in message.get("alive", {}).items():
                seen = self._seen[name]
                if seen.answering != server:
                    seen.answering, seen.since = server, time.time()
            self._changed.notify_all()

    def _ran(self, run: dict[str, Any]) -> None:
        runs = self._runs[run["name"]]
        runs[run["first"]] = Run(run["server"], run["first"], run["last"], run["count"])
        if len(runs) > KEEP_RUNS:
            del runs[next(iter(runs))]

    def runs(self, group: str, since: float = 0.0) -> list[Run]:
        """Oldest first; those that went on after `since` (monotonic)."""
        with self._changed:
            return [run for run in self._runs[group].values() if run.last >= since]

    def seen(self, group: str) -> Seen:
        with self._changed:
            seen = self._seen[group]
            return Seen(seen.answering, seen.since, list(seen.outages))

    def served_last(self, group: str) -> str:
        """The server of the newest answer, also while a starved client hears nobody; "" before the first."""
        with self._changed:
            return next((run.server for run in reversed(self._runs[group].values())), "")

    def groups(self) -> list[str]:
        return list(self._seen)

    def count(self, group: str) -> int:
        """How many outages there were; give it to outage_after."""
        with self._changed:
            return len(self._seen[group].outages)

    def outage_after(self, group: str, count: int, server: str | None, timeout_s: float) -> float:
        """Waits for an outage beyond the first `count` that ended with `server` (None: any other) answering."""

        def ended() -> list[dict[str, Any]]:
            return [o for o in self._seen[group].outages[count:] if server in (None, o["to"])]

        self._wait(lambda: bool(ended()), f"an answer of {group} from {server or 'another server'}", timeout_s)
        return float(ended()[-1]["outage_s"])

    def wait_answer(self, group: str, server: str, timeout_s: float) -> None:
        """Until this server answers; "" until nobody does."""
        what = f"an answer of {group} from {server}" if server else f"silence of {group}"
        self._wait(lambda: self._seen[group].answering == server, what, timeout_s)

    def wait_any(self, group: str, timeout_s: float) -> str:
        self._wait(lambda: bool(self._seen[group].answering), f"an answer of {group}", timeout_s)
        return self.seen(group).answering

    def _wait(self, condition: Callable[[], bool], what: str, timeout_s: float) -> None:
        with self._changed:
            if not self._changed.wait_for(condition, timeout_s):
                answering = {name: seen.answering or "nobody" for name, seen in self._seen.items()}
                raise BedError(f"the client waited {timeout_s} s for {what}; now answering: {answering}")
