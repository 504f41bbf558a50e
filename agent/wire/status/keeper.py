"""A status that is kept current: only what reads something that has changed is made anew.

Rules of this file
- After each `refresh` the status equals what `build_status` makes of the same words, and the changes are those that
  `diff(…, ages=False)` finds; tests compare them. Whoever adds to a status what reads more, adds it here.
- A group, resource or monitor reads its own line in every report, who speaks at all, and (a group) its record in the
  table. When the configuration or who speaks has changed, all are made anew; else those whose line differs.
- Reports are compared as objects first: whoever decodes them hands an equal report on as the same object.
- What has been handed out is never altered: dictionaries are replaced, entries that did not change stay the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import compress
from operator import is_not
from typing import Any, TypeVar

import msgspec

from agent.clpconf import model
from agent.wire.peer import Table
from agent.wire.report import Report
from agent.wire.status.changes import Change
from agent.wire.status.cluster import cluster_part
from agent.wire.status.fences import fences_part
from agent.wire.status.groups import groups_part
from agent.wire.status.mirrors import mirrors_part
from agent.wire.status.monitors import monitors_part
from agent.wire.status.resources import in_groups, resources_part
from agent.wire.status.seen import Seen, Source, Status, reference_of, see
from agent.wire.status.servers import server_entry
from agent.wire.status.silences import silence_part

_EMPTY: Status = {"cluster": None, "servers": {}, "groups": {}, "resources": {}, "monitors": {}, "fences": {},
                  "mirrors": {}}  # fmt: skip
# Of a report, what no server's entry reads: most changes are of these alone.
_NOT_OF_THE_SERVER = ("seq", "heard", "groups", "resources", "monitors", "responses", "table", "mirrors")
_T = TypeVar("_T")
_Entries = dict[str, dict[str, Any]]
_News = dict[str, tuple[Report, Report]]  # of the servers whose report is another one: what it was, what it is


class StatusKeeper:
    def __init__(self) -> None:
        self.status: Status | None = None
        self._config = _Config(model.Cluster(name=""))
        self._seen: dict[str, Seen] = {}
        self._reference: Report | None = None
        self._table: Table | None = None
        self._silence: dict[str, Any] | None = None

    def refresh(
        self,
        cluster: model.Cluster,
        reports: Mapping[str, Source],
        table: Table | None,
        stale_after_s: float,
        remarks: Iterable[str] = (),
    ) -> list[Change]:
        """`remarks`: sentences of the reader's own about the cluster."""
        reference = reference_of(cluster, reports, stale_after_s)
        seen = {s.name: see(s.name, reports.get(s.name), reference, stale_after_s, table) for s in cluster.servers}
        everything = self._upset(cluster, seen)
        news = {} if everything else self._news(seen)
        if everything and cluster != self._config.cluster:
            self._config = _Config(cluster)
        old = self.status or _EMPTY
        servers, changes = self._servers(old["servers"], seen, reference, table, everything=everything)
        new, more = self._objects(old, seen, news, table, everything=everything)
        if everything or _differs(news, "hears", "health"):
            self._silence = silence_part(cluster, seen)
        whole = cluster_part(cluster, seen, reference, table, servers, new["groups"], new["monitors"], self._silence)
        whole["detail"] = " ".join(filter(None, (whole["detail"], *remarks)))
        if whole == old["cluster"]:
            whole = old["cluster"]
        else:
            changes.insert(0, ["cluster", "", whole])
        self.status = {"cluster": whole, "servers": servers, **new}
        self._seen, self._reference, self._table = seen, reference, table
        return changes + more

    def _upset(self, cluster: model.Cluster, seen: Mapping[str, Seen]) -> bool:
        """True when every object may have to be made anew."""
        if self.status is None or (cluster is not self._config.cluster and cluster != self._config.cluster):
            return True
        return any(_standing(one) != _standing(self._seen[server]) for server, one in seen.items())

    def _news(self, seen: Mapping[str, Seen]) -> _News:
        """Mostly one server among many has said something."""
        known, found = self._seen, {}
        for server, one in seen.items():
            was, now = known[server].report, one.report
            if now is not was and was is not None and now is not None:
                found[server] = was, now
        return found

    def _servers(
        self,
        old: _Entries,
        seen: Mapping[str, Seen],
        reference: Report | None,
        table: Table | None,
        *,
        everything: bool,
    ) -> tuple[_Entries, list[Change]]:
        config = self._config
        everything |= _view(reference) != _view(self._reference) or _quarantine(table) != _quarantine(self._table)
        made: _Entries = {}
        changes: list[Change] = [["servers", name, None] for name in old if name not in config.servers]
        for name, one in seen.items():
            age_s = round(one.age_s, 3)
            if not everything and _says_the_same(self._seen[name], one):
                made[name] = {**old[name], "age_s": age_s}
                continue
            made[name] = server_entry(config.cluster, config.servers[name], one, reference, table)
            if name not in old or made[name] != {**old[name], "age_s": age_s}:
                changes.append(["servers", name, made[name]])
        return made, changes

    def _objects(
        self, old: Status, seen: Mapping[str, Seen], news: _News, table: Table | None, *, everything: bool
    ) -> tuple[Status, list[Change]]:
        config = self._config
        found: Status = {}
        changes: list[Change] = []

        def take(kind: str, made: _Entries) -> list[Change]:
            found[kind], more = _taken(kind, old, made, everything=everything)
            changes.extend(more)
            return more

        dirty = None if everything else _lines(news, "groups") | self._records(table)
        moved = take("groups", groups_part(_of(config.groups, dirty), seen, table))
        dirty = None if everything else _lines(news, "resources") | config.below(moved)
        take("resources", resources_part(_of(config.resources, dirty), seen, found["groups"]))
        dirty = None if everything else _lines(news, "monitors") | _lines(news, "responses")
        take("monitors", monitors_part(_of(config.monitors, dirty), seen, config.cluster.delay_warning))
        heard = everything or _differs(news, "fences")
        take("fences", fences_part(config.cluster, seen) if heard else {})
        told = everything or _differs(news, "mirrors")
        take("mirrors", mirrors_part(config.cluster, seen) if told else {})
        return found, changes

    def _records(self, table: Table | None) -> set[str]:
        if table is self._table:
            return set()
        return _different(self._table.groups if self._table else {}, table.groups if table else {})


