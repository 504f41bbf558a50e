"""A daemon that comes back within its grace goes on in the view, coordinator or not, and nothing is started anew."""

from __future__ import annotations

import pytest

from agent.sim.standard import DEFAULTS, standard
from agent.sim.world import World


@pytest.mark.parametrize("safe", [True, False])
@pytest.mark.parametrize("name", ["server1", "server2", "server3"])
def test_restarted_daemon_is_taken_back_into_the_view(name: str, safe: bool):
    world = World(standard(3, safe=safe), 1, DEFAULTS)
    world.run_until(20)
    before = {g.name: world.active_on(g.name) for g in world.cluster.groups}
    machine = world.machines[name]

    world.kill_daemon(name, back_s=0.0)
    world.run_until(40)

    assert machine.engine.membership.in_view
    assert len({m.engine.report.epoch for m in world.machines.values()}) == 1
    assert {g.name: world.active_on(g.name) for g in world.cluster.groups} == before
    assert all(world.online_on(g.name) == before[g.name] for g in world.cluster.groups)
    assert world.violations == []
