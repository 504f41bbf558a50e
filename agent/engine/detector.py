"""The failure detector: from heartbeats heard, and when, to who lives, who is lost and whether our lease holds.

Rules of this file
- A peer is heard when a newer beat of it comes by any path; a repeated or older one proves nothing.
- A peer is lost when it was silent for the timeout in our own ears AND in the ears of every peer whom we hear.
  What a peer heard ages from the moment it told us; we do not wait for another report. So a deaf server evicts
  nobody whom others hear.
- The lease (majority configurations) counts from OUR sending time of the newest beat that a majority, ourselves
  included, has confirmed. Whoever confirmed it heard it later than that and waits the whole timeout from then on; so
  0.7 of the timeout after the sending we stop, at 0.9 we are reset, and not before 1.0 anybody takes over.
- Suspicion of ourselves: when we were late, the silence may be ours. Thresholds grow by the delay (health.py).
  After a stall longer than the timeout everything heard before is no evidence at all: all begin anew.
  The lease knows no such mercy, since the others go on counting.

- Whoever misses beats says so, and all beat twice as often for a while (pace): at 30 % loss on every LAN the lease,
  which needs a beat there and one back, would else be lost now and then.

The awkward case: two servers die at once, and each had just heard the other. The dead one's report still counts, but
it ages, so both are lost one timeout after the last that anybody heard.

No clock, no random, standard library only: the heartbeat child (`python -I -S`) and the simulator run the same object.
Times are seconds of one steady clock.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from agent.engine.gaps import Meter
from agent.engine.health import Health
from agent.engine.heard import HEARD, LONG_AGO, LOST, HeardPath, HeardPeer
from agent.engine.verdicts import (
    DeafPeer,
    LeaseHeld,
    LeaseLost,
    PathChanged,
    PeerHeard,
    PeerLost,
    PeerSuspected,
    SelfFence,
    Stalled,
    Starved,
    Verdict,
)
from agent.wire.epoch import NO_EPOCH, Epoch
from agent.wire.heartbeat import AGES_A_SECOND, EVERYBODY, MAX_AGE, NEVER, UNTOLD, Packet, Row

LEASE = 0.7  # of the timeout
FENCE = 0.9
# So long before it is lost a peer is suspected, and its replacement agreed: at most this share of the timeout.
_SUSPICION = 0.2
_SUSPICION_S = 0.25
_LOSSY_TIMEOUTS = 4  # so long after the last missed beat the LANs count as lossy
_LOW = 2**32 - 1
_NEVER = float("inf")


class Detector:
    """`heard()` takes evidence and is cheap; `judge()` draws the conclusions. Call judge() when heard() says so,
    and at next_deadline(): being late there is taken for a stall of our own."""

    def __init__(
        self,
        me: str,
        servers: Sequence[str],
        paths: Sequence[str],
        interval_s: float,
        timeout_s: float,
        majority: bool,
        start: float,
        *,
        incarnation: int = 1,
        first_seq: int = 1,
        absent: Collection[tuple[str, str]] = (),
        lease_since: float = 0.0,
        speaks: bool = True,
    ) -> None:
        """`first_seq` must be above all that an earlier detector of this incarnation sent. `absent`: (server,
        heartbeat) pairs that the configuration leaves out. `lease_since`: what the earlier one answered last."""
        self.me = me
        self.interval_s = interval_s
        self.timeout_s = timeout_s
        self.majority = majority
        self.incarnation = incarnation
        self.epoch = NO_EPOCH
        self.service = "stopped"
        self.daemon_age_ms = 0
        self.refused: dict[str, int] = {}
        self._names = tuple(servers)
        self._index = self._names.index(me)
        self._members = EVERYBODY
        self._promised = NO_EPOCH
        self._config = UNTOLD
        self._electorates: tuple[tuple[str, ...], ...] = ()
        self._taken: dict[tuple[str, ...], float] = {}  # electorate -> the lease as it took it over
        self._arbiters: dict[str, float] = {}  # arbiter -> when we sent what it has confirmed
        self._start = start
        self._floor = start  # nothing heard before counts: our start, or the end of our last long stall
        self._spoke = start if speaks else _NEVER  # since then others can hear us
        self._judged = start
        self.health = Health(timeout_s)
        self._deadline = start + interval_s
        self._settled_until = LONG_AGO  # before then no verdict changes unless something new is heard
        self._asked_others = False
        self._seq = max(first_seq, 1) - 1
        self._sent: dict[int, float] = {}
        self._keep = 2 * int(timeout_s / interval_s) + 4
        self._lossy_until = LONG_AGO  # we miss beats
        self._hurry_until = LONG_AGO  # somebody does
        self._need = len(servers) // 2  # peers that make a majority together with us
        self._lease: bool | None = None
        self._inherited = lease_since or LONG_AGO
        self._lease_start = lease_since or start
        self._fenced = False
        self._peers: list[HeardPeer | None] = []
        for index, server in enumerate(servers):
            mine = {
                number: HeardPath(path, 1 << number)
                for number, path in enumerate(paths)
                if (server, path) not in absent and (me, path) not in absent
            }
            self._peers.append(None if server == me else HeardPeer(index, server, mine))
        self._others = [peer for peer in self._peers if peer is not None]

    def measure(self, now: float) -> Meter:
        """Keep the distributions of silences from now on. The simulator does without."""
        heartbeats = {peer.name: [path.heartbeat for path in peer.paths.values()] for peer in self._others}
        meter = Meter(now, self.timeout_s, heartbeats)
        for peer in self._others:
            peer.gaps = meter.peers[peer.name]
            for path in peer.paths.values():
                path.gaps = meter.paths[peer.name][path.heartbeat]
        return meter

    def say(
        self,
        epoch: Epoch,
        service: str,
        members: Collection[str] | None = None,
        electorates: Sequence[Sequence[str]] = (),
        promised: Epoch = NO_EPOCH,
        config: str = "",
        at: float = LONG_AGO,
    ) -> None:
        """What our beats say from now on. `members`: of the view that we have `promised`; nobody else's lease do we
        confirm (None: everybody's). `electorates`: more than half of each must confirm ours (): of all servers.
        `config`: config_id of what we run, 16 hex digits or "". `at`: when that was decided; a new electorate takes the
        lease over as it stood then (agent/engine/departed.py)."""
        self.epoch = epoch
        self.service = service
        self._take_over(tuple(tuple(voters) for voters in electorates), at)
        self._promised = promised
        self._config = bytes.fromhex(config) or UNTOLD
        self._settled_until = LONG_AGO
        if members is None:
            self._members = EVERYBODY
        else:
            self._members = sum(1 << i for i, name in enumerate(self._names) if name in members)

    def _take_over(self, electorates: tuple[tuple[str, ...], ...], at: float) -> None:
        if electorates != self._electorates:
            base = min(self._newest_confirmed(at), at)
            before = self._electorates or ((),)
            self._taken = {v: self._taken.get(v, LONG_AGO) if v in before else base for v in electorates or ((),)}
            self._electorates = electorates

    def begins(self, now: float) -> None:
        """Until now we were silent (`speaks`): nobody is deaf who has not heard us."""
        self._spoke = now

    def arbiter_confirmed(self, name: str, sent_at: float) -> bool:
        """An arbiter has answered what we sent then, and its newest promised view has us as a member. True: call
        judge() now."""
        self._arbiters[name] = max(sent_at, self._arbiters.get(name, LONG_AGO))
        return self._stir(self.majority and not self._lease)

    def beat(self, now: float) -> Packet:
        """The next beat, the same for every path (give it path and hardware address with _replace)."""
        self._seq = seq = self._seq + 1
        self._sent[seq] = now
        self._sent.pop(seq - self._keep, None)
        rows = []
        for peer in self._peers:
            if peer is None:
                rows.append((seq, 0, self.incarnation & _LOW, 0))
                continue
            since = peer.at if peer.seq != NEVER else self._start
            age = int((now - since) * AGES_A_SECOND)
            if not 0 <= age <= MAX_AGE:
                age = 0 if age < 0 else MAX_AGE
            rows.append((peer.seq, age, peer.incarnation & _LOW, peer.heard_on))
        return Packet(
            self._index,
            self.incarnation,
            seq,
            now,
            self.epoch,
            self.service,
            self.daemon_age_ms,
            tuple(rows),
            members=self._members,
            lossy=now < self._lossy_until,
            promised=self._promised,
            config=self._config,
        )

    def heard(self, packet: Packet, path: int, at: float) -> bool:
        """A packet was received by path number `path` at `at`. True: call judge() now. Not to be believed ones are
        counted in `refused`."""
        peer = self._peers[packet.sender]
        if peer is None:
            return self._refuse("own name")
        way = peer.paths.get(path)
        if way is None:
            return self._refuse("unknown path")
        if packet.incarnation != peer.incarnation:
            if packet.incarnation < peer.incarnation:
                return self._refuse("old incarnation")
            self._reborn(peer, packet.incarnation)
        seq = packet.seq
        if seq <= way.seq:
            return self._refuse("repeated")
        if seq > way.seq + 1 and way.ok and way.seq != NEVER:
            self._lossy_until = at + _LOSSY_TIMEOUTS * self.timeout_s
        if packet.lossy:
            self._hurry_until = at + self.timeout_s
        if at > way.at:
            if way.ok and at - way.at > way.worst:
                way.worst = at - way.at
            if way.gaps is not None and way.seq != NEVER:
                way.gaps.add(at - way.at, at)
            way.at = at
        way.seq = seq
        if seq <= peer.seq:  # The same beat by another path, or an older one that was held up: no news.
            return self._stir(not way.ok)
        if at > peer.at:
            if peer.gaps is not None and peer.seq != NEVER:
                peer.gaps.add(at - peer.at, at)
            peer.at = at
        peer.seq = seq
        if (
            peer.state != HEARD or peer.suspected or packet.service != peer.service or packet.epoch != peer.epoch
            or packet.config != peer.config
        ):  # fmt: skip
            peer.news = True
        peer.epoch = packet.epoch
        peer.service = packet.service
        peer.promised = packet.promised
        peer.config = packet.config
        peer.daemon_age_ms = packet.daemon_age_ms
        peer.rows = packet.rows
        row = packet.rows[self._index]
        return self._stir(self._confirm(peer, row, packet.members) or peer.news or not way.ok)

    def pace(self, now: float) -> float:
        """Seconds until the next beat."""
        return self.interval_s / 2 if now < max(self._lossy_until, self._hurry_until) else self.interval_s

    def judge(self, now: float) -> list[Verdict]:
        """What changed, judged by everything heard so far."""
        out: list[Verdict] = []
        self._suspect_self(now, out)
        limit = self.timeout_s + self.health.extra_s(now)
        self._deadline = now + self.interval_s
        if self._deadline <= self._settled_until and limit == self.timeout_s and not out:
            return out
        self._asked_others = False
        ends = _NEVER
        for peer in self._others:
            # The peer goes before its paths: others wait for that verdict.
            ends = min(ends, self._judge_peer(peer, now, limit, out))
            ends = min(ends, self._judge_paths(peer, now, limit, out))
        if self.majority:
            ends = min(ends, self._judge_lease(now, out))
        self._deadline = min(self._deadline, ends)
        # What others have heard ages by their words, and grace for ourselves fades: both may bring an end forward.
        self._settled_until = LONG_AGO if self._asked_others or limit != self.timeout_s else ends
        return out

    def next_deadline(self) -> float:
        return self._deadline

    def stalled(self, late_s: float) -> None:
        """We know of a delay that our own clock does not show: let the next judge() find it."""
        self._judged -= late_s

    def state(self, now: float) -> list[Verdict]:
        """Everything that holds now, as if it had just come about: for a daemon that (re)connects."""
        out: list[Verdict] = []
        for peer in self._others:
            for path in peer.paths.values():
                if path.ok is not None:
                    out.append(PathChanged(peer.name, path.heartbeat, path.ok, _gap_ms(path.worst)))
            if peer.state == HEARD:
                out.append(_heard(peer))
                if peer.suspected:
                    out.append(PeerSuspected(peer.name, self._silence(peer, now)))
            elif peer.state == LOST:
                out.append(PeerLost(peer.name, self._silence(peer, now)))
            if peer.deaf:
                out.append(DeafPeer(peer.name, self._unheard(peer)))
        if self.majority and self._lease is not None:
            out.append(LeaseHeld() if self._lease else LeaseLost(now - self._base()))
        return out

    def fence_due(self, now: float) -> bool:
        """Others may soon start what we hold. Only the caller knows whether we hold anything."""
        return self.majority and now >= self._base() + FENCE * self.timeout_s

    def lease_since(self) -> float:
        """When the newest beat was sent that a majority has confirmed; 0.0 while there was none."""
        return max(self._newest_confirmed(self._judged), 0.0)

    def daemon_ages(self) -> dict[str, int]:
        """How long (ms) the daemon of each peer heard now has been silent, in its own words."""
        return {peer.name: peer.daemon_age_ms for peer in self._others if peer.state == HEARD}

    # -- evidence ------------------------------------------------------------------------------------------------

    def _refuse(self, reason: str) -> bool:
        self.refused[reason] = self.refused.get(reason, 0) + 1
        return False

    def _reborn(self, peer: HeardPeer, incarnation: int) -> None:
        peer.incarnation = incarnation
        peer.seq = NEVER
        peer.news = True
        peer.deaf = False
        for path in peer.paths.values():
            path.seq = NEVER

    def _stir(self, news: bool) -> bool:
        """What `heard` answers; news unsettle the verdicts."""
        if news:
            self._settled_until = LONG_AGO
        return news

    def _confirm(self, peer: HeardPeer, row: Row, members: int) -> bool:
        """Note which of our beats the peer has heard. True: judge() has something to say about it.

        A peer that has promised a view without us hears us, but renews our lease no more."""
        seq, age, incarnation, _ = row
        if incarnation == self.incarnation & _LOW and members >> self._index & 1:
            sent = self._sent.get(seq, LONG_AGO)
            if sent > peer.confirmed:
                peer.confirmed = sent
        return (self.majority and not self._lease) or (age >= self.timeout_s * AGES_A_SECOND) != peer.deaf

    # -- conclusions ---------------------------------------------------------------------------------------------

    def _suspect_self(self, now: float, out: list[Verdict]) -> None:
        gap = now - self._judged
        late = gap - self.interval_s
        self._judged = now
        if late > self.timeout_s:
            self._floor = now
            self.health.forget()
            out.append(Stalled(gap))
            return
        if late > self.interval_s / 2:
            self.health.late(now, late)
        if told := self.health.to_tell(now):
            out.append(Starved(told, self.health.extra_s(now)))

    def _judge_paths(self, peer: HeardPeer, now: float, limit: float, out: list[Verdict]) -> float:
        deadline = _NEVER
        for path in peer.paths.values():
            ends = max(path.at, self._floor) + limit
            if path.ok is not True and now < path.at + limit:
                path.ok = True
                peer.heard_on |= path.bit
                path.worst = 0.0
                out.append(PathChanged(peer.name, path.heartbeat, True, 0.0))
            elif path.ok is not False and ends <= now:
                path.ok = False
                peer.heard_on &= ~path.bit
                path.worst = now - max(path.at, self._start)
                out.append(PathChanged(peer.name, path.heartbeat, False, _gap_ms(path.worst)))
            if path.ok is not False and ends < deadline:
                deadline = ends
        return deadline

    def _judge_peer(self, peer: HeardPeer, now: float, limit: float, out: list[Verdict]) -> float:
        heard_now = now < peer.at + limit
        if peer.news and heard_now:
            if peer.state != HEARD:
                peer.back = peer.at
            peer.state = HEARD
            peer.suspected = False
            peer.news = False  # Else it waits for a beat that is not old, as after a stall.
            out.append(_heard(peer))
        if peer.state == LOST:
            return _NEVER
        ends = max(peer.at, self._floor) + limit
        if ends <= now:  # Only now is it worth asking what the others heard.
            ends = max(ends, self._heard_by_others(peer) + limit)
        if ends <= now:
            peer.state = LOST
            peer.deaf = peer.suspected = False
            out.append(PeerLost(peer.name, self._silence(peer, now), self._excluded(peer, now)))
            return _NEVER
        self._judge_deafness(peer, heard_now, out)
        return ends if peer.suspected or peer.state != HEARD else self._suspect(peer, now, limit, out)

    def _suspect(self, peer: HeardPeer, now: float, limit: float, out: list[Verdict]) -> float:
        soon = limit - min(_SUSPICION * self.timeout_s, _SUSPICION_S)
        due = max(peer.at, self._floor) + soon
        if due <= now:
            due = max(due, self._heard_by_others(peer) + soon)
        if due > now:
            return due
        peer.suspected = True
        out.append(PeerSuspected(peer.name, self._silence(peer, now)))
        return max(peer.at, self._floor, self._heard_by_others(peer)) + limit

    def _heard_by_others(self, peer: HeardPeer) -> float:
        """When anybody whom we hear has heard the peer last, aged until now by the caller's clock."""
        last = LONG_AGO
        self._asked_others = True
        for witness in self._others:
            if witness.state == HEARD and witness is not peer:
                seq, age, _, _ = witness.rows[peer.index]
                if seq != NEVER:
                    last = max(last, witness.at - age / AGES_A_SECOND)
        return last

    def _excluded(self, peer: HeardPeer, now: float) -> tuple[tuple[str, Epoch], ...]:
        """Who had not heard the peer for the timeout either when it beat, and the view that it had promised by then.

        A peer that has never heard it says since when it listens: what it confirmed in an earlier life was before."""
        found = []
        for witness in self._others:
            if witness.state == HEARD and witness is not peer and witness.promised != NO_EPOCH:
                since = witness.at - witness.rows[peer.index][1] / AGES_A_SECOND
                if now >= since + self.timeout_s:
                    found.append((witness.name, witness.promised))
        return tuple(found)

    def _judge_deafness(self, peer: HeardPeer, heard_now: bool, out: list[Verdict]) -> None:
        if not (heard_now and peer.state == HEARD):
            return
        silence = self._unheard(peer)
        deaf = silence >= self.timeout_s
        if deaf and not peer.deaf:
            out.append(DeafPeer(peer.name, silence))
        peer.deaf = deaf

    def _unheard(self, peer: HeardPeer) -> float:
        """How long the peer has not heard us, counted only while we were able to speak, and it to us: what it did not
        hear of us during a cut says nothing any more."""
        return min(peer.rows[self._index][1] / AGES_A_SECOND, peer.at - max(self._floor, self._spoke, peer.back))

    def _judge_lease(self, now: float, out: list[Verdict]) -> float:
        base = self._newest_confirmed(now)
        held = now < base + LEASE * self.timeout_s
        if held != self._lease:
            self._lease = held
            out.append(LeaseHeld() if held else LeaseLost(now - max(base, self._lease_start)))
        due = max(base, self._lease_start) + FENCE * self.timeout_s
        if now < due:
            self._fenced = False
        elif not self._fenced:
            self._fenced = True
            out.append(SelfFence(now - max(base, self._lease_start)))
        if held:
            return base + LEASE * self.timeout_s
        return due if now < due else _NEVER

    def _base(self) -> float:
        return max(self._newest_confirmed(self._judged), self._lease_start)

    def _newest_confirmed(self, now: float) -> float:
        """When we sent the newest beat that a majority of all configured servers has heard."""
        if self._electorates:
            confirmed = [max(self._confirmed_by(v, now), self._taken.get(v, LONG_AGO)) for v in self._electorates]
            return max(min(confirmed), self._inherited)
        if self._need == 0:
            return now
        newest = sorted([peer.confirmed for peer in self._others], reverse=True)[self._need - 1]
        return max(newest, self._inherited, self._taken.get((), LONG_AGO))

    def _confirmed_by(self, voters: Sequence[str], now: float) -> float:
        """When we sent the newest beat that more than half of these have heard."""
        confirmed = {peer.name: peer.confirmed for peer in self._others} | self._arbiters
        confirmed[self.me] = now
        return sorted([confirmed.get(voter, LONG_AGO) for voter in voters], reverse=True)[len(voters) // 2]

    def _silence(self, peer: HeardPeer, now: float) -> float:
        return now - max(peer.at, self._start)


def _heard(peer: HeardPeer) -> PeerHeard:
    config = "" if peer.config == UNTOLD else peer.config.hex()
    return PeerHeard(peer.name, peer.incarnation, peer.epoch, peer.service, config)


def _gap_ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
