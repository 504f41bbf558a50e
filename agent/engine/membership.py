"""Who is in the cluster: views that are proposed, promised and installed, never assumed.

The theory. A view is an epoch and a set of members. The living server with the lowest priority number proposes; each
member promises (on disk first) to obey nothing older; when all have promised, the proposer installs the view and
coordinates in it. Orders carry the epoch, so an old coordinator commands nobody who has promised to a newer one.
With a majority resolver or an arbiter a view needs more than half of an electorate (agent/engine/quorum.py); any two
such views share a voter, so epochs of acting coordinators never overlap.

A lost server is not a stopped server (`gone`). Without majority it is taken for stopped when the timeout has passed:
the console warns that this can split. With majority every holder of a group needs a lease: a majority whose
heartbeats confirm that they hear it. A member confirms only the members of the view that it has promised. So when all
members of a majority view have promised a view without X, nobody renews X's lease any more; if each of them had
not heard X for the whole timeout at its promise, the lease (0.7 of the timeout) has run out already and X has stopped
or has been reset (at 0.9); else the coordinator waits one timeout from the last promise on its own clock.

Early agreement. A server that will be lost in a moment is suspected: its successors promise the view without it while
they still wait, and the proposer installs it when the server is lost. A promise only ends the suspect's lease sooner;
each tells with it how long it has not heard the suspect, so that "one timeout from the last promise" is one timeout
from the last beat. A suspect that is heard in time costs one more view, with it.

The awkward cases: two proposers who do not see each other - the higher epoch wins, the other is told what it has missed
(Reject) and proposes again, later by its index. A member that lives but does not promise - after the timeout the
proposal is repeated without it; its groups stay untouched, since it has not stopped. A server that was asleep - it
proposes nothing until it has listened for one timeout. A server that hears nobody while others hear it, and one with
another configuration: agent/engine/voice.py. While the configuration is changed everybody is `frozen`: nobody proposes
or promises anything, so that nothing is taken over (agent/engine/switching.py).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from agent.engine.core import NEVER, Core
from agent.engine.departed import STOPPED, Departed
from agent.engine.partition import Partition
from agent.engine.view import MANY, Peer, Proposal, View, newcomers, patience_s
from agent.engine.voice import Voice
from agent.wire.epoch import NO_EPOCH, Epoch
from agent.wire.peer import Install, Promise, Propose, Reject, Table
from agent.wire.report import Report, Service

_SAID = {"released": 13, "isolated": 18, "waiting": 71}
_AHEAD = 4  # promises that are written in advance
_AHEAD_S = 2.0


class Membership:
    """`view` is what orders must agree with; `promised` what nothing may fall behind."""

    def __init__(self, core: Core, partition: Partition, promised: Epoch, ceiling: int = 0) -> None:
        self.core = core
        self.partition = partition
        self.service: Service = "stopped"
        self.promised = promised
        self.ceiling = ceiling
        self.promised_members: tuple[str, ...] = ()
        self.followed = promised  # newest promise to another's proposal
        self.promised_at = 0.0
        self.seen = promised
        self.view = View()
        self.peers = {s.name: Peer() for s in core.cluster.servers if s.name != core.me}
        self.departed = Departed(core, partition, self.peers)
        self.voice = Voice(core, self, self.peers)
        self.continuity = self.departed.continuity
        self.proposal: Proposal | None = None
        self.incarnations: dict[str, int] = {}  # of the members when the view was installed
        self.silent: dict[str, float] = {}  # member that did not promise -> left out until then
        self.step_s = max(0.05, min(1.0, core.cluster.interval_s))
        self.resend_s = self.step_s * max(1.0, len(core.cluster.servers) / MANY)
        self.wait_until = NEVER  # first view: wait for absent servers until then
        self.listen_until = 0.0  # after a stall: decide nothing until then
        self.propose_at = 0.0  # after a Reject: not before
        self.lease_held = not core.cluster.majority  # a majority confirms to hear us
        self.leave_note = ""  # why our service stops
        self.refused_members: tuple[str, ...] = ()  # of our newest proposal, when it found no quorum
        self.refused_note = ""
        self.lacking: tuple[str, ...] = ()  # the electorate that it lacked
        self.frozen = False  # a change of the configuration is under way
        self.evidence = ""  # newest note about who is here: the cause of a proposal that a timer makes
        self.view_note = ""  # of the newest installation: the cause of what the coordinator does next

    @property
    def in_view(self) -> bool:
        """Orders of this view may be given and obeyed now."""
        return self.view.epoch != NO_EPOCH and self.view.epoch == self.promised and self.service != "stopped"

    @property
    def coordinates(self) -> bool:
        # Who has seen a newer epoch has been replaced, perhaps while it was asleep: its reports mix two views.
        return self.in_view and self.view.coordinator == self.core.me and self.seen <= self.view.epoch

    @property
    def _wait_s(self) -> float:
        """Nobody can be taken for absent before a heartbeat timeout has passed."""
        return max(self.core.cluster.startup_wait_s, self.core.cluster.timeout_s)

    def start(self) -> None:
        """The cluster service starts on this server."""
        self.service = "online"
        self.view = View()
        self.continuity.reset()
        self.promised_members = ()
        self.wait_until = self.departed.wait_until = self.core.now + self._wait_s
        self.core.clear("startup")
        self.voice.beat()

    def stop(self) -> None:
        self.service = "stopped"
        self.view, self.proposal, self.promised_members = View(), None, ()
        self.voice.beat()

    def leave(self, note: str) -> None:
        """`note` says why."""
        self.service = "leaving"
        self.leave_note = note
        self.voice.beat()

    # Evidence ---------------------------------------------------------------------------------------------------

    def heard(self, server: str, incarnation: int, epoch: Epoch, service: str, config: str = "") -> str:
        """Returns the note of what has changed, "" for nothing worth a line."""
        self.peers[server].config = config
        note = self._heard(server, incarnation, epoch, service)
        self.evidence = note or self.evidence
        return note

    def _heard(self, server: str, incarnation: int, epoch: Epoch, service: str) -> str:
        peer = self.peers[server]
        peer.vouched_until, peer.suspected_at = 0.0, NEVER
        self.departed.sworn_off.discard(server)
        before = (peer.alive, peer.service, peer.incarnation)
        was_alive, peer.alive, peer.known, peer.lost = peer.alive, True, True, False
        peer.incarnation, peer.epoch, peer.service = incarnation, epoch, service
        self.seen = max(self.seen, epoch)
        if (peer.alive, peer.service, peer.incarnation) == before:
            return ""
        self.core.report_dirty = True
        self._ask_again(server)
        if service in _SAID:
            return self.core.note("cp", _SAID[service], "server", server, server)
        if service == "stopped":
            return (
                self.core.note("nm", 2, "server", server, server, "its cluster service is stopped") if was_alive else ""
            )
        return self.core.note("nm", 1, "server", server, server)

    def lost(self, server: str, silence_s: float, promised: Mapping[str, Epoch]) -> str:
        peer = self.peers[server]
        peer.excluded = dict(promised)
        peer.alive, peer.lost, peer.known, peer.suspected_at = False, True, True, NEVER
        self._hears_us(server)
        self._ask_again(server)
        self.core.report_dirty = True
        if server not in self.view.members:
            return ""
        why = f"not heard for {silence_s:.2f} s on any path"
        self.evidence = self.core.note("nm", 2, "server", server, server, why, rule="heartbeat-timeout",
                                       before="Online", after="Offline")  # fmt: skip
        return self.evidence

    def suspected(self, server: str, silence_s: float) -> None:
        """Its successors agree on a view without it; it is installed when the peer is lost, and forgotten when it is
        heard. Promising early only ends its lease earlier."""
        peer = self.peers[server]
        if peer.alive and server in self.view.members:
            self.evidence = self.core.note("cp", 19, "server", server, server, f"{silence_s:.2f}", rule="suspicion")
            peer.suspected_at, peer.last_heard = self.core.now, self.core.now - silence_s
            self.core.timers[f"suspected {server}"] = self.core.now + self.core.cluster.timeout_s

    def suspects(self, server: str) -> bool:
        peer = self.peers.get(server)
        return peer is not None and 0.0 <= self.core.now - peer.suspected_at < self.core.cluster.timeout_s

    def silent_s(self) -> dict[str, float]:
        """Suspected server -> for how long we have not heard it."""
        return {n: self.core.now - p.last_heard for n, p in self.peers.items() if self.suspects(n)}

    def deaf(self, server: str, silence_s: float) -> str:
        peer = self.peers[server]
        if not peer.deaf:
            peer.deaf = True
            peer.deaf_note = self.core.note("cp", 14, "server", server, server, f"{silence_s:.2f}")
        return peer.deaf_note

    def _hears_us(self, server: str) -> None:
        """As far as we know, from now on."""
        self.peers[server].deaf, self.peers[server].deaf_note = False, ""

    def _ask_again(self, server: str) -> None:
        """Things have changed for this server: what it did not answer before counts no more."""
        self.silent.pop(server, None)
        if self.proposal is not None and server in self.proposal.members:
            self.proposal = None

    def alive(self, also: str = "") -> tuple[str, ...]:
        """Servers that could be members now, in priority order, and those whose service is `also`."""
        names = [n for n, p in self.peers.items() if self._is_here(n, p) or (p.alive and p.service == also)]
        return tuple(sorted([*names, self.core.me], key=self.core.index.__getitem__))

    def _is_here(self, name: str, peer: Peer) -> bool:
        if peer.alive:
            takes_part = peer.service in ("online", "leaving") or self.core.now < peer.vouched_until
            return takes_part and self.voice.same_configuration(peer)
        # Its messages came before its first heartbeat: the detector will say if it is not there after all.
        return not peer.known and name in self.promised_members

    # Proposing --------------------------------------------------------------------------------------------------

    def reconsider(self, cause: str, report: Report, table: Table) -> None:
        """Propose a new view where one is due; called after every step."""
        if self.frozen or self.service == "stopped":
            self.proposal = None
            return
        if self.core.now < self.listen_until or self.core.now < self.propose_at:
            return
        here = tuple(s for s in self.alive() if not self.suspects(s))
        reachable = tuple(s for s in here if self.silent.get(s, 0.0) <= self.core.now)
        if here[0] != self.core.me and not self._lower_is_silent(here):
            self.proposal = None
            return
        if self._settled(reachable) or not self._may_form(reachable):
            return
        # With an arbiter, a newcomer's may be the vote that the proposal lacks.
        can_wait = set() if self.core.cluster.arbiters else newcomers(self.peers, self.view)
        if self.proposal and self.proposal.epoch == self.promised and self.proposal.serves(reachable, can_wait):
            return
        self._propose(reachable, cause, report, table)

    def _lower_is_silent(self, here: tuple[str, ...]) -> bool:
        """Everybody before us in the order lives but answers nothing: somebody has to coordinate."""
        before = here[: here.index(self.core.me)]
        return all(self.silent.get(s, 0.0) > self.core.now for s in before)

    def _settled(self, reachable: tuple[str, ...]) -> bool:
        same = self.view.members == reachable and self.view.coordinator == self.core.me
        same = same and self.view.voters == self.partition.electorate(reachable, self.view.voters)
        if not same or not self.in_view or self.seen > self.view.epoch:
            return False  # A member that has promised a newer epoch obeys us no more.
        return all(self.incarnations.get(s) == self.peers[s].incarnation for s in reachable if s != self.core.me)

    def _may_form(self, reachable: tuple[str, ...]) -> bool:
        cluster = self.core.cluster
        if self.view.epoch == NO_EPOCH and (self.voice.waiting or self.voice.must_wait() or self._still_waiting()):
            return False
        why, rule = self._why_not(reachable)
        if why and not any(map(self.suspects, self.peers)):
            self.core.note_once("form", "cp", 9, "cluster", cluster.name, why, rule=rule)
        elif not why:
            self.core.clear("form")
        return not why

    def _why_not(self, reachable: tuple[str, ...]) -> tuple[str, str]:
        """What forbids a view of these, and the rule; empty when nothing does."""
        cluster = self.core.cluster
        if cluster.majority and (lacking := self.partition.hopeful(reachable)):
            if cluster.arbiters:
                return f"more than half of {', '.join(lacking)} must agree; here is {', '.join(reachable)}", "quorum"
            here = f"only {len(reachable)} of {len(cluster.servers)} servers are here"
            return f"{here}: no majority", "majority"
        if self._misses(reachable) and not self.partition.settled:
            how = "is reached again only now" if self.partition.inside else "is not reached: this server is cut off"
            return f"{', '.join(cluster.pings)} {how}", "ping-resolution"
        return "", ""

    def _misses(self, reachable: Collection[str]) -> bool:
        """Somebody who may run groups is not here."""
        return any(n not in reachable and not (p.alive and p.service in STOPPED) for n, p in self.peers.items())

    def _still_waiting(self) -> bool:
        """First view of this life: wait for servers that nobody has heard of yet."""
        if any(p.alive and p.epoch != NO_EPOCH for p in self.peers.values()):
            return False  # A cluster is there: join it.
        absent = [n for n, p in self.peers.items() if not p.alive]
        if not absent:
            return False
        name, names = self.core.cluster.name, ", ".join(absent)
        if self.core.now >= self.wait_until:
            over = self.core.note_once("startup", "nm", 7, "cluster", name, names, rule="startup-wait",
                                       cause=self.evidence)  # fmt: skip
            self.evidence = over or self.evidence
            return False
        waits = self.core.note_once("form", "cp", 6, "cluster", name, names, f"{self._wait_s:g}", rule="startup-wait",
                                    cause=self.evidence)  # fmt: skip
        self.evidence = waits or self.evidence
        self.core.timers["startup"] = self.wait_until
        return True

    def _propose(self, members: tuple[str, ...], cause: str, report: Report, table: Table) -> None:
        epoch = Epoch(max(self.seen, self.promised).counter + 1, self.core.index[self.core.me])
        note = self.refused_note if members == self.refused_members else ""
        note = note or self.core.note("cp", 1, "cluster", self.core.cluster.name, str(epoch), ", ".join(members),
                                      rule="lowest-priority-coordinates",
                                      causes=(cause or self.evidence,))  # fmt: skip
        voters = self.partition.electorate(members, self.view.voters)
        self._promise(epoch, members, voters)
        own = Promise(epoch=epoch, report=report, table=table, silent_s=self.silent_s(),
                      ballots=self.partition.ballots.known, **self.departed.told())  # fmt: skip
        self.proposal = Proposal(epoch=epoch, members=members, voters=voters, cause=note, evidence=self.evidence,
                                 until=self.core.now + patience_s(self.core.cluster.timeout_s, members, self.view),
                                 resend_at=self.core.now + self.resend_s,
                                 promises={self.core.me: own}, received={self.core.me: self.core.now})  # fmt: skip
        self.core.send_all(members, Propose(epoch=epoch, members=members, voters=voters, cause=note,
                                           config=self.core.config))  # fmt: skip

    def _promise(self, epoch: Epoch, members: tuple[str, ...], voters: tuple[str, ...]) -> None:
        self.continuity.promising(self.promised)
        self.promised, self.promised_members = epoch, members
        self.partition.ballots.promise(epoch, voters)
        self.departed.promised(members)
        self.core.durable = self.core.durable or bool(self.core.cluster.arbiters)
        self.promised_at = self.core.now
        self.seen = max(self.seen, epoch)
        self.core.touch()
        if epoch.counter > self.ceiling:
            self.raise_ceiling()
        else:
            self.core.timers["ceiling"] = self.core.now + _AHEAD_S
        self.voice.beat()

    def raise_ceiling(self) -> None:
        """A promise must be on disk before anybody hears of it. Waiting for the disk would lengthen each failover, so
        a few are written in advance, while nothing else happens."""
        if self.ceiling < self.promised.counter + _AHEAD or self.core.cluster.arbiters:
            self.ceiling = self.promised.counter + _AHEAD
            self.core.save_dirty = self.core.durable = True

    def resend(self) -> None:
        """Repeat the proposal to those who have not answered; leave them out when they never do."""
        proposal = self.proposal
        if proposal is None:
            return
        missing = [m for m in proposal.members if m not in proposal.promises]
        if self.core.now >= proposal.until:
            for member in missing:
                self.silent[member] = self.core.now + 4 * self.core.cluster.timeout_s
                self.core.timers[f"silent {member}"] = self.silent[member]
                why = "lives but does not answer the proposal"
                self.evidence = self.core.note("cp", 3, "server", member, member, why, causes=(proposal.cause,))
            self.proposal = None
            return
        if self.core.now >= proposal.resend_at:
            proposal.resend_at = self.core.now + self.resend_s
            self.core.send_all(missing, Propose(epoch=proposal.epoch, members=proposal.members, voters=proposal.voters,
                                                cause=proposal.cause, config=self.core.config))  # fmt: skip

    # Answering --------------------------------------------------------------------------------------------------

    def proposed(self, sender: str, message: Propose) -> bool:
        """True when we promise: the caller then sends the Promise (it has report and table)."""
        if self.frozen or self.service == "stopped" or self.core.me not in message.members:
            return False
        if message.config and self.core.config and message.config != self.core.config:
            return False
        self.seen = max(self.seen, message.epoch)
        # What was promised before a restart is known by its number only: it is not promised again, with other voters.
        same = message.epoch == self.promised and message.members == self.promised_members
        repeated = same and self.view.epoch != message.epoch
        if not repeated and message.epoch <= self.promised:
            if self.view.epoch != message.epoch:
                self.core.send(sender, Reject(epoch=message.epoch, promised=self.promised))
            return False
        if not repeated:
            self.proposal = None
            self.followed = message.epoch
            self._vouch(sender)
            self._promise(message.epoch, message.members, message.voters)
        return True

    def _vouch(self, server: str) -> None:
        """Who proposes takes part. Without this we would answer its view with one of our own until its next beat."""
        until = self.core.now + self.core.cluster.timeout_s
        self.peers[server].vouched_until = until
        self.core.timers[f"vouched {server}"] = until

    def rejected(self, message: Reject) -> None:
        self.seen = max(self.seen, message.promised)
        if self.proposal is not None and self.proposal.epoch == message.epoch:
            why = f"a server has promised {message.promised} already"
            self.evidence = self.core.note("cp", 3, "cluster", self.core.cluster.name, str(message.epoch), why,
                                           causes=(self.proposal.cause,))  # fmt: skip
            self.proposal = None
            # Two proposers must not chase each other: the one further back waits longer.
            self.propose_at = self.core.now + self.step_s * self.core.index[self.core.me]
            self.core.timers["propose"] = self.propose_at

    def promised_by(self, sender: str, message: Promise) -> None:
        proposal = self.proposal
        if proposal is None or message.epoch != proposal.epoch or sender not in proposal.members:
            return
        if message.report.config != self.core.config:
            return
        proposal.promises[sender] = message
        proposal.received.setdefault(sender, self.core.now)

    def complete(self) -> Proposal | None:
        """The proposal, once all of its members have promised."""
        proposal = self.proposal
        if proposal is None or proposal.epoch != self.promised:
            return None
        if not all(m in proposal.promises for m in proposal.members):
            return None
        if self.core.cluster.arbiters and not self._agreed(proposal):
            return None
        return None if any(map(self.suspects, self.peers)) else proposal

    def _agreed(self, proposal: Proposal) -> bool:
        """More than half of each electorate that any member or the arbiter knows of; else the proposal is given up
        for one timeout."""
        ballots = [b for promise in proposal.promises.values() for b in promise.ballots]
        first = self.view.members[:1] in ((), proposal.members[:1])
        self.partition.ask(proposal.epoch, proposal.members, proposal.voters, ballots, first=first)
        present = set(proposal.members)
        answer = self.partition.granted(proposal.epoch)
        if answer is not None:
            ballots.extend(answer.ballots)
            present.add(answer.name)
        lacking = self.partition.lacking(present, ballots)
        if not lacking:
            self.refused_members = self.lacking = ()
            return True
        if not self.partition.waits(proposal.epoch):
            self._give_up(proposal, lacking)
        return False

    def _give_up(self, proposal: Proposal, lacking: tuple[str, ...]) -> None:
        self.proposal = None
        self.propose_at = self.core.now + self.core.cluster.timeout_s
        self.core.timers["propose"] = self.propose_at
        if proposal.members != self.refused_members:
            why = f"more than half of {', '.join(lacking)} must agree"
            self.core.note("cp", 3, "cluster", self.core.cluster.name, str(proposal.epoch), why, rule="quorum",
                           causes=(proposal.cause,))  # fmt: skip
        self.refused_members, self.refused_note, self.lacking = proposal.members, proposal.cause, lacking
        self.core.touch()

    # Installing -------------------------------------------------------------------------------------------------

    def install_own(self, proposal: Proposal, table: Table) -> str:
        """The proposer's side; returns the note."""
        self.departed.plan(proposal)
        self.proposal = None
        # Agreed on a suspicion, installed because it has come true.
        proof = self.evidence if self.evidence != proposal.evidence else proposal.cause
        earlier = self.departed.before(proposal)
        view = View(proposal.epoch, proposal.members, proposal.voters, self.core.me, earlier)
        self.core.send_all(proposal.members, view.told(table, proof))
        return self._install(view, proof)

    def install(self, sender: str, message: Install) -> str:
        """A member's side; "" when it is not what we promised or is installed already."""
        if message.epoch != self.promised or message.epoch == self.view.epoch or self.service == "stopped":
            return ""
        view = View(message.epoch, message.members, message.voters, sender, message.before)
        return self._install(view, message.cause)

    def _install(self, view: View, cause: str) -> str:
        self.departed.installed(self.view, view)
        # A daemon that was restarted has forgotten the members, and nobody's lease would be confirmed here any more.
        self.view, self.promised_members = view, view.members
        self.continuity.installed(view)
        self.partition.ballots.install(view.epoch, view.voters)
        self.core.timers["ceiling"] = self.core.now + _AHEAD_S
        self.incarnations = {m: self.peers[m].incarnation for m in view.members if m != self.core.me}
        for member in self.incarnations:
            self._hears_us(member)  # It has answered.
        self.core.touch()
        self.voice.beat()
        self.view_note = self.core.note("cp", 2, "cluster", self.core.cluster.name, str(view.epoch),
                                        ", ".join(view.members), view.coordinator, causes=(cause,))  # fmt: skip
        return self.view_note

    def gone(self, server: str) -> bool:
        """Has this server, no member, stopped what it ran - as certainly as the configuration allows to know?"""
        return self.departed.gone(server)

    def forget_refusal(self) -> None:
        """Things are new: the next proposal need not wait, and says all again."""
        self.propose_at, self.refused_members, self.lacking = 0.0, (), ()
        self.core.timers.pop("propose", None)

    # Falling behind ---------------------------------------------------------------------------------------------

    def evicted_by(self) -> str:
        """A server whose installed view is newer than ours and all that we have promised to others: it counts us out
        - whatever we propose ourselves and nobody may answer. "" if none."""
        ours = max(self.view.epoch, self.followed)
        return next((n for n, p in self.peers.items() if p.alive and p.epoch > ours), "")

    def stalled(self, note: str) -> None:
        """What we knew is old: listen for one timeout before deciding anything."""
        self.evidence, self.proposal = note, None
        self.listen_until = self.core.timers["listen"] = self.core.now + self.core.cluster.timeout_s

    def deadline(self) -> float:
        if self.proposal is None:
            return NEVER
        return min(self.proposal.resend_at, self.proposal.until)