class _Config:
    """A configuration by names."""

    def __init__(self, cluster: model.Cluster) -> None:
        self.cluster = cluster
        self.servers = {server.name: server for server in cluster.servers}
        self.groups = {group.name: group for group in cluster.groups}
        self.resources = {resource.name: (resource, group) for resource, group in in_groups(cluster)}
        self.monitors = {monitor.name: monitor for monitor in cluster.monitors}

    def below(self, changes: Iterable[Change]) -> set[str]:
        """The resources of groups that changed: their state depends on the group's."""
        return {resource for _, name, thing in changes if thing for resource in self.groups[name].resources}


def _differs(news: _News, *fields: str) -> bool:
    return any(getattr(now, field) != getattr(was, field) for was, now in news.values() for field in fields)


def _lines(news: _News, kind: str) -> set[str]:
    """Objects of which some report says something else than before."""
    names: set[str] = set()
    for was, now in news.values():
        names |= _different(getattr(was, kind), getattr(now, kind))
    return names


def _of(things: Mapping[str, _T], names: Collection[str] | None) -> list[_T]:
    """In the order of the configuration; `names` None: all."""
    if names is None:
        return list(things.values())
    return [thing for name, thing in things.items() if name in names] if names else []


def _taken(kind: str, old: Status, made: _Entries, *, everything: bool) -> tuple[_Entries, list[Change]]:
    """All entries of a kind with those that were made anew, and what that changed."""
    known: _Entries = old[kind]
    new = {name: thing for name, thing in made.items() if known.get(name) != thing}
    changes: list[Change] = [[kind, name, thing] for name, thing in new.items()]
    if not everything:
        return ({**known, **new} if new else known), changes
    gone: list[Change] = [[kind, name, None] for name in known if name not in made]
    return {name: new.get(name) or known[name] for name in made}, gone + changes


def _different(old: Mapping[str, Any], new: Mapping[str, Any]) -> set[str]:
    if old is new:
        return set()
    others = compress(new.items(), map(is_not, new.values(), map(old.get, new)))  # Mostly one among hundreds.
    found = {name for name, line in others if old.get(name) != line}
    if len(new) - sum(name not in old for name in found) < len(old):
        found |= old.keys() - new.keys()
    return found


def _standing(one: Seen) -> tuple[bool, str, bool]:
    """Whether and how a server speaks: it decides how its report is read."""
    return one.live, one.status, one.report is None


def _says_the_same(old: Seen, new: Seen) -> bool:
    """Nothing that a server's entry reads of it has changed, but for its age."""
    if (old.source, old.status, old.live, old.detail) != (new.source, new.status, new.live, new.detail):
        return False
    was, now = old.report, new.report
    if was is now or was is None or now is None:
        return was is now
    return now == msgspec.structs.replace(was, **{field: getattr(now, field) for field in _NOT_OF_THE_SERVER})


def _view(reference: Report | None) -> tuple[Any, ...]:
    """What the other servers' entries read of the reference report."""
    if reference is None:
        return ()
    return reference.server, reference.epoch, reference.coordinator, reference.members, reference.lost


def _quarantine(table: Table | None) -> object:
    return table.quarantine if table is not None else {}
