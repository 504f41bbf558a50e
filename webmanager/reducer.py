"""Makes one status of a cluster from what its agents push: pure, no clock, no I/O.

Rules of this file
- Of several reports about a server the newest wins (version_of); at a tie the server's own word, then the
  fresher one. An agent that died keeps its newest report: it grows old, and `build_status` says so.
- The newest table (epoch, version) wins.
- Frames of one agent are numbered without a gap from a snapshot on; else FrameError, and the connection ends.
- A note is taken once, whichever agent brings it first, and placed by the manager's clock: what an agent's clock is
  ahead is measured (webmanager/skew.py) and taken off, and nothing stands before its causes (agent/wire/order.py).
  `time` of an event is that, `own_time` what its server's clock said.
- What changes nothing that is shown costs next to nothing: each agent tells the same, so most frames are such.
`now` is the manager's monotonic clock in seconds, `origin_s` what its wall clock shows more; agents' clocks are used
for nothing but the times of notes.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import UnsetType

from agent.clpconf import model
from agent.wire.order import placed
from agent.wire.peer import Table
from agent.wire.report import Note, Report
from agent.wire.report_part import version_of
from agent.wire.status import Change, Status, StatusKeeper
from webmanager import frames
from webmanager.frames import FrameError, note_dict
from webmanager.readings import Readings, table_newness
from webmanager.skew import Skew

EVENTS_SHOWN = 500
_NOTES_REMEMBERED = 20_000
_STALE_S = 3.0  # Agents speak each second.


@dataclass(slots=True, eq=False)
class _Known:
    report: Report
    as_of: float  # when this was last known to be right, by the manager's clock


@dataclass(slots=True, eq=False)
class AgentView:
    """What one agent has told."""

    node: str
    connected: bool = True
    rev: int | None = None  # None: no snapshot yet
    heard: float = 0.0
    config_hash: str = ""
    ahead_s: float | None = None  # its steady clock minus ours; None: it has not told
    skew: Skew = field(default_factory=Skew)
    reports: dict[str, _Known] = field(default_factory=dict)
    table: Table | None = None


class ClusterReducer:
    def __init__(self, name: str) -> None:
        self.name = name
        self.config: model.Cluster | None = None
        self.config_problem = ""
        self.agents: dict[str, AgentView] = {}
        self.stirred = True  # since the last refresh something came that may change the status
        self.events: list[dict[str, Any]] = []  # newest EVENTS_SHOWN, sorted by (time, id)
        self.origin_s = 0.0
        self.deaf_s = 0.0  # so long the manager itself has not listened (hub.Ears)
        self._note_ids: dict[str, float] = {}  # id -> time of the event
        self._effects: dict[str, float] = {}  # id of a cause that has not come yet -> time of its first effect
        self._stale: frozenset[str] = frozenset()
        self._keeper = StatusKeeper()
        self._readings = Readings()
        self._best: dict[str, tuple[_Known, str]] = {}  # server -> its best report and the node that told it
        self._unsettled: set[str] = set()  # servers for which that has to be looked up again
        self._table: Table | None = None

    @property
    def status(self) -> Status | None:
        """As of the last refresh."""
        return self._keeper.status

    def configure(self, config: model.Cluster | None, problem: str = "") -> None:
        """`config` None: unreadable; the last good one stays and `problem` is shown."""
        self.config = config or self.config
        self.config_problem = problem
        self.stirred = True

    def remember(self, events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Events from the database or from another process; returns those that were new."""
        return [event for event in events if self._take(event)]

    def hello(self, node: str, config_hash: str, now: float) -> None:
        agent = self.agents.setdefault(node, AgentView(node))
        agent.connected, agent.rev, agent.heard, agent.config_hash = True, None, now, config_hash
        agent.skew = Skew()  # A new start of the agent has a new clock.
        self._stir(agent)

    def gone(self, node: str) -> None:
        if agent := self.agents.get(node):
            agent.connected = False
            self._stir(agent)

    def _stir(self, agent: AgentView) -> None:
        self._unsettled |= agent.reports.keys()
        self.stirred = True

    def feed(
        self, node: str, frame: frames.Frame, now: float, times: Mapping[str, float] = MappingProxyType({})
    ) -> list[dict[str, Any]]:
        """Takes a snapshot, change or alive frame; returns the events that were new. `times` of notes: where another
        process has put them, so that all processes show one order."""
        agent = self.agents[node]
        match frame:
            case frames.Snapshot():
                self._hear(agent, frame, now)
            case frames.Change():
                self._expect(agent, frame.rev, 1)
                self._hear(agent, frame, now)
            case frames.Alive():
                self._expect(agent, frame.rev, 0)
                agent.heard = now
                self._time(agent, frame.at, now)
                self._aged(agent, frame.ages, now)
                return []
            case _:
                raise FrameError(f"a frame of type {type(frame).__name__.lower()} is out of place here")
        return self._notes(frame.notes, times)

    def _hear(self, agent: AgentView, frame: frames.Snapshot | frames.Change, now: float) -> None:
        # All of it is read before any of it is taken. A snapshot begins anew: nothing in it is a part of something.
        before = agent.reports if isinstance(frame, frames.Change) else {}
        reports = {
            server: _Known(self._read(agent.node, server, relayed, before), now - max(0.0, relayed.age_s))
            for server, relayed in frame.reports.items()
        }
        table = agent.table if isinstance(frame.table, UnsetType) else self._readings.table(frame.table)
        agent.rev, agent.heard = frame.rev, now
        self._time(agent, frame.at, now)
        if isinstance(frame, frames.Snapshot):
            self._stir(agent)
            agent.reports = {}
        agent.reports.update(reports)
        for server in reports:
            self._weigh(server, agent)
        if table is not agent.table:
            agent.table = table
            newest = max(self._tables(), key=table_newness, default=None)
            self.stirred |= newest != self._table
            self._table = newest

    def _read(self, node: str, server: str, told: frames.Relayed, before: Mapping[str, _Known]) -> Report:
        known = before.get(server)
        return self._readings.report(server, told, known.report if known else None, own=server == node)

    def _time(self, agent: AgentView, at: float, now: float) -> None:
        agent.ahead_s = at - now
        agent.skew.heard(agent.ahead_s - self.origin_s, now)

    def _tables(self) -> list[Table]:
        return [agent.table for agent in self.agents.values() if agent.table is not None]

    @staticmethod
    def _expect(agent: AgentView, rev: int, step: int) -> None:
        if agent.rev is None:
            raise FrameError("a snapshot must come first")
        if rev != agent.rev + step:
            raise FrameError(f"gap: revision {rev} came where {agent.rev + step} was due")

    def _aged(self, agent: AgentView, ages: dict[str, float], now: float) -> None:
        for server, age_s in ages.items():
            if known := agent.reports.get(server):
                known.as_of = now - max(0.0, age_s)
                self._weigh(server, agent)

    def _notes(self, notes: Sequence[Note], times: Mapping[str, float]) -> list[dict[str, Any]]:
        new = [note for note in notes if note.id not in self._note_ids]
        if not new:
            return []
        ahead = {n.server: self.agents[n.server].skew.ahead_s for n in new if n.server in self.agents}
        at = {**placed(new, ahead, self._note_ids, self._effects), **times}
        events = [{**note_dict(note), "time": at[note.id], "own_time": note.time} for note in new]
        return [event for event in events if self._take(event)]

    def as_events(self, notes: Iterable[Note]) -> list[dict[str, Any]]:
        """Notes that were taken before, as the events that they were."""
        at = {note.id: self._note_ids.get(note.id, note.time) for note in notes}
        return [{**note_dict(note), "time": at[note.id], "own_time": note.time} for note in notes]

    def has_heard(self, note_id: str) -> bool:
        return note_id in self._note_ids

    def _take(self, event: dict[str, Any]) -> bool:
        if event["id"] in self._note_ids:
            return False
        self._note_ids[event["id"]] = event["time"]
        self._effects.pop(event["id"], None)
        for cause in event["causes"]:
            if cause not in self._note_ids:
                self._effects[cause] = min(event["time"], self._effects.get(cause, event["time"]))
        for kept in (self._note_ids, self._effects):
            while len(kept) > _NOTES_REMEMBERED:
                del kept[next(iter(kept))]
        insort(self.events, event, key=lambda e: (e["time"], e["id"]))
        del self.events[:-EVENTS_SHOWN]
        return True

    def sources(self, now: float) -> dict[str, tuple[Report, float, str]]:
        """The best report on each server: (report, age in seconds, node that told it)."""
        self._settle(tuple(self._unsettled))
        return {s: (known.report, max(0.0, now - known.as_of), node) for s, (known, node) in self._best.items()}

    def _settle(self, servers: Iterable[str]) -> None:
        """Whose word about these servers counts now."""
        for server in servers:
            self._unsettled.discard(server)
            told = [(agent.reports[server], agent) for agent in self.agents.values() if server in agent.reports]
            if told:
                self._prefer(server, *max(told, key=lambda one: _rank(server, *one)))
            else:
                self.stirred |= self._best.pop(server, None) is not None

    def _weigh(self, server: str, agent: AgentView) -> None:
        """As `_settle`, when only this agent has told something new: mostly it is the best word, or known already."""
        told, best = agent.reports[server], self._best.get(server)
        if best is None or best[0] is told or server in self._unsettled:
            self._settle((server,))
            return
        ours, theirs = _rank(server, told, agent), _rank(server, best[0], self.agents[best[1]])
        if ours > theirs:
            self._prefer(server, told, agent)
        elif best[1] == agent.node:  # It has taken something back.
            self._settle((server,))

    def _prefer(self, server: str, known: _Known, agent: AgentView) -> None:
        old = self._best.get(server)
        self._best[server] = known, agent.node
        # News also of a server of which nothing was heard for long: it is fresh again.
        same = old is not None and old[0].report is known.report and old[1] == agent.node
        self.stirred |= not same or server in self._stale

    def table(self) -> Table | None:
        return self._table

    @property
    def stale_after_s(self) -> float:
        silence_s = max(_STALE_S, 3 * self.config.interval_s) if self.config else _STALE_S
        return silence_s + self.deaf_s

    def turned_stale(self, now: float) -> bool:
        """True when silence alone has changed what may be believed since the last refresh."""
        return self._stale_of(self.sources(now)) != self._stale

    def _stale_of(self, sources: dict[str, tuple[Report, float, str]]) -> frozenset[str]:
        return frozenset(server for server, (_, age_s, _) in sources.items() if age_s > self.stale_after_s)

    def refresh(self, now: float) -> list[Change]:
        """Brings the status up to date and tells what changed (ages apart)."""
        sources = self.sources(now)
        config = self.config or _guess(self.name, sources)
        self._stale = self._stale_of(sources)
        self.stirred = False
        return self._keeper.refresh(config, sources, self.table(), self.stale_after_s, self._own_findings())

    def _own_findings(self) -> Iterable[str]:
        if self.config_problem:
            yield self.config_problem
        hashes: dict[str, list[str]] = {}
        for agent in self.agents.values():
            if agent.connected and agent.config_hash:
                hashes.setdefault(agent.config_hash, []).append(agent.node)
        if len(hashes) > 1:
            sides = "; ".join(", ".join(sorted(nodes)) for nodes in hashes.values())
            yield f"The servers run with different configurations: {sides}."

    def ages(self, now: float) -> dict[str, float]:
        return {server: round(age_s, 2) for server, (_, age_s, _) in self.sources(now).items()}

    def clocks(self, now: float) -> dict[str, float]:
        """The steady clock of each server whose agent has told it."""
        return {node: now + agent.ahead_s for node, agent in self.agents.items() if agent.ahead_s is not None}

    def agent_states(self, now: float) -> dict[str, dict[str, Any]]:
        return {
            node: {
                "connected": agent.connected,
                "age_s": round(max(0.0, now - agent.heard), 2),
                "ahead_s": agent.skew.ahead_s,
            }
            for node, agent in sorted(self.agents.items())
        }

    def snapshot_of(self, node: str, now: float) -> frames.Snapshot | None:
        """What this agent has told so far, as one frame (for another process of the manager)."""
        agent = self.agents[node]
        if agent.rev is None:
            return None
        reports = {
            server: frames.Relayed(report=_raw(known.report), age_s=max(0.0, now - known.as_of))
            for server, known in agent.reports.items()
        }
        at = now + (agent.ahead_s or 0.0)
        return frames.Snapshot(rev=agent.rev, at=at, reports=reports, table=_raw(agent.table))


def _rank(server: str, known: _Known, agent: AgentView) -> tuple[Any, ...]:
    return *version_of(known.report), agent.connected and agent.node == server, known.as_of


def _raw(value: Report | Table | None) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def _guess(name: str, sources: dict[str, tuple[Report, float, str]]) -> model.Cluster:
    """Without a readable configuration: the servers that spoke, so that the page is not empty."""
    servers = tuple(model.Server(name=server, priority=n) for n, server in enumerate(sorted(sources)))
    return model.Cluster(name=name, servers=servers)


def encode(message: Any) -> str:
    return msgspec.json.encode(message).decode()
