"""One story at a time, without faults that nobody has asked for: what the operator does and what he is told."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agent.mirror.side import Order, Side
from agent.sim.mirror import MirrorWorld
from agent.wire.epoch import Epoch


class Story(MirrorWorld):
    """Both sides are equal, and one of them is active."""

    def __init__(self, seed: int = 1) -> None:
        super().__init__(seed, faults=0.0)
        self.heal()
        self.run(200)

    def side(self, name: str) -> Side:
        side = self.servers[name].side
        assert side is not None
        return side

    def until(self, condition: Callable[[], bool], limit: int = 5000) -> None:
        for _ in range(limit):
            if condition():
                return
            self.step()
        pytest.fail(self.state())

    @property
    def active(self) -> str:
        return self.application.on

    @property
    def other(self) -> str:
        return "b" if self.active == "a" else "a"

    def lose(self, name: str) -> None:
        self.servers[name].crash(power=True)
        self.cluster.died(name)


def test_active_side_goes_on_alone_and_the_other_one_gets_only_what_it_lacks():
    story = Story()
    active, other = story.active, story.other
    before = story.side(active).past.current
    story.lose(other)
    story.until(lambda: story.side(active).mode == "alone")
    assert story.side(active).past.current != before
    story.run(20)
    missing = story.side(active).writing.dirty.count
    assert 0 < missing < story.side(active).writing.dirty.size

    story.servers[other].start()
    story.until(lambda: story.side(active).relation == "source")
    copied = story.side(active).copying
    story.until(lambda: story.side(other).relation == "equal")

    assert 0 < copied.done_grains < story.side(active).writing.dirty.size


def test_outdated_side_refuses_and_says_why():
    story = Story()
    active, other = story.active, story.other
    story.lose(other)
    story.until(lambda: story.side(active).mode == "alone")
    story.lose(active)
    story.servers[other].start()

    assert "cannot know whether" in story.side(other).doubt()


def test_target_of_a_copy_refuses():
    story = Story()
    active, other = story.active, story.other
    story.lose(other)
    story.until(lambda: story.side(active).mode == "alone")
    story.run(30)
    story.servers[other].start()
    story.until(lambda: not story.side(other).past.whole)
    story.lose(active)

    assert "no whole copy" in story.side(other).doubt()


def test_force_loses_what_the_other_side_has_and_the_meeting_shows_it():
    story = Story()
    active, other = story.active, story.other
    story.lose(other)
    story.until(lambda: story.side(active).mode == "alone")
    story.run(30)
    story.lose(active)
    story.servers[other].start()
    world = story.servers[other]
    story.cluster.members = {other}
    story.cluster.rebooted.clear()
    story.cluster.holder = other
    story.application.on = ""
    story.application.acked = [0] * story.application.cells  # The operator has taken the loss.
    story.application.flushed = [0] * story.application.cells
    world.tell(lambda side: side.activate(Order(Epoch(99, 0), Epoch(99, 0), alone=True, force=True)))
    story.until(lambda: story.side(other).mode == "alone")
    story.servers[active].start()
    story.until(lambda: story.side(other).meeting is not None and story.side(active).meeting is not None)

    assert story.side(other).relation == "foreign"
    assert "Both servers have gone on" in story.side(active).doubt()

    # The operator gives the old one's changes up: it gets everything.
    story.servers[active].tell(lambda side: side.discard())
    story.until(lambda: story.side(active).relation == "equal")
    story.until(lambda: story.side(other).relation == "equal")


def test_write_of_an_older_activation_is_refused_and_ends_the_connection():
    story = Story()
    active, other = story.active, story.other
    side = story.side(other)
    assert side.takes(story.side(active).epoch)

    story.servers[other].tell(lambda side: side.outdate("gX", Epoch(50, 0)))

    assert not side.takes(story.side(active).epoch)
    assert not story.link_up


def test_move_in_good_order_leaves_nothing_to_copy():
    story = Story()
    active, other = story.active, story.other
    generation = story.side(active).past.current
    story.application.write = story.application.flush = lambda: None  # type: ignore[method-assign]
    story.until(lambda: story.side(active).traffic.idle)
    story.cluster.move()
    story.until(lambda: story.active == other)

    assert story.side(active).relation == "equal"
    assert story.side(other).past.current == generation
    assert (story.side(active).open, story.side(active).writing.dirty.count) == (False, 0)


def test_writes_wait_while_nobody_knows_whether_the_other_side_is_outdated():
    story = Story()
    active = story.active
    story.cluster.deliver = lambda: None  # type: ignore[method-assign]
    acks = story.application.acks
    story.drop_link()
    story.connect = lambda: None  # type: ignore[method-assign]
    story.run(400)

    assert story.side(active).mode == "stalled"
    waiting = story.application.acks
    story.run(300)
    assert story.application.acks == waiting
    assert acks <= waiting
