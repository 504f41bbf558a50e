"""A made-up cluster for the browser tests: real reports and the real build_status, so that the shapes are true."""

from __future__ import annotations

import time
from typing import Any

from msgspec.structs import replace

from agent.clpconf import model
from agent.messages.catalog import render, severity
from agent.wire.epoch import Epoch
from agent.wire.peer import GroupRecord, Quarantine, Table
from agent.wire.report import (
    FenceReport,
    GapReport,
    GroupReport,
    HealthReport,
    MonitorReport,
    Note,
    PathReport,
    Report,
    ResolverReport,
    ResourceReport,
    ResponseReport,
    VoteReport,
)
from agent.wire.status import Status, build_status

STEP = model.Activation(timeout_s=30, retry=1)
EPOCH = Epoch(3, 0)


class MadeUp:
    """Servers, groups and LANs that do as they are told."""

    def __init__(self, servers: int = 3, groups: int = 2, lans: int = 2, guarded: bool = False) -> None:
        """`guarded`: with a witness, and a fence device that was tested from the first server only."""
        self.names = [f"server{n}" for n in range(1, servers + 1)]
        self.lans = [f"lanhb{n}" for n in range(1, lans + 1)]
        self.config = _config(self.names, self.lans, groups)
        self.guarded = guarded
        if guarded:
            witness = model.PartitionResolver(name="httpnp1", type="httpnp", priority=0, device=10700)
            device = model.FenceDevice(name="bmc1", agent="fence_ipmilan")
            self.config = replace(self.config, resolvers=(witness,), fences=(device,))
        self.unreached: set[str] = set()  # servers that do not reach the witness
        self.idle: set[str] = set()  # on the losing side of a cut, and saying so themselves
        self.tested: set[str] = set()  # servers that have used the fence device
        self.quarantined: set[str] = set()
        self.began = time.time() - 4000
        self.down: set[str] = set()
        self.cut: set[tuple[str, str]] = set()  # (lan, server)
        self.deaf: set[tuple[str, str, str]] = set()  # (lan, from, to)
        self.held: set[str] = set()
        self.away: set[str] = set()  # agents without connection
        self.starved: set[str] = set()
        self.monitor_errors: dict[tuple[str, str], str] = {}
        self.where: dict[str, dict[str, GroupReport]] = {}
        self.notes: list[Note] = []
        self.note("cluster", "demo", "pm", 1, self.names[0])
        for index, group in enumerate(self.config.groups):
            self.put(group.name, self.names[index % len(self.names)], self.began + index)

    def put(self, group: str, server: str, since: float | None = None, state: Any = "Online", detail: str = "") -> None:
        there = GroupReport(state=state, since=since or time.time(), epoch=EPOCH, serial=1, detail=detail)
        self.where[group] = {server: there}

    def also(self, group: str, server: str) -> None:
        self.where[group][server] = GroupReport(state="Online", since=time.time(), epoch=EPOCH, serial=1)

    def nowhere(self, group: str) -> None:
        self.where[group] = {}

    def note(self, kind: Any, name: str, module: str, event: int, *params: str, **more: Any) -> str:
        id_ = f"{self.names[0]}:1:{len(self.notes) + 1}"
        self.notes.append(Note(
            id=id_, time=time.time(), server=self.names[0], module=module, event=event, kind=kind, name=name,
            severity=severity(module, event), text=render(module, event, params), params=params, **more,
        ))  # fmt: skip
        return id_

    def crash(self, server: str) -> None:
        """The server dies; its groups go to the next living one, with the whole chain of causes."""
        self.down.add(server)
        silent = [self.note("heartbeat", lan, "nm", 4, lan, server, "silent for 1.0 s") for lan in self.lans]
        lost = self.note("server", server, "nm", 2, server, "nothing heard for 1.0 s on any path",
                         causes=tuple(silent), rule="heartbeat-timeout")  # fmt: skip
        members = ", ".join(name for name in self.names if name not in self.down)
        view = self.note("cluster", "demo", "cp", 2, "4.1", members, causes=(lost,))
        for name, places in self.where.items():
            if server in places:
                target = self._next(name)
                self.put(name, target, state="Online Pending")
                self.note("group", name, "rc", 60, name, server, target, causes=(view,), rule="failover-policy")

    def finish(self) -> None:
        """Whatever is pending comes to its end."""
        for name, places in self.where.items():
            for server, report in list(places.items()):
                if report.state == "Online Pending":
                    self.put(name, server)
                    last = [note for note in self.notes if note.name == name][-1].id
                    self.note("group", name, "rc", 11, name, server, causes=(last,), after="Online")

    def move(self, group: str, server: str) -> None:
        source = next(iter(self.where[group]), "")
        asked = self.note("request", "", "apisv", 1, "admin@127.0.0.1", f"move {group} to {server}")
        self.put(group, server)
        self.note("group", group, "rc", 51, group, source, server, causes=(asked,), rule="operator")

    def _next(self, group: str) -> str:
        policy = next(one.policy for one in self.config.groups if one.name == group)
        return next(name for name in policy if name not in self.down)

    def status(self) -> Status:
        living = [name for name in self.names if name not in self.down]
        sources = {name: (self._report(name, living), 0.1, self._source(name)) for name in living}
        goals = {
            name: GroupRecord(goal=next(iter(places), ""), held=name in self.held)
            for name, places in self.where.items()
        }
        quarantine = {name: Quarantine(until=self.began + 9000, times=3, window_s=600.0) for name in self.quarantined}
        table = Table(epoch=EPOCH, version=1, groups=goals, quarantine=quarantine)
        return build_status(self.config, sources, table, 5)

    def _source(self, server: str) -> str:
        return next((name for name in self.names if name not in self.away), "") if server in self.away else server

    def _report(self, server: str, living: list[str]) -> Report:
        groups = {name: places.get(server, GroupReport(since=self.began)) for name, places in self.where.items()}
        resources = {
            resource: ResourceReport(state=groups[group.name].state)
            for group in self.config.groups
            for resource in group.resources
            if groups[group.name].state != "Offline"
        }
        monitors = self._monitors(server, groups)
        return Report(
            server=server, incarnation=1, seq=1,
            groups=groups, resources=resources, monitors=monitors,
            responses={name: self._answers() for name, one in monitors.items() if one.state == "Normal"},
            paths={peer: self._paths(server, peer) for peer in self.names if peer != server},
            hears={peer: self._gaps(220) for peer in self.names if peer != server},
            health=HealthReport(suspects=server in self.starved, late=self._gaps(2)), **{
                "epoch": EPOCH, "members": tuple(living), "coordinator": living[0], "lost": tuple(self.down),
                **self._guard(server, living),
            },
        )  # fmt: skip

    def _guard(self, server: str, living: list[str]) -> dict[str, Any]:
        """What a report says of resolution and fencing."""
        if not self.guarded:
            return {}
        reached = server not in self.unreached
        why = "" if reached else "192.0.2.9:29080: no answer in time"
        acting = [name for name in living if name not in self.idle]
        fence = {"bmc1": FenceReport(at=self.began, result="ok", proven=self.began)} if server in self.tested else {}
        if server in self.idle:
            alone = {"acts": False, "epoch": Epoch(2, 0), "detail": "Not enough votes.", "members": tuple(self.names)}
            return {**alone, "resolvers": {"httpnp1": False}, "lost": tuple(acting), "fences": fence}
        votes = VoteReport(voters=(*self.names, "httpnp1"), present=(*acting, "httpnp1"))
        return {
            "resolvers": {"httpnp1": reached}, "resolving": {"httpnp1": ResolverReport(since=self.began, detail=why)},
            "votes": votes, "members": tuple(acting), "coordinator": acting[0], "fences": fence,
        }  # fmt: skip

    def _paths(self, server: str, peer: str) -> dict[str, PathReport]:
        return {
            lan: PathReport(
                state="Error" if self._broken(lan, peer, server) else "Normal",
                worst_gap_ms=1200.0,
                gaps=self._gaps(220 + 100 * index),
            )
            for index, lan in enumerate(self.lans)
        }

    def _answers(self) -> ResponseReport:
        return ResponseReport(
            p50_ms=12.0, p95_ms=20.0, p99_ms=30.0, p999_ms=40.0, worst_ms=50.0, worst_at=self.began + 60,
            count=900, since=self.began, low_ms=8.0, mid_ms=12.0, high_ms=20.0,
        )  # fmt: skip

    def _gaps(self, worst_ms: float) -> GapReport:
        return GapReport(p50_ms=worst_ms / 2, p99_ms=worst_ms / 2, p999_ms=worst_ms * 0.8, worst_ms=worst_ms,
                         worst_at=self.began + 60, since=self.began, ever_ms=worst_ms)  # fmt: skip

    def _broken(self, lan: str, source: str, target: str) -> bool:
        cut = (lan, source) in self.cut or (lan, target) in self.cut
        return cut or source in self.down or (lan, source, target) in self.deaf

    def _monitors(self, server: str, groups: dict[str, GroupReport]) -> dict[str, MonitorReport]:
        found = {}
        for monitor in self.config.monitors:
            error = self.monitor_errors.get((monitor.name, server))
            watched = next((g for g in self.config.groups if monitor.target in g.resources), None)
            if error:
                found[monitor.name] = MonitorReport(
                    state="Error", since=time.time() - 42, detail=error, elapsed_ms=5000
                )
            elif watched is None or groups[watched.name].state == "Online":
                found[monitor.name] = MonitorReport(state="Normal", since=self.began, elapsed_ms=0.8)
        return found

    def agents(self) -> dict[str, dict[str, Any]]:
        gone = self.down | self.away
        return {name: {"connected": name not in gone, "age_s": 0.1} for name in self.names}


