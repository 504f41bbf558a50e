"""This server's side of a network partition: which resolvers it reaches, what the arbiter grants, whether it may act.

A ping resource proves nothing about the other side; it only tells that this server is cut off. So a server that misses
a member of its view and does not reach every ping target stops its groups and forms no view without that member, also
not before it has reached them for one timeout again.
An arbiter (witness, shared disk) is a voter that holds no groups: agent/engine/quorum.py. It is asked with every view,
also when it is not needed, because it confirms the leases of the members of the newest view that it has promised.
Of two sides that ask at once, the one with the first server of the last view asks first; the other waits a tenth of
the timeout.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import msgspec

from agent.engine.core import NEVER, Core
from agent.engine.effects import AskArbiter
from agent.engine.events import ArbiterAnswer, ResolverState
from agent.engine.quorum import Ballots, Electorate, binding, has_quorum, in_force, next_electorate
from agent.wire.epoch import NO_EPOCH, Epoch
from agent.wire.peer import Ballot
from agent.wire.report import ResolverReport, VoteReport

_LATER = 0.1  # of the timeout: how long the side without the first server waits


class Question(msgspec.Struct):
    arbiter: str
    epoch: Epoch
    members: tuple[str, ...]
    voters: Electorate
    in_force: Epoch
    next_at: float
    answer: ArbiterAnswer | None = None
    answered_at: float = 0.0

    @property
    def granted(self) -> bool:
        return self.answer is not None and self.answer.granted


class Partition:
    """`others_reach` is set by the engine: does another member of our view report that it reaches this resolver?"""

    def __init__(self, core: Core, ballots: Iterable[Ballot] = ()) -> None:
        self.core = core
        self.ballots = Ballots(core.cluster, tuple(ballots))
        self.reached: dict[str, bool] = {}
        self.since: dict[str, tuple[float, str]] = {}  # resolver -> when that began, and why it is not reached
        self.question: Question | None = None
        self.others_reach: Callable[[str], bool] = lambda _name: False
        self.refused = ""  # what the arbiter said last, until it grants
        self.cut_off = ""  # note: no ping target answers, and a member of our view is missing

    # What is reached ------------------------------------------------------------------------------------------------

    def resolver(self, event: ResolverState) -> str:
        """Returns the note."""
        before = self.reached.get(event.name)
        self.reached[event.name] = event.ok
        if before != event.ok:
            if event.ok and event.name in self.core.cluster.pings:
                self.core.timers[f"settled {event.name}"] = self.core.now + self.core.cluster.timeout_s
            self.since[event.name] = (self.core.now, "" if event.ok else event.detail)
        if before == event.ok:
            return ""
        self.core.touch()
        if event.ok:
            return self.core.note("cp", 20, "cluster", event.name, event.name, after="Normal")
        return self.core.note("cp", 21, "cluster", event.name, event.name, event.detail, after="Error")

    @property
    def inside(self) -> bool:
        """Every ping resource answers; one that has not told yet does not."""
        return all(self.reached.get(name, False) for name in self.core.cluster.pings)

    @property
    def settled(self) -> bool:
        """Inside for one timeout. When a cut ends, the ping target may answer before the others are heard: whoever
        starts groups then starts them beside those who run them."""
        long_ago = self.core.now - self.core.cluster.timeout_s
        return self.inside and all(self.since[name][0] <= long_ago for name in self.core.cluster.pings)

    def _usable(self, current: Electorate) -> str:
        """The arbiter that votes in our next view: the one in use while anybody here reaches it, else the first."""
        arbiters = self.core.cluster.arbiters
        for name in arbiters:
            if name in current and (self.reached.get(name, False) or self.others_reach(name)):
                return name
        return next((name for name in arbiters if self.reached.get(name, False)), "")

    def electorate(self, members: tuple[str, ...], current: Electorate) -> Electorate:
        """Who votes on the successor of a view of `members`; `current`: of the view in force."""
        newest = in_force(self.ballots.known)
        return next_electorate(self.core.cluster, members, self._usable(current), newest.voters if newest else ())

    # Votes ----------------------------------------------------------------------------------------------------------

    def lacking(self, present: Collection[str], ballots: Iterable[Ballot] = ()) -> Electorate:
        """An electorate of which not more than half is present; () when there is none."""
        known = binding([*self.ballots.known, *ballots])
        return next((voters for voters in known if not has_quorum(voters, present)), ())

    def hopeful(self, servers: Collection[str]) -> Electorate:
        """As `lacking`, taking it that the arbiters that we reach would grant."""
        return self.lacking({*servers, *(name for name, ok in self.reached.items() if ok)})

    # The arbiter ----------------------------------------------------------------------------------------------------

    def ask(
        self, epoch: Epoch, members: tuple[str, ...], voters: Electorate, ballots: Iterable[Ballot], *, first: bool
    ) -> None:
        """When all members have promised our proposal; `ballots` are theirs."""
        if self.question is not None and self.question.epoch == epoch:
            return
        arbiters = self.core.cluster.arbiters
        binds = [name for known in (voters, *self.ballots.electorates) for name in known if name in arbiters]
        name = next(iter(binds), self._usable(()))
        if not name:
            self.question = None
            return
        delay = 0.0 if first else _LATER * self.core.cluster.timeout_s
        newest = in_force(ballots)
        since = newest.epoch if newest else NO_EPOCH
        self.question = Question(name, epoch, members, voters, since, self.core.now + delay)
        self.advance()

    def advance(self) -> None:
        """Ask, and ask again until it answers."""
        question = self.question
        if question is not None and question.answer is None and self.core.now >= question.next_at:
            question.next_at = self.core.now + max(0.05, min(1.0, self.core.cluster.interval_s))
            self.core.emit(AskArbiter(name=question.arbiter, epoch=question.epoch, members=question.members,
                                      voters=question.voters, in_force=question.in_force))  # fmt: skip

    def deadline(self) -> float:
        return self.question.next_at if self.question and self.question.answer is None else NEVER

    def answered(self, event: ArbiterAnswer) -> str:
        """Returns the note of a refusal."""
        question = self.question
        if question is None or (event.name, event.epoch) != (question.arbiter, question.epoch) or question.granted:
            return ""
        question.answer, question.answered_at = event, self.core.now
        before, self.refused = self.refused, "" if event.granted else event.detail
        self.core.touch()
        if event.granted:
            self.core.note("cp", 26, "cluster", event.name, event.name, str(event.epoch), ", ".join(question.members),
                           rule="arbiter")  # fmt: skip
        if event.granted or before:
            return ""
        return self.core.note("cp", 22, "cluster", event.name, event.name, event.detail, rule="arbiter")

    def votes(self, epoch: Epoch, members: Electorate) -> VoteReport | None:
        """By which votes the view that this server has installed came into force."""
        if not self.core.cluster.majority or not self.ballots.decided:
            return None
        answer = self.granted(epoch)
        arbiter = {answer.name} if answer else set()
        present = tuple(voter for voter in self.ballots.decided if voter in {*members, *arbiter})
        return VoteReport(voters=self.ballots.decided, present=present)

    def resolving(self) -> dict[str, ResolverReport]:
        asked = self.question.arbiter if self.question else ""
        return {
            name: ResolverReport(since=since, detail=detail or (self.refused if name == asked else ""))
            for name, (since, detail) in self.since.items()
        }

    def granted(self, epoch: Epoch) -> ArbiterAnswer | None:
        """What it said when it promised this view."""
        question = self.question
        return question.answer if question and question.epoch == epoch and question.granted else None

    def waits(self, epoch: Epoch) -> bool:
        """Its answer to this view is still to come."""
        return self.question is not None and self.question.epoch == epoch and self.question.answer is None

    def gone_since(self, epoch: Epoch, server: str) -> float:
        """From when on the arbiter's word keeps no lease of this server alive."""
        answer = self.granted(epoch)
        if answer is None or self.question is None:
            return 0.0  # It has no part in the quorum of this view: without it, nobody else has one.
        timeout = self.core.cluster.timeout_s
        return self.question.answered_at + max(0.0, timeout - answer.heard_s.get(server, timeout))
