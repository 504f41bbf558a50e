"""A world that begins with all well equals one that was booted, and stays as it is."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from agent.clpconf.model import Cluster
from agent.engine.core import NEVER
from agent.sim.rest import at_rest
from agent.sim.standard import DEFAULTS, standard
from agent.sim.steady import steady_world
from agent.sim.world import World

_STAMPS = {"since", "seq", "heard", "time", "serial", "start_serial", "epoch", "start_epoch", "version", "table",
           "cause", "promised", "worst_gap_ms", "elapsed_ms", "request", "move", "origin", "ordered", "tried",
           "attempt", "event", "token"}  # fmt: skip
_CLUSTERS = [standard(2, safe=False), standard(3, safe=True), standard(5, safe=True)]
_IDS = ["2 unsafe", "3 safe", "5 safe"]


def home(cluster: Cluster) -> dict[str, str]:
    return {group.name: group.policy[0] for group in cluster.groups}


def bare(value: Any) -> Any:
    """Without numbers and times that only count how it came about."""
    if isinstance(value, dict):
        return {key: bare(each) for key, each in value.items() if key not in _STAMPS}
    if isinstance(value, list):
        return [bare(each) for each in value]
    return value


def state(world: World, name: str) -> dict[str, Any]:
    engine, detector = world.machines[name].engine, world.machines[name].detector
    report = msgspec.to_builtins(engine.report)
    waits = {topic for topic, at in engine.deadlines().items() if at != NEVER}
    return bare({
        "report": {key: each for key, each in report.items() if key not in ("paths", "hears")},
        "reports": sorted(engine.reports),
        "table": msgspec.to_builtins(engine.table),
        "groups": {name: msgspec.to_builtins(group) for name, group in engine.groups.local.items()},
        "peers": {n: (p.alive, p.known, p.lost, p.incarnation, p.service, p.deaf) for n, p in
                  engine.membership.peers.items()},
        "view": (engine.membership.view.members, engine.membership.view.coordinator),
        "in view": (engine.membership.in_view, engine.membership.lease_held, engine.membership.coordinates),
        "waits": sorted(waits - {"ceiling", *(w for w in waits if w.startswith("vouched"))}),
        "heard": (sorted(detector.daemon_ages()), detector.service),
        "hands": sorted(world.machines[name].hands.active),
    })  # fmt: skip


@pytest.mark.parametrize("cluster", _CLUSTERS, ids=_IDS)
def test_nothing_differs_from_a_cluster_that_was_booted(cluster: Cluster) -> None:
    booted = World(cluster, 0, DEFAULTS)
    booted.run_until(30)
    steady = steady_world(cluster, home(cluster), DEFAULTS)
    steady.run_until(steady.now + 10)

    for name in cluster.server_names:
        assert state(steady, name) == state(booted, name)


@pytest.mark.parametrize("cluster", _CLUSTERS, ids=_IDS)
def test_all_is_well_and_stays_so(cluster: Cluster) -> None:
    world = steady_world(cluster, home(cluster), DEFAULTS)
    begin, rows = world.now, len(world.rows)

    world.run_until(begin + 20 * cluster.timeout_s)

    assert world.rows[rows:] == []
    assert {group.name: world.online_on(group.name) for group in cluster.groups} == {
        group: [server] for group, server in home(cluster).items()
    }
    assert at_rest(world, begin)


def test_group_that_is_nowhere_stays_stopped() -> None:
    world = steady_world(standard(3, safe=True), {"failover2": "server3"}, DEFAULTS)

    world.run_until(world.now + 10)

    assert (world.active_on("failover1"), world.online_on("failover2")) == ([], ["server3"])


def test_crash_goes_as_in_a_cluster_that_was_booted() -> None:
    cluster = replace(standard(3, safe=True), interval_s=0.2, timeout_s=1.0)
    booted = World(cluster, 0, DEFAULTS)
    booted.run_until(30)
    steady = steady_world(cluster, home(cluster), DEFAULTS)

    told = []
    for world in (booted, steady):
        begin = world.now
        world.crash("server1")
        world.run_until(begin + 5)
        told.append({n.text for n in world.notes.values() if n.time > begin and n.module == "rc"})

    assert told[0] == told[1]
    assert "Group failover1 is online on server2." in told[0]
