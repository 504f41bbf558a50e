"""One server is short of time. It suspects itself, and nothing moves; trusting its ears it would take the rest over."""

from __future__ import annotations

from agent.engine.health import Health
from agent.sim.standard import DEFAULTS, standard
from agent.sim.world import World

INTERVAL, TIMEOUT = 0.1, 0.5


class TrustsItsEars(Health):
    def extra_s(self, now: float) -> float:
        return 0.0


def starve(world: World, times: int) -> None:
    """server1 runs for a moment, then not for 0.45 s, again and again: it beats every 0.48 s at least, so nobody has a
    reason to call it lost. But what it heard last is older than the timeout each time it looks again."""
    for _ in range(times):
        world.pause("server1")
        world.run_until(world.now + 0.45)
        world.resume("server1")
        world.run_until(world.now + 1.55)


def settled(servers: int) -> World:
    world = World(standard(servers, safe=False, interval_s=INTERVAL, timeout_s=TIMEOUT), 3, DEFAULTS, start=False)
    world.power_on("server1")
    world.run_until(0.04)
    for name in world.cluster.server_names[1:]:
        world.power_on(name)
    world.run_until(20.03)
    assert [world.online_on(group.name) for group in world.cluster.groups] == [["server1"], ["server2"]]
    return world


def down(world: World) -> list[str]:
    return [note.text for note in world.notes.values() if (note.module, note.event) == ("nm", 2)]


def test_starved_server_evicts_nobody() -> None:
    world = settled(3)
    starve(world, 10)

    assert down(world) == []
    assert world.violations == []
    assert [world.online_on(group.name) for group in world.cluster.groups] == [["server1"], ["server2"]]


def test_starved_server_that_trusted_its_ears_would_evict_the_others() -> None:
    world = settled(3)
    world.machines["server1"].detector.health = TrustsItsEars(TIMEOUT)
    world.may_overlap = lambda group: True
    starve(world, 10)

    assert {text.split(" is down")[0] for text in down(world)} >= {"Server server2", "Server server3"}
    assert any("OVERLAP" in line for line in world.lines)


def test_starved_server_says_so_once_a_minute_and_shows_it_for_as_long() -> None:
    world = settled(3)
    starve(world, 45)

    told = [note for note in world.notes.values() if (note.module, note.event) == ("cp", 92)]
    assert [(note.name, note.rule) for note in told] == [("server1", "self-suspicion")] * 2
    assert told[1].time - told[0].time >= 60
    report, _ = world.machines["server2"].engine.reports["server1"]
    assert report.health.suspects
    world.run_until(world.now + 61)
    report, _ = world.machines["server2"].engine.reports["server1"]
    assert not report.health.suspects


def test_a_server_that_is_really_lost_is_found_by_a_starved_one_within_two_timeouts() -> None:
    world = settled(2)
    starve(world, 3)
    world.pause("server1")
    world.run_until(world.now + 0.45)
    crash_at = world.now
    world.crash("server2")
    world.resume("server1")
    world.run_until(world.now + 2 * TIMEOUT + INTERVAL)

    taken = [note.time for note in world.notes.values() if (note.module, note.event) == ("rc", 60)]
    assert len(taken) == 1
    assert TIMEOUT < taken[0] - crash_at <= 2 * TIMEOUT + INTERVAL
