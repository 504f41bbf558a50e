"""Clusters for bench push: what their agents say, as frames of ARCHITECTURE.md section 5, with marks that carry a time.

A mark is `bench NUMBER SECONDS`, by the steady clock that all processes of the machine share, when its agent sent it.
It stands in a note, which must reach every browser, and, for those who poll, in what the server says of itself, which a
later one replaces.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field

import msgspec

from agent.catalog import specs
from agent.sim.steady import steady_world
from agent.wire.peer import Table
from agent.wire.report import Note, Report
from agent.wire.report_part import part_of, version_of
from tests.bench.configuration import large_conf
from tests.bench.hub import changed, heard
from webmanager import configs

MARK = re.compile(rb"bench (\d+) (\d+\.\d+)")


@dataclass(slots=True)
class World:
    """One shape of cluster; any number of clusters may look like it."""

    conf: bytes
    reports: dict[str, Report]
    table: Table
    config: str = field(init=False)
    config_hash: str = field(init=False)

    def __post_init__(self) -> None:
        self.config = base64.b64encode(self.conf).decode()
        self.config_hash = hashlib.sha256(self.conf).hexdigest()

    def named(self, name: str) -> World:
        return World(
            self.conf.replace(b"<name>large</name>", f"<name>{name}</name>".encode()), self.reports, self.table
        )


def world(servers: int, groups: int) -> World:
    """Each group at home, all of it well, with the silences that a server measures within its first minutes."""
    conf = large_conf(servers, groups)
    cluster, problem = configs.load(conf)
    assert cluster is not None, problem
    homes = {group.name: group.policy[0] for group in cluster.groups}
    there = steady_world(cluster, homes, {name: spec.depends_on for name, spec in specs().items()})
    engines = {name: machine.engine for name, machine in there.machines.items() if machine.engine}
    return World(conf, {n: heard(e.report) for n, e in engines.items()}, next(iter(engines.values())).table)


class Speaker:
    """What one agent says, frame by frame."""

    def __init__(self, world: World, cluster: str, node: str, first: int, *, marked: bool = False) -> None:
        """`marked`: its report has the mark as well."""
        self.marked = marked
        self.world, self.cluster, self.node = world, cluster, node
        self.report = world.reports[node]
        self.rev = 0
        self.number = first  # of the next mark
        self.groups = [name for name, group in self.report.groups.items() if group.state == "Online"] or ["failover1"]

    def hello(self) -> bytes:
        world = self.world
        words = {"node": self.node, "cluster": self.cluster, "config": world.config, "config_hash": world.config_hash}
        return msgspec.json.encode({"type": "hello", "version": 2, **words})

    def snapshot(self, at: float) -> bytes:
        self.rev += 1
        told = {self.node: {"report": self.report, "age_s": 0.0}}
        table = self.world.table
        return msgspec.json.encode(
            {"type": "snapshot", "rev": self.rev, "at": at, "reports": told, "table": table, "notes": []}
        )

    def change(self, at: float) -> bytes:
        self.rev += 1
        number, mark = self.number, f"bench {self.number} {at:.6f}"
        self.number += 1
        before, self.report = self.report, changed(self.report, number)
        if self.marked:
            self.report = msgspec.structs.replace(self.report, detail=mark)
        note = Note(
            id=f"{self.node}:1:{number}", time=at, server=self.node, module="rc", event=10, severity="info",
            kind="group", name=self.groups[number % len(self.groups)], text=mark,
        )  # fmt: skip
        part = {"part": part_of(before, self.report), "base": version_of(before), "age_s": 0.0}
        told = {self.node: part}  # As agent/daemon/push.py tells it.
        return msgspec.json.encode({"type": "change", "rev": self.rev, "at": at, "reports": told, "notes": [note]})

    def alive(self, at: float) -> bytes:
        return msgspec.json.encode({"type": "alive", "rev": self.rev, "at": at, "ages": {self.node: 0.0}})
