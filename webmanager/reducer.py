"""Makes one status of a cluster from what its agents push: pure, no clock, no I/O.

Rules of this file
- Of several reports about a server the newest (incarnation, seq) wins; at a tie the server's own word, then the
  fresher one. An agent that died keeps its newest report: it grows old, and `build_status` says so.
- The newest table (epoch, version) wins.
- Frames of one agent are numbered without a gap from a snapshot on; else FrameError, and the connection ends.
- A note is taken once, whichever agent brings it first.
`now` is the manager's monotonic clock in seconds; agents' clocks are used for nothing but the times of notes.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import UNSET

from agent.clpconf import model
from agent.wire.epoch import Epoch
from agent.wire.peer import Table
from agent.wire.report import Note, Report
from agent.wire.status import Change, Status, build_status, diff
from webmanager import frames
from webmanager.frames import FrameError, note_dict

EVENTS_SHOWN = 500
_NOTES_REMEMBERED = 20_000
_STALE_S = 3.0  # Agents speak each second.


@dataclass(slots=True)
class _Known:
    report: Report
    as_of: float  # when this was last known to be right, by the manager's clock


@dataclass(slots=True)
class AgentView:
    """What one agent has told."""

    node: str
    connected: bool = True
    rev: int | None = None  # None: no snapshot yet
    heard: float = 0.0
    config_hash: str = ""
    reports: dict[str, _Known] = field(default_factory=dict)
    table: Table | None = None


class ClusterReducer:
    def __init__(self, name: str) -> None:
        self.name = name
        self.config: model.Cluster | None = None
        self.config_problem = ""
        self.agents: dict[str, AgentView] = {}
        self.status: Status | None = None
        self.events: list[dict[str, Any]] = []  # newest EVENTS_SHOWN, sorted by (time, id)
        self._note_ids: dict[str, None] = {}
        self._stale: frozenset[str] = frozenset()

    def configure(self, config: model.Cluster | None, problem: str = "") -> None:
        """`config` None: unreadable; the last good one stays and `problem` is shown."""
        self.config = config or self.config
        self.config_problem = problem

    def remember(self, events: Iterable[dict[str, Any]]) -> None:
        """Events from the database, at start."""
        for event in events:
            self._take(event)

    def hello(self, node: str, config_hash: str, now: float) -> None:
        agent = self.agents.setdefault(node, AgentView(node))
        agent.connected, agent.rev, agent.heard, agent.config_hash = True, None, now, config_hash

    def gone(self, node: str) -> None:
        if agent := self.agents.get(node):
            agent.connected = False

    def feed(self, node: str, frame: frames.Frame, now: float) -> list[dict[str, Any]]:
        """Takes a snapshot, change or alive frame; returns the events that were new."""
        agent = self.agents[node]
        match frame:
            case frames.Snapshot():
                agent.rev, agent.table = frame.rev, frame.table
                agent.reports = {}
            case frames.Change():
                self._expect(agent, frame.rev, 1)
                agent.rev = frame.rev
                if frame.table is not UNSET:
                    agent.table = frame.table
            case frames.Alive():
                self._expect(agent, frame.rev, 0)
                agent.heard = now
                self._aged(agent, frame.ages, now)
                return []
            case _:
                raise FrameError(f"a frame of type {type(frame).__name__.lower()} is out of place here")
        agent.heard = now
        for server, relayed in frame.reports.items():
            if relayed.report.server != server:
                raise FrameError(f"the report under {server} is about {relayed.report.server}")
            agent.reports[server] = _Known(relayed.report, now - max(0.0, relayed.age_s))
        return self._notes(frame.notes)

    @staticmethod
    def _expect(agent: AgentView, rev: int, step: int) -> None:
        if agent.rev is None:
            raise FrameError("a snapshot must come first")
        if rev != agent.rev + step:
            raise FrameError(f"gap: revision {rev} came where {agent.rev + step} was due")

    @staticmethod
    def _aged(agent: AgentView, ages: dict[str, float], now: float) -> None:
        for server, age_s in ages.items():
            if known := agent.reports.get(server):
                known.as_of = now - max(0.0, age_s)

    def _notes(self, notes: Iterable[Note]) -> list[dict[str, Any]]:
        new = [note_dict(note) for note in notes if note.id not in self._note_ids]
        return [event for event in new if self._take(event)]

    def _take(self, event: dict[str, Any]) -> bool:
        if event["id"] in self._note_ids:
            return False
        self._note_ids[event["id"]] = None
        while len(self._note_ids) > _NOTES_REMEMBERED:
            del self._note_ids[next(iter(self._note_ids))]
        insort(self.events, event, key=lambda e: (e["time"], e["id"]))
        del self.events[:-EVENTS_SHOWN]
        return True

    def sources(self, now: float) -> dict[str, tuple[Report, float, str]]:
        """The best report on each server: (report, age in seconds, node that told it)."""
        best: dict[str, tuple[tuple[Any, ...], _Known, str]] = {}
        for agent in self.agents.values():
            for server, known in agent.reports.items():
                own = agent.node == server
                rank = (known.report.incarnation, known.report.seq, own and agent.connected, known.as_of)
                if server not in best or rank > best[server][0]:
                    best[server] = (rank, known, agent.node)
        return {s: (known.report, max(0.0, now - known.as_of), node) for s, (_, known, node) in best.items()}

    def table(self) -> Table | None:
        tables = (agent.table for agent in self.agents.values() if agent.table is not None)
        return max(tables, key=lambda t: (Epoch(*t.epoch), t.version), default=None)

    @property
    def stale_after_s(self) -> float:
        return max(_STALE_S, 3 * self.config.interval_s) if self.config else _STALE_S

    def turned_stale(self, now: float) -> bool:
        """True when silence alone has changed what may be believed since the last refresh."""
        return self._stale_of(self.sources(now)) != self._stale

    def _stale_of(self, sources: dict[str, tuple[Report, float, str]]) -> frozenset[str]:
        return frozenset(server for server, (_, age_s, _) in sources.items() if age_s > self.stale_after_s)

    def refresh(self, now: float) -> list[Change]:
        """Builds the status anew and tells what changed (ages apart)."""
        sources = self.sources(now)
        config = self.config or _guess(self.name, sources)
        new = build_status(config, sources, self.table(), self.stale_after_s)
        new["cluster"]["detail"] = " ".join(filter(None, (new["cluster"].get("detail", ""), *self._own_findings())))
        self._stale = self._stale_of(sources)
        changes = diff(self.status or {}, new, ages=False)
        self.status = new
        return changes

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

    def agent_states(self, now: float) -> dict[str, dict[str, Any]]:
        return {
            node: {"connected": agent.connected, "age_s": round(max(0.0, now - agent.heard), 2)}
            for node, agent in sorted(self.agents.items())
        }

    def snapshot_of(self, node: str, now: float) -> frames.Snapshot | None:
        """What this agent has told so far, as one frame (for another process of the manager)."""
        agent = self.agents[node]
        if agent.rev is None:
            return None
        reports = {s: frames.Relayed(report=k.report, age_s=max(0.0, now - k.as_of)) for s, k in agent.reports.items()}
        return frames.Snapshot(rev=agent.rev, at=0.0, reports=reports, table=agent.table)


def _guess(name: str, sources: dict[str, tuple[Report, float, str]]) -> model.Cluster:
    """Without a readable configuration: the servers that spoke, so that the page is not empty."""
    servers = tuple(model.Server(name=server, priority=n) for n, server in enumerate(sorted(sources)))
    return model.Cluster(name=name, servers=servers)


def encode(message: Any) -> str:
    return msgspec.json.encode(message).decode()