def _config(names: list[str], lans: list[str], groups: int) -> model.Cluster:
    heartbeats = tuple(model.Heartbeat(name=lan, type="lanhb", priority=n, device=n) for n, lan in enumerate(lans))
    made = [_group(n, names) for n in range(1, groups + 1)] if names else []
    return model.Cluster(
        name="demo", comment="Three servers, two interconnects", interval_s=0.2, timeout_s=1.0, heartbeats=heartbeats,
        servers=tuple(model.Server(name=name, priority=n) for n, name in enumerate(names)),
        groups=tuple(group for group, _, _ in made),
        resources=tuple(resource for _, resources, _ in made for resource in resources),
        monitors=(*(monitor for _, _, monitor in made),
                  model.Monitor(name="ipw1", type="ipw", comment="Gateway of the public LAN")),
    )  # fmt: skip


def _group(n: int, names: list[str]) -> tuple[model.Group, tuple[model.Resource, ...], model.Monitor]:
    turn = (n - 1) % len(names)
    policy = tuple(names[turn:] + names[:turn])
    address = {"parameters/ip": f"10.20.{n // 250}.{n % 250 + 10}"}
    fip = model.Resource(name=f"fip{n}", type="fip", activation=STEP, deactivation=STEP, values=address)
    run = model.Resource(name=f"exec{n}", type="exec", comment="Web service", activation=STEP, deactivation=STEP)
    group = model.Group(
        name=f"failover{n}", gid=n, resources=(run.name, fip.name), policy=policy, comment="Web service"
    )
    watch = model.Monitor(name=f"pidw{n}", type="pidw", target=run.name, timing="active", comment="Its process lives")
    return group, (fip, run), watch
