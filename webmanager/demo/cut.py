"""All links of one server are cut: a client on each side tells who serves, and whether two ever did at once."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from webmanager.demo.bed import Bed
from webmanager.demo.client import Client, Run
from webmanager.demo.cluster import DemoCluster
from webmanager.demo.machine import BedError, until

Outcome = Literal["others", "one", "nobody", "both"]
Counted = Mapping[tuple[str, float], int]
DECIDE_S = 30.0
SETTLE_TIMEOUTS = 2.0  # for so many heartbeat timeouts it must stay as it is
HEAL_S = 60.0
MANAGER_S = 15.0
BREATH_S = 1.0  # a client that is starved for so long sees nobody answer; who served twice, the runs tell
MEANING = {
    "others": "the others serve, the one that is cut off has stopped",
    "one": "one side serves; which one, the shared disk decides",
    "nobody": "nobody serves: neither side has more than half of the votes",
    "both": "BOTH sides serve: nothing resolves a partition",
}
NO_LINK = "nothing keeps the one that is cut off from serving, but without a link it activates no address"
# (clients are answered, on the isolated server one is answered)
_PLACES = {(True, False): "others", (False, True): "isolated", (True, True): "both", (False, False): "nobody"}


def outcome(resolvers: Sequence[str], servers: int) -> Outcome:
    """What must come of it when one server of so many loses all its links, to the witness and ping target as well."""
    if not resolvers:
        return "both"
    if servers > 2 or "witness" in resolvers:
        return "others"
    if "disk" in resolvers:
        # Both reach it, so that it grants either; who also must reach a ping target gives way.
        return "others" if "ping" in resolvers else "one"
    return "nobody" if "majority" in resolvers else "others"


@dataclass(frozen=True, slots=True)
class Side:
    """What the clients of one side got from one group after the cut: who answered, how often."""

    answers: Mapping[str, int]

    @property
    def served(self) -> bool:
        return any(self.answers.values())


class Cut:
    """`say` gets one line a step."""

    def __init__(
        self,
        bed: Bed,
        cluster: DemoCluster,
        client: Client,
        wanted: Outcome,
        say: Callable[[str], None],
        shown: Callable[[], Mapping[str, Any]] | None = None,
    ) -> None:
        """`shown`: the partition as the manager tells it (REST)."""
        self.bed = bed
        self.cluster = cluster
        self.client = client
        self.wanted = wanted
        self.say = say
        self.shown = shown
        self.groups = {group.name: group for group in cluster.plan.groups}

    def server(self, isolated: str, what: str) -> float:
        """Cut, judge, heal, judge. Returns the longest time in which a group was not served for clients."""
        before = {name: self.client.seen(name).answering for name in self.groups}
        there = {name for name, server in before.items() if server == isolated}
        with self._inside(isolated) as inside:
            counted = {client: _counted(client, self.groups) for client in (self.client, inside)}
            cut_at = time.monotonic()
            self.bed.faults.isolate(isolated)
            self._decided(inside, isolated, there)
            self._stays(inside, isolated, there)
            sides = self._judge(inside, isolated, there, cut_at, counted)
            outage = self._outage(cut_at)
            meaning = NO_LINK if self.wanted == "both" and not there else MEANING[self.wanted]
            self.say(f"cut of all links of {isolated} ({what}): {meaning}; {sides} outage_s={outage:.3f}")
            if self.shown:
                self._manager_says(isolated, self.shown)
            self._heal(inside, before)
        return outage

    @contextlib.contextmanager
    def _inside(self, server: str) -> Iterator[Client]:
        """A client on the side of the one that will be alone."""
        inside = Client(self.bed, self.cluster.targets(), on=self.bed[server])
        try:
            for name in self.groups:
                inside.wait_any(name, DECIDE_S)
            yield inside
        finally:
            inside.close()

    # ---- who serves ----
    def _undecided(self, inside: Client, isolated: str, there: Collection[str]) -> str:
        """Empty when every group is served as it should be now, else a sentence. `there`: groups that ran on it."""
        places = {}
        for name in self.groups:
            outer, inner = self.client.seen(name).answering, inside.seen(name).answering
            if isolated == outer or inner not in ("", isolated):
                return f"{name} is answered across the cut"
            places[name] = _PLACES[bool(outer), bool(inner)]
        wrong = {name: place for name, place in places.items() if place not in self._allowed(name in there)}
        if self.wanted == "one" and set(places.values()) - {"nobody"} not in ({"others"}, {"isolated"}):
            wrong = places
        return ", ".join(f"{name} is served by {place}" for name, place in wrong.items())

    def _allowed(self, ran_there: bool) -> tuple[str, ...]:
        """A server without a link activates no floating address: what it did not run, it cannot serve."""
        return {
            "one": ("others", "isolated", "nobody"),
            "both": ("both",) if ran_there else ("both", "others"),
        }.get(self.wanted, (self.wanted,))

    def _decided(self, inside: Client, isolated: str, there: Collection[str]) -> None:
        last, wrong_at = "", time.monotonic()
        lasts_s = self.cluster.plan.timeout_ms / 1000  # Just after the cut a client may be between two answers.

        def so() -> bool:
            nonlocal last, wrong_at
            wrong, now = self._undecided(inside, isolated, there), time.monotonic()
            if wrong:
                last, wrong_at = wrong, now
            return now > wrong_at + lasts_s

        try:
            until(so, "who serves after the cut", DECIDE_S, 0.05)
        except BedError as error:
            raise BedError(f"{error}: it should be that {MEANING[self.wanted]}, but {last}") from None

    def _stays(self, inside: Client, isolated: str, there: Collection[str]) -> None:
        now = well = time.monotonic()
        end = now + SETTLE_TIMEOUTS * self.cluster.plan.timeout_ms / 1000
        while now < end or well < now:
            time.sleep(0.05)
            now, wrong = time.monotonic(), self._undecided(inside, isolated, there)
            if not wrong:
                well = now
            elif now > well + BREATH_S:
                raise BedError(f"it was decided, but did not stay so: {wrong}")

    def _judge(
        self, inside: Client, isolated: str, there: Collection[str], cut_at: float, counted: Mapping[Client, Counted]
    ) -> str:
        """Counts of both sides, in words. BedError when two served at once and nobody has said that they may."""
        words = []
        for name in self.groups:
            runs = [*self.client.runs(name, cut_at), *inside.runs(name, cut_at)]
            twice = overlap(runs)
            if twice > 0 and self.wanted != "both":
                raise BedError(f"{name} was served by two servers at once for {twice:.3f} s: {runs}")
            if twice <= 0 and self.wanted == "both" and name in there:
                raise BedError(f"{name} was not served by both sides, though nothing keeps them from it: {runs}")
            outer, inner = (
                Side(_since(client.runs(name, cut_at), counted[client])) for client in (self.client, inside)
            )
            words.append(f"{name}: clients {_words(outer)}, on {isolated} {_words(inner)}{_gap(runs)}")
        return "; ".join(words)

    def _outage(self, cut_at: float) -> float:
        """Of the group that clients missed longest."""
        longest = 0.0
        for name in self.groups:
            runs = [run for run in self.client.runs(name) if run.last >= cut_at - 1]
            end = time.monotonic()
            gaps = [later.first - earlier.last for earlier, later in itertools.pairwise(runs)]
            silent = end - runs[-1].last if runs and not self.client.seen(name).answering else 0.0
            longest = max([longest, silent, *gaps])
        return longest

    def _manager_says(self, isolated: str, shown: Callable[[], Mapping[str, Any]]) -> None:
        """Which side acts and why; it hears nothing of the one that is cut off."""
        others = [server for server in self.bed.servers if server != isolated]
        acting = others if self.wanted in ("others", "both") else []
        last: list[Mapping[str, Any]] = [{}]

        def agrees() -> bool:
            last[0] = shown()
            told = isolated in last[0]["silent"]
            return told and (self.wanted == "one" or list(last[0]["acting"]) == acting)

        try:
            until(agrees, "the manager says who acts", MANAGER_S, 0.1)
        except BedError as error:
            raise BedError(f"{error}: it should be {acting}; it says {dict(last[0])}") from None
        self.say(f"console: {last[0]['why']} outage_s=0.000")

    # ---- healed ----
    def _heal(self, inside: Client, before: Mapping[str, str]) -> None:
        start = time.monotonic()
        serving = {name: self.client.served_last(name) for name in self.groups}
        self.bed.faults.heal()
        self.cluster.wait_online(HEAL_S)
        settled = [0.0]

        def one_owner_each() -> bool:
            if not all(self._agreed(inside, name) for name in self.groups):
                settled[0] = 0.0
                return False
            settled[0] = settled[0] or time.monotonic()
            return time.monotonic() - settled[0] > 1.0  # A reunion may still be choosing.

        until(one_owner_each, "each group on one server, by its kernel and by clients of both sides", HEAL_S, 0.1)
        moved = [name for name in self.groups if self.client.served_last(name) != serving[name]]
        if moved and self.wanted == "others":
            raise BedError(f"{', '.join(moved)} moved when the cut was healed")
        took = settled[0] - start
        where = ", ".join(f"{name} on {self.client.seen(name).answering} (before: {before[name]})" for name in before)
        self.say(f"healed: one cluster again after {took:.1f} s, each group on one server: {where} outage_s=0.000")

    def _agreed(self, inside: Client, name: str) -> bool:
        owner = self.client.seen(name).answering
        return bool(owner) and inside.seen(name).answering == owner == "".join(
            self.cluster.owners(self.groups[name].address)
        )


def overlap(runs: Sequence[Run]) -> float:
    """Seconds in which two servers certainly served at once; below 0: how far apart they were at least."""
    pairs = [
        min(one.last, other.last) - max(one.first, other.first)
        for number, one in enumerate(runs)
        for other in runs[number + 1 :]
        if one.server != other.server
    ]
    return max(pairs, default=float("-inf"))


def _counted(client: Client, groups: Iterable[str]) -> Counted:
    """How long each run is by now, known by its beginning."""
    return {(run.server, run.first): run.count for name in groups for run in client.runs(name)}


def _since(runs: Iterable[Run], counted: Counted) -> dict[str, int]:
    """Answers of each server since they were counted (within what the probe reports: 0.2 s)."""
    counts: dict[str, int] = {}
    for run in runs:
        counts[run.server] = counts.get(run.server, 0) + run.count - counted.get((run.server, run.first), 0)
    return {server: count for server, count in counts.items() if count}


def _words(side: Side) -> str:
    if not side.served:
        return "0 answers"
    return " and ".join(f"{count} answers of {server}" for server, count in side.answers.items())


def _gap(runs: Sequence[Run]) -> str:
    apart = -overlap(runs)
    return f" (never two: {apart:.3f} s between)" if 0 <= apart < float("inf") else ""
