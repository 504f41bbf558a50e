"""Votes: which servers and arbiters together may act, and how the electorate follows those who are left.

An electorate is a tuple of voters: servers, and at most one arbiter (a witness or shared disk, which holds no groups).
Whoever acts needs more than half of it, so that two that act at once would share a voter.

With a majority resolver alone the electorate is always all configured servers. With an arbiter it follows the view
(dynamic voting): after a view of servers M is in force the next one needs more than half of M; an even M is made odd by
the arbiter, or, where it cannot be reached, by leaving out its last server. So a witness that is lost first and a
link that is lost later do not stop a healthy cluster, and of the last two servers the first goes on.

Why this is safe (Yeger Lotem, Keidar, Dolev: Dynamic voting for consistent primary components, 1997). A view may have
been put in force by its proposer although some of its members saw only the proposal. Whoever has promised a proposal
therefore remembers its electorate until a newer view is in force here, and tells of it in its next promise: a new view
needs more than half of the newest electorate in force that any member knows, and of each later one that any member
has promised. The same holds for a lease: what confirms it must be more than half of each of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from agent.clpconf.model import Cluster
from agent.wire.epoch import NO_EPOCH, Epoch
from agent.wire.peer import Ballot

Electorate = tuple[str, ...]


def has_quorum(voters: Sequence[str], present: Collection[str]) -> bool:
    """More than half of the voters are present."""
    return 2 * sum(voter in present for voter in voters) > len(voters)


def next_electorate(cluster: Cluster, members: Sequence[str], arbiter: str, current: Sequence[str] = ()) -> Electorate:
    """Who votes on the successor of a view of `members`; `arbiter` is "" where none can be reached. `current`: of the
    view in force; without an arbiter it is not everybody only when the operator has said that the others are off."""
    if not cluster.arbiters:
        forced = current and set(current) != set(cluster.server_names) and len(members) < len(cluster.server_names)
        return tuple(members) if forced else cluster.server_names
    if len(members) % 2:
        return tuple(members)
    return (*members, arbiter) if arbiter else tuple(members[:-1])


def in_force(ballots: Iterable[Ballot]) -> Ballot | None:
    """The newest electorate that is known to have been in force."""
    return max((b for b in ballots if b.in_force), key=lambda b: b.epoch, default=None)


def binding(ballots: Iterable[Ballot]) -> tuple[Electorate, ...]:
    """The electorates of which more than half must agree, by all that several servers know."""
    known = list(ballots)
    newest = in_force(known)
    since = newest.epoch if newest else NO_EPOCH
    found = [newest.voters] if newest else []
    return tuple(dict.fromkeys([*found, *(b.voters for b in known if not b.in_force and b.epoch > since)]))


class Ballots:
    """What this server knows; it is durable before a promise leaves the server."""

    def __init__(self, cluster: Cluster, saved: Sequence[Ballot] = ()) -> None:
        first = cluster.arbiters[0] if cluster.arbiters else ""
        known = saved or (Ballot(NO_EPOCH, next_electorate(cluster, cluster.server_names, first), in_force=True),)
        self.known: tuple[Ballot, ...] = tuple(known)
        self.decided: Electorate = ()  # whose votes put the view into force

    def promise(self, epoch: Epoch, voters: Electorate) -> None:
        older = [b for b in self.known if b.in_force or b.voters != voters]
        self.known = (*older, Ballot(epoch, voters))

    def install(self, epoch: Epoch, voters: Electorate) -> None:
        self.decided = next((b.voters for b in self.known if b.in_force), voters)
        later = [b for b in self.known if not b.in_force and b.epoch > epoch]
        self.known = (Ballot(epoch, voters, in_force=True), *later)

    def force(self, epoch: Epoch, voters: Electorate) -> None:
        """The operator has said that nobody else is left."""
        self.known = (Ballot(epoch, voters, in_force=True),)

    @property
    def electorates(self) -> tuple[Electorate, ...]:
        return binding(self.known)
