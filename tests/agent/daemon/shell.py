"""What the daemon's tests share: a small cluster, and an engine whose answers a test writes itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from agent.clpconf.model import Activation, Cluster, Group, Monitor, Resource, Server
from agent.daemon.console import Console
from agent.daemon.journal import Journal
from agent.daemon.observer import Observer
from agent.engine.events import Asked
from agent.wire.epoch import Epoch
from agent.wire.peer import Request, Table
from agent.wire.report import GroupReport, Note, Report

STEP = Activation(timeout_s=5, retry=0)


def small_cluster(*monitors: Monitor) -> Cluster:
    return Cluster(
        name="c",
        interval_s=0.1,
        timeout_s=1.0,
        servers=(Server(name="server1", priority=0), Server(name="server2", priority=1)),
        groups=(Group(name="g1", resources=("exec1",), policy=("server1", "server2")),),
        resources=(Resource(name="exec1", type="exec", activation=STEP, deactivation=STEP),),
        monitors=monitors,
    )


class StandIn:
    """Has what the shell reads of an engine; a test sets it and calls `changed`."""

    def __init__(self, directory: Path) -> None:
        self.report = Report(server="server1", incarnation=1, seq=1, epoch=Epoch(1, 0), members=("server1", "server2"))
        self.table = Table(epoch=Epoch(1, 0), version=1)
        self.reports: dict[str, tuple[Report, float]] = {}
        self.asked: list[Request] = []
        self.journal = Journal(directory, server="server1", incarnation=1, now=time.time)
        self.observer = Observer(small_cluster(), "server1", self, self.journal, time.time, lambda _: 0.0)
        self.console = Console(self.observer, self._feed)
        self.on_ask: Callable[[Request], None] = lambda request: None

    def _feed(self, event: Asked) -> None:
        self.asked.append(event.request)
        self.on_ask(event.request)

    def set_group(self, state: str, detail: str = "") -> None:
        group = msgspec.convert({"state": state, "detail": detail}, GroupReport)
        self.report = msgspec.structs.replace(self.report, seq=self.report.seq + 1, groups={"g1": group})
        self.observer.touch()

    def note(self, number: int) -> Note:
        note = Note(
            id=f"server1:1:{number}", time=1000.0 + number, server="server1", module="rc", event=10, severity="info",
            kind="group", name="g1", text=f"note {number}",
        )  # fmt: skip
        self.journal.add(note)
        self.observer.touch()
        return note


CLP_CONF = b"""<?xml version="1.0" encoding="ASCII"?>
<root>
<all><charset>ASCII</charset><encode>ASCII</encode><serveros>linux</serveros></all>
<cluster><name>c</name><heartbeat><interval>100</interval><timeout>500</timeout></heartbeat></cluster>
<server name="server1"><priority>0</priority>
 <device id="0"><type>lan</type><info>10.0.0.1</info></device>
 <device id="1"><type>lan</type><info>10.0.1.1</info></device></server>
<server name="server2"><priority>1</priority>
 <device id="0"><type>lan</type><info>10.0.0.2</info></device>
 <device id="1"><type>lan</type><info>10.0.1.2</info></device></server>
<heartbeat><types name="lanhb"/>
 <lanhb name="lanhb1"><priority>0</priority><device>0</device></lanhb>
 <lanhb name="lanhb2"><priority>1</priority><device>1</device></lanhb></heartbeat>
<group name="failover1"><resource name="exec@exec1"/></group>
<resource><types name="exec"/><exec name="exec1"/></resource>
</root>
"""
