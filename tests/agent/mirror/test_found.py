"""What the hands have found: a disk that fails, and places in which two equal disks differ."""

from __future__ import annotations

from agent.sim.mirrorserver import CELLS_IN_GRAIN
from tests.agent.mirror.test_side import Story


def test_side_whose_disk_fails_is_no_whole_copy_and_the_other_one_follows():
    story = Story()
    active, other = story.active, story.other

    story.servers[active].lose_disk()
    story.until(lambda: not story.side(active).past.whole)
    story.until(lambda: story.active == other)

    assert "has failed" in story.side(active).failed
    assert not story.side(active).active


def test_process_killed_before_it_wrote_that_its_disk_has_failed_takes_it_for_no_whole_copy():
    """What the other side has alone, since the disk has lost it, is not given up for the old version."""
    story = Story()
    active, other = story.active, story.other

    story.servers[active].lose_disk()
    for name in (active, other):
        story.servers[name].crash(power=False)
        story.application.leaves(name)
        story.servers[name].start()
        story.cluster.process_back(name)

    assert not story.side(active).past.whole
    story.until(lambda: story.side(active).relation == "target")
    story.until(lambda: story.side(other).relation == story.side(active).relation == "equal")
    story.run(100)


def test_side_that_is_alone_stays_whole_when_its_disk_fails():
    """Nobody else has its data: what is left of it must not be overwritten."""
    story = Story()
    active = story.active
    story.lose(story.other)
    story.until(lambda: story.side(active).mode == "alone")

    story.servers[active].lose_disk()
    story.until(lambda: story.side(active).past.boot == "")

    assert story.side(active).past.whole


def test_failed_side_lets_the_other_one_go_on_alone():
    story = Story()
    active, other = story.active, story.other

    story.servers[other].lose_disk()
    story.until(lambda: story.side(active).mode == "alone")

    assert story.side(other).past.outdated


def spoil(story):
    """A grain of the side that stands by."""
    story.servers[story.other].disk.spoil(2 * CELLS_IN_GRAIN)
    story.application.spoiled.add(2 * CELLS_IN_GRAIN)


def test_repair_copies_the_grains_from_the_side_that_was_asked():
    story = Story()
    active, other = story.active, story.other
    spoil(story)

    story.servers[active].tell(lambda side: side.repair([2]))
    story.until(lambda: story.side(other).relation == "target")
    story.until(lambda: not story.side(other).past.whole)
    story.until(lambda: story.side(other).relation == story.side(active).relation == "equal")

    assert story.servers[other].disk.cells[2 * CELLS_IN_GRAIN] >= 0
    story.until(lambda: not story.side(active).past.ahead)


def test_repair_goes_on_after_a_crash_of_the_side_that_gives():
    story = Story()
    active, other = story.active, story.other
    spoil(story)
    story.servers[active].tell(lambda side: side.repair([2]))
    story.until(lambda: story.side(active).past.ahead)

    story.servers[active].crash(power=False)
    story.application.leaves(active)
    story.servers[active].start()
    story.cluster.process_back(active)
    story.until(lambda: story.side(other).relation == story.side(active).relation == "equal")

    assert story.servers[other].disk.cells[2 * CELLS_IN_GRAIN] >= 0


def test_who_follows_after_a_repair_is_not_said_to_lack_anything():
    story = Story()
    active, other = story.active, story.other
    spoil(story)
    story.servers[active].tell(lambda side: side.repair([2]))
    story.until(lambda: story.side(other).may_lack)
    story.until(lambda: story.side(other).relation == "equal" and not story.side(other).may_lack)

    story.lose(active)
    story.until(lambda: story.active == other)

    assert not story.counts.get("took over")
