"""Fencing: a lost server is forced off, so that what it ran can start elsewhere and certainly runs once.

The rules. Only the coordinator of the installed view shoots, only at a server outside of the view that is not heard,
and only when a group cannot start without (`request`, renewed by every pass of the coordinator). All devices of one
level must say so, in their order; else the next level is tried; after the last one we wait, longer each time, and
begin again. Nothing is shot while the cluster is disarmed. Each step is a note with rule "fencing".

What a confirmation proves: the server was off at some moment after the shot was begun - not that it is off now. It
may have been switched on again by somebody; then it holds nothing and knows nothing, but others may give it groups.
- With a majority resolver a confirmation counts in the view in which the shot was begun, and no longer. A group can
  come back to the server in a newer view only, and that needs a majority, one of ours among it.
- Without one, nothing starts before EVERY server outside of the view is certainly off (not only those of the group's
  policy), so that two sides which act have each killed the other: impossible. One trap is left. Old knowledge: a
  server Y that once confirmed our own death, and has not noticed that we are back, may act beside us until we have
  killed it; what it does meanwhile it may do on a server X that we have killed BEFORE, and that came back. So each
  server outside must have been shot after all the others had been off once (`_certain`); X is shot again, which costs
  a look at its device. A server that boots has no old knowledge, and we lose ours of a server whenever it is heard or
  in a view that we promise, and all of it when our service starts.

The awkward case: both sides of a cut live and shoot at once, and both die. So the device's delay comes first; where
no device names one, the server that is further back in the order waits `STAGGER_S` for each one before it.
An operator may take the place of all devices ("it is off, and stays off until it is heard": `vouch`).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Literal

import msgspec

from agent.clpconf.model import Cluster, FenceDevice
from agent.engine.core import NEVER, Core
from agent.engine.effects import Abort, Fence, Watchdog
from agent.engine.events import FenceDone, FencesKnown, WatchdogState
from agent.engine.membership import Membership
from agent.wire.epoch import NO_EPOCH, Epoch
from agent.wire.report import FenceReport

STAGGER_S = 1.0
RETRY_S, LONGEST_RETRY_S = 5.0, 60.0
RULE = "fencing"
_STOPPED = ("stopped", "released")

WatchdogWord = Literal["none", "armed", "released"]
Levels = tuple[tuple[FenceDevice, ...], ...]


class Proof(msgspec.Struct, frozen=True):
    """A server was off at some moment since `begun`."""

    begun: float
    first: float  # when that was confirmed for the first time since we have heard it
    epoch: Epoch  # of the view in which the shot was begun
    note: str


class Round(msgspec.Struct):
    """Our attempts at one server."""

    server: str
    cause: str
    at: float  # the next step not before
    level: int = 0
    device: int = 0
    begun: float = 0.0  # the level that is being tried
    epoch: Epoch = NO_EPOCH  # of the view then
    failures: int = 0  # of all levels together
    token: int = 0  # of the shot that is under way


def levels_against(cluster: Cluster, server: str) -> Levels:
    """The devices that have this server as a target, level by level."""
    found = cluster.fences_against(server)
    return tuple(tuple(part) for _, part in groupby(found, key=lambda device: device.level))


class Fencing:
    """`request` and `advance` by the coordinator, `confirmed` by whoever must know whether a server is off."""

    def __init__(self, core: Core, membership: Membership) -> None:
        self.core = core
        self.membership = membership
        self.levels: dict[str, Levels] = {}
        for server in membership.peers:
            if levels := levels_against(core.cluster, server):
                self.levels[server] = levels
        # Where there is neither, a lost server is only off when that is confirmed.
        self.all_or_none = bool(self.levels) and not core.cluster.majority
        self.armed = True
        self.watchdog: WatchdogWord = "none"
        self.watchdog_detail = ""
        self.wanted: dict[str, str] = {}  # server -> the note that asks for its end; of the newest pass
        self.rounds: dict[str, Round] = {}
        self.proofs: dict[str, Proof] = {}
        self.failed: dict[str, str] = {}  # server that no device could force off -> the note that says so
        self.results: dict[str, FenceReport] = {}  # device -> how it did last
        self._shots: dict[int, Round] = {}  # also of rounds that are given up
        self._delayed = any(device.delay_s for device in core.cluster.fences)
        membership.departed.fenced, membership.departed.covered = self.confirmed, self.covers

    # What is known ------------------------------------------------------------------------------------------------

    def covers(self, server: str) -> bool:
        return server in self.levels

    def confirmed(self, server: str) -> bool:
        """Certainly off, for all that it held in an earlier view."""
        proof = self.proofs.get(server)
        if proof is None:
            return False
        if not self.all_or_none:
            return proof.epoch == self.membership.view.epoch
        return all(self._certain(other) for other in self._outside())

    def note_of(self, server: str) -> str:
        """The note of its confirmation, "" when there is none."""
        proof = self.proofs.get(server)
        return proof.note if proof else ""

    def detail(self) -> str:
        """What an operator has to do, "" for nothing."""
        if not self.failed:
            return ""
        names = ", ".join(self.failed)
        return f"{names} could not be forced off. Switch it off and say so: clpfence confirm {next(iter(self.failed))}."

    def _outside(self) -> list[str]:
        """Covered servers that have no part in the view."""
        return [s for s in self.levels if s not in self.membership.view.members]

    def _says_stopped(self, server: str) -> bool:
        peer = self.membership.peers[server]
        return peer.alive and peer.service in _STOPPED and self.core.now >= peer.vouched_until

    def _certain(self, server: str) -> bool:
        if self._says_stopped(server):
            return True
        proof = self.proofs.get(server)
        if proof is None or self.membership.peers[server].alive:
            return False
        others = [p.first for s, p in self.proofs.items() if s != server and s not in self.membership.view.members]
        return all(proof.begun >= first for first in others)

    # What happens -------------------------------------------------------------------------------------------------

    def heard(self, server: str, cause: str, *, reborn: bool) -> None:
        """It lives: what we knew of its end is over, and it shall not be shot any more."""
        round_ = self.rounds.pop(server, None)
        if round_ is not None and round_.token:
            self.core.note("rc", 408, "server", server, server, rule=RULE, causes=(cause, round_.cause))
            self.core.emit(Abort(token=round_.token))
        self.failed.pop(server, None)
        proof = self.proofs.pop(server, None)
        if proof is None:
            return
        self.core.note("rc", 406 if reborn else 407, "server", server, server, rule=RULE, causes=(cause, proof.note))

    def reset(self) -> None:
        """The cluster service starts: others may have acted since."""
        self.proofs.clear()
        self.rounds.clear()
        self.failed.clear()

    def forget(self, members: Iterable[str]) -> None:
        """They take part in a view that we have promised."""
        for member in members:
            self.proofs.pop(member, None)
            self.failed.pop(member, None)

    def vouch(self, server: str, cause: str) -> str:
        """An operator says that the server is off; returns the note."""
        note = self.core.note("rc", 405, "server", server, server, rule=RULE, causes=(cause,))
        self.rounds.pop(server, None)
        self.failed.pop(server, None)
        self._prove(server, NEVER, self.membership.view.epoch, note)
        return note

    def proved(self, server: str, begun: float, note: str) -> None:
        """Forced off by hand."""
        if not self.membership.peers[server].alive:
            self._prove(server, begun, self.membership.view.epoch, note)

    def arm(self, *, armed: bool) -> None:
        """By the table of the coordinator."""
        if armed == self.armed:
            return
        self.armed, self.membership.departed.disarmed = armed, not armed
        name = self.core.cluster.name
        self.core.note("rc", 413 if armed else 412, "cluster", name, name, rule=RULE)
        self.core.emit(Watchdog(armed=armed))
        self.core.touch()

    def watchdog_state(self, event: WatchdogState) -> str:
        if (event.state, event.detail) == (self.watchdog, self.watchdog_detail):
            return ""
        changed = event.state != self.watchdog
        self.watchdog, self.watchdog_detail = event.state, event.detail
        self.core.touch()
        number = {"armed": 414, "released": 415, "none": 416}[event.state]
        if not changed and event.state != "none":
            return ""
        return self.core.note("rc", number, "server", self.core.me, self.core.me, event.detail, rule=RULE)

    def known(self, event: FencesKnown) -> None:
        names = {device.name for device in self.core.cluster.fences}
        self.results = {name: result for name, result in event.results.items() if name in names}
        self.core.touch()

    def done(self, event: FenceDone) -> str:
        """A device has answered; returns the note."""
        shot = self._shots.pop(event.token, None)
        if shot is None:
            return ""
        device = self.levels[shot.server][shot.level][shot.device]
        shot.token = 0
        counts = self.rounds.get(shot.server) is shot
        if event.ok or counts:
            self.record(device.name, ok=event.ok, detail=event.detail)
        if not event.ok:
            return self._failed(shot, device, event.detail) if counts else ""
        note = self.core.note("rc", 401, "server", shot.server, shot.server, device.name, rule=RULE,
                              causes=(shot.cause,))  # fmt: skip
        shot.cause = note
        shot.device += 1
        if counts and shot.device == len(self.levels[shot.server][shot.level]):
            del self.rounds[shot.server]
            self.failed.pop(shot.server, None)
            self._prove(shot.server, shot.begun, shot.epoch, note)
        return note

    def record(self, device: str, *, ok: bool, detail: str) -> None:
        """How a device did, for the report."""
        before = self.results.get(device) or FenceReport()
        proven = self.core.now if ok else before.proven
        self.results[device] = FenceReport(
            proven=proven, at=self.core.now, result="ok" if ok else "failed", detail=detail
        )
        self.core.touch()

    def _prove(self, server: str, begun: float, epoch: Epoch, note: str) -> None:
        before = self.proofs.get(server)
        first = before.first if before else self.core.now
        self.proofs[server] = Proof(begun, first, epoch, note)
        self.core.touch()

    def _failed(self, shot: Round, device: FenceDevice, detail: str) -> str:
        server, levels = shot.server, self.levels[shot.server]
        note = self.core.note("rc", 402, "server", server, server, device.name, detail, rule=RULE, causes=(shot.cause,))
        shot.cause, shot.device = note, 0
        shot.level += 1
        if shot.level < len(levels):
            return note
        shot.level = 0
        shot.failures += 1
        wait_s = min(LONGEST_RETRY_S, RETRY_S * 2 ** (shot.failures - 1))
        shot.at = self.core.now + wait_s
        shot.cause = self.core.note("rc", 433, "server", server, server, f"{wait_s:g}", rule=RULE, causes=(note,))
        self.failed[server] = shot.cause
        self.core.touch()
        return shot.cause

    # What is done -------------------------------------------------------------------------------------------------

    def begin_pass(self) -> None:
        self.wanted.clear()

    def request(self, server: str, cause: str) -> None:
        """Something cannot go on before this server, which is outside of the view, is certainly off."""
        if server not in self.levels or not self.armed:
            return
        targets = self._outside() if self.all_or_none else [server]
        for target in targets:
            if not self.membership.peers[target].alive and not self._is_proven(target):
                self.wanted.setdefault(target, cause)

    def _is_proven(self, server: str) -> bool:
        if self.all_or_none:
            return self._certain(server)
        return self.confirmed(server)

    def advance(self, *, coordinates: bool) -> None:
        """The next step of each round; called after each pass of the coordinator."""
        if not coordinates:
            self.wanted.clear()
        for server in [s for s, r in self.rounds.items() if s not in self.wanted and not r.token]:
            del self.rounds[server]
        for server in [s for s in self.failed if s not in self.wanted and s not in self.rounds]:
            del self.failed[server]
            self.core.touch()
        for server, cause in self.wanted.items():
            round_ = self.rounds.get(server)
            if round_ is None:
                round_ = self.rounds[server] = self._begin(server, cause)
            if not round_.token and self.core.now >= round_.at:
                self._shoot(round_)

    def _begin(self, server: str, cause: str) -> Round:
        """Startup: nobody is shot who may still be booting."""
        peer = self.membership.peers[server]
        earliest = self.core.now if peer.incarnation else max(self.core.now, self.membership.wait_until)
        wait_s = 0.0 if server in self.proofs else self._delay(server)
        if wait_s:
            cause = self.core.note("rc", 403, "server", server, server, f"{wait_s:g}", rule=RULE, causes=(cause,))
        return Round(server=server, cause=cause, at=earliest + wait_s)

    def _delay(self, server: str) -> float:
        """So that two servers which do not hear each other do not kill each other."""
        if self._delayed or self.core.cluster.majority:
            return max(device.delay_s for device in self.levels[server][0])
        return STAGGER_S * self.core.index[self.core.me]

    def _shoot(self, round_: Round) -> None:
        level = self.levels[round_.server][round_.level]
        device = level[round_.device]
        if round_.device == 0:
            round_.begun, round_.epoch = self.core.now, self.membership.view.epoch
        round_.token = token = self.core.next_token()
        self._shots[token] = round_
        # With two power supplies only "off" leaves the server without power at any moment.
        reboot = len(level) == 1 and device.on(round_.server).get("action") == "reboot"
        round_.cause = self.core.note("rc", 400, "server", round_.server, round_.server, device.name,
                                      str(device.level), rule=RULE, causes=(round_.cause,))  # fmt: skip
        self.core.emit(
            Fence(token=token, server=round_.server, device=device.name, action="reboot" if reboot else "off")
        )

    def deadline(self) -> float:
        return min((r.at for r in self.rounds.values() if not r.token), default=NEVER)
