"""A group that was given up because of its mirror disk, when that is whole again."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from agent.engine.events import Responded
from agent.sim.standard import DEFAULTS, standard
from agent.sim.world import World
from agent.wire.mirror import MirrorState

pytestmark = pytest.mark.slow
SERVERS = ("server1", "server2")
WHOLE = MirrorState(constructed=True, color="GREEN")
DOUBTED = MirrorState(constructed=True, doubt="server1 cannot know whether server2 has gone on without it.")


def told(world: World, state: MirrorState | None) -> None:
    for name in SERVERS:
        world.machines[name].feed(Responded(mirrors={"exec1": state}))


def given_up(state: MirrorState) -> World:
    """Its resource, a mirror disk, could be activated nowhere."""
    made = standard(2, safe=False)
    resources = tuple(replace(r, type="md") if r.name == "exec1" else r for r in made.resources)
    world = World(replace(made, resources=resources), defaults=DEFAULTS)
    for name in SERVERS:
        world.machines[name].hands.fail_start["exec1"] = 99
    told(world, state)
    world.run_until(15)
    told(world, state)
    world.run_until(25)
    assert record(world).gave_up
    return world


def record(world: World):
    return world.machines["server1"].engine.coordinator.record("failover1")


def tries(world: World) -> list[str]:
    return [note.text for note in world.notes.values() if (note.module, note.event) == ("rc", 78)]


def mend(world: World, fails: int) -> None:
    for name in SERVERS:
        world.machines[name].hands.fail_start["exec1"] = fails
    told(world, WHOLE)
    world.run_until(world.now + 10)


def test_group_is_tried_once_more_when_its_mirror_is_whole() -> None:
    world = given_up(DOUBTED)

    mend(world, 0)

    assert world.online_on("failover1") == ["server1"]
    assert tries(world) == [
        "Group failover1 is tried once more on server1: its mirror disk exec1 is in doubt there no longer."
    ]


def test_it_is_tried_no_second_time() -> None:
    world = given_up(DOUBTED)
    mend(world, 99)
    assert record(world).gave_up

    for state in (DOUBTED, WHOLE, DOUBTED, WHOLE):
        told(world, state)
        world.run_until(world.now + 5)

    assert len(tries(world)) == 1


def test_group_whose_mirror_was_not_in_doubt_is_left_to_people() -> None:
    world = given_up(WHOLE)

    mend(world, 0)

    assert (world.online_on("failover1"), tries(world)) == ([], [])
