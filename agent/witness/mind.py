"""What a witness knows and promises about one cluster; pure, so that server, manager, disk and simulator agree.

The theory. A witness keeps one durable record: the view (epoch, members, voters) that it has promised. A server takes
an answered beat for a confirmation of its lease only when the record names it, and counts it from the time at which it
SENT the beat. So when a record without server X has been granted, X's lease from this witness ends at the latest 0.7 of
a timeout after X's newest beat was heard; `heard_s` tells the proposer how long ago that was.

A proposal is granted when its epoch is above the record's and one of these holds:
- nothing has been promised yet;
- the proposer is a member of the record's view, and so descends from it;
- each member of the record's view that may live is in the proposal. In particular: none of them may.

Who may live: a member heard less than its timeout ago - and one not heard at all, while the witness remembers for less
than a timeout: after its own restart it does not know who was confirmed before.

The awkward case: the answer is lost. The same question (epoch and members) is granted again, with the same `before`.
The caller writes what `judge` wants kept durably before it answers, and lets no beat of this cluster pass meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from agent.wire.epoch import NO_EPOCH
from agent.wire.heartbeat import MAX_SERVERS
from agent.wire.witness import MAX_OPEN, Answer, Ask, Beat, Record, Told, record_fields, record_of, successor

_STOPPED = ("stopped", "released")  # what a server says that certainly runs nothing


class Promise(NamedTuple):
    """What must survive everything."""

    record: Record = Record()
    before: Record = Record()  # what `record` replaced, for a question that is repeated
    known: tuple[str, ...] = ()  # every server that was ever a member: after a restart each may hold a lease
    timeout_s: float = 0.0  # the longest that any server has named: so long may a lease of the past still hold


class RefusedError(Exception):
    """The request counts for nothing; the text says why, `life` is set when it named another than ours."""

    def __init__(self, text: str, life: str = "") -> None:
        super().__init__(text)
        self.life = life


class Verdict(NamedTuple):
    granted: bool
    detail: str  # a sentence when refused
    again: bool = False  # granted before


def judge(promise: Promise, ask: Ask, may_live: Mapping[str, float]) -> Verdict:
    """`may_live`: server -> age of its newest beat, or for how long we have not heard it and would not know."""
    record = promise.record
    if ask.epoch == record.epoch and ask.members == record.members:
        return Verdict(True, "", again=True)
    if len(successor(record, ask).open) > MAX_OPEN:
        return Verdict(False, f"{MAX_OPEN} promised views may be in force; let all servers meet again")
    if ask.epoch <= record.epoch:
        return Verdict(False, f"view {record.epoch} of {_listed(record.members)} has been promised already")
    if record.epoch == NO_EPOCH or ask.server in record.members:
        return Verdict(True, "")
    left_out = [server for server in record.members if server in may_live and server not in ask.members]
    if not left_out:
        return Verdict(True, "")
    server = min(left_out, key=lambda name: may_live[name])
    return Verdict(False, f"{server} was heard {may_live[server]:.1f} s ago and runs view {record.epoch}")


def grant(promise: Promise, ask: Ask) -> Promise:
    """What to keep when `judge` says that it is granted for the first time."""
    record = successor(promise.record, ask)
    known = tuple(dict.fromkeys((*ask.members, *promise.known)))[:MAX_SERVERS]
    return Promise(record, promise.record, known, max(promise.timeout_s, ask.timeout_s))


def promise_fields(promise: Promise) -> dict[str, Any]:
    return {
        "record": record_fields(promise.record), "before": record_fields(promise.before),
        "known": list(promise.known), "timeout_s": promise.timeout_s,
    }  # fmt: skip


def promise_of(fields: object) -> Promise:
    """ValueError when these are no promise."""
    if not isinstance(fields, dict) or not isinstance(fields.get("timeout_s"), int | float):
        raise ValueError("a promise has record, before, known and timeout_s")
    known = tuple(map(str, fields.get("known") or ()))
    record, before = record_of(fields.get("record")), record_of(fields.get("before"))
    return Promise(record, before, known, float(fields["timeout_s"]))


class Heard(NamedTuple):
    """The newest beat of one server."""

    at: float
    timeout_s: float
    stopped: bool  # it said that it runs nothing


class Witness:
    """The mind for one cluster. Times are seconds of one steady clock that counts sleep, too.

    `life` names the time since `since` in which requests are remembered: no two lives have the same.
    """

    def __init__(self, promise: Promise, since: float, life: str) -> None:
        self.promise = promise
        self.since = since
        self.life = life
        self.heard: dict[str, Heard] = {}
        self._beats: dict[str, tuple[int, int]] = {}  # server -> (incarnation, seq) of its newest
        self._asks: dict[str, tuple[int, int]] = {}

    def beat(self, beat: Beat, now: float) -> Told:
        """RefusedError when it counts for nothing."""
        self._admit(self._beats, beat)
        self.heard[beat.server] = Heard(now, beat.timeout_s, beat.service in _STOPPED)
        return Told(self.promise.record, self.ages(now, beat.timeout_s), self.life)

    def propose(self, ask: Ask, now: float) -> tuple[Answer, Promise | None]:
        """The answer, and what `keep` must have taken, durably, before it is given. RefusedError as in beat()."""
        self._admit(self._asks, ask)
        ages = self.ages(now, ask.timeout_s)
        verdict = judge(self.promise, ask, ages)
        if not verdict.granted:
            record = self.promise.record
            return Answer(False, record.epoch, record, ages, verdict.detail, self.life), None
        before = self.promise.before if verdict.again else self.promise.record
        answer = Answer(True, ask.epoch, before, ages, life=self.life)
        return answer, None if verdict.again else grant(self.promise, ask)

    def keep(self, promise: Promise) -> None:
        self.promise = promise

    def ages(self, now: float, timeout_s: float = 0.0) -> dict[str, float]:
        """Who may live, and how long ago it was heard."""
        ages = {
            server: max(now - heard.at, 0.0)
            for server, heard in self.heard.items()
            if not heard.stopped and now - heard.at < max(heard.timeout_s, timeout_s)
        }
        remembered = max(now - self.since, 0.0)
        if remembered < max(self.promise.timeout_s, timeout_s):
            ages |= {server: remembered for server in self.promise.known if server not in self.heard}
        return ages

    def _admit(self, newest: dict[str, tuple[int, int]], request: Beat | Ask) -> None:
        if request.life != self.life:
            raise RefusedError("the witness was restarted; ask again with its new life", self.life)
        number = (request.incarnation, request.seq)
        seen = newest.get(request.server, (0, 0))
        if number <= seen:
            why = "an earlier start of this server" if request.incarnation < seen[0] else "a repeated request"
            raise RefusedError(f"{request.server}: this is of {why}; it does not count")
        if request.server not in newest and len(newest) >= MAX_SERVERS:
            raise RefusedError(f"{request.server}: {MAX_SERVERS} servers of this cluster are known already")
        newest[request.server] = number

    # For a witness whose processes share their memory of beats (a database row).

    def memory(self) -> dict[str, Any]:
        return {
            "since": self.since, "life": self.life, "heard": {s: list(h) for s, h in self.heard.items()},
            "beats": {s: list(n) for s, n in self._beats.items()}, "asks": {s: list(n) for s, n in self._asks.items()},
        }  # fmt: skip

    @classmethod
    def from_memory(cls, promise: Promise, memory: Mapping[str, Any]) -> Witness:
        """`memory` is what memory() gave in the same boot of the same machine."""
        witness = cls(promise, memory["since"], memory["life"])
        witness.heard = {server: Heard(*heard) for server, heard in memory["heard"].items()}
        witness._beats = {server: (number[0], number[1]) for server, number in memory["beats"].items()}
        witness._asks = {server: (number[0], number[1]) for server, number in memory["asks"].items()}
        return witness


def state_for_people(witness: Witness, cluster: str, now: float) -> dict[str, Any]:
    record = witness.promise.record
    return {
        "cluster": cluster, "view": str(record.epoch) if record.epoch != NO_EPOCH else None,
        "members": list(record.members), "voters": list(record.voters),
        "up_s": round(now - witness.since, 1),
        "servers": {
            server: {"heard_s_ago": round(now - heard.at, 3), "stopped": heard.stopped}
            for server, heard in sorted(witness.heard.items())
        },
    }  # fmt: skip


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
