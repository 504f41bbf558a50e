"""Who has the newer data when two sides meet."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.mirror.past import KEPT, Hello, Past, meet
from agent.wire.epoch import Epoch

OPPOSITE = {"source": "target", "target": "source"}


def hello(server: str, *, active: bool = False, open: bool = False, intact: bool = False, **past: Any) -> Hello:
    return Hello(server=server, past=Past(**past), active=active, open=open, intact=intact)


def roles(a: Hello, b: Hello) -> tuple[str, str, str]:
    one, other = meet(a, b), meet(b, a)
    assert one.scope == other.scope
    return one.role, other.role, one.scope


def test_who_has_gone_on_alone_is_the_source_of_what_is_marked():
    a = hello("a", current="g2", history=("g1",), peer_at=("g1",), peer="behind")

    assert roles(a, hello("b", current="g1")) == ("source", "target", "marked")


def test_who_is_further_behind_than_the_marks_reach_gets_everything():
    a = hello("a", current="g3", history=("g2", "g1"), peer_at=("g2",), peer="behind")

    assert roles(a, hello("b", current="g1")) == ("source", "target", "all")
    assert roles(a, hello("b")) == ("source", "target", "all")


def test_without_a_full_copy_an_empty_side_counts_as_the_same():
    a = hello("a", current="g1", peer_at=("",), peer="behind")

    assert roles(a, hello("b")) == ("source", "target", "marked")


def test_both_have_gone_on():
    a = hello("a", current="g2", history=("g1",), peer="behind")
    b = hello("b", current="g3", history=("g1",), peer="behind")

    assert roles(a, b) == ("diverged", "diverged", "nothing")


def test_given_up_changes_are_copied_over_whole():
    a = hello("a", current="g2", history=("g1",), peer="behind")
    b = hello("b", current="g3", history=("g1",), peer="behind", discards=True)

    assert roles(a, b) == ("source", "target", "all")


def test_nothing_in_common():
    assert roles(hello("a", current="g1"), hello("b", current="g7")) == ("unrelated", "unrelated", "nothing")
    assert roles(hello("a"), hello("b")) == ("new", "new", "nothing")


def test_newer_disk_that_is_no_whole_copy_gives_nothing():
    a = hello("a", current="g2", history=("g1",), whole=False)

    assert roles(a, hello("b", current="g1")) == ("broken", "broken", "nothing")


def test_who_lost_its_power_takes_the_last_writes_from_who_did_not():
    a = hello("a", current="g1", open=True)

    assert roles(a, hello("b", current="g1", intact=True)) == ("target", "source", "marked")
    assert meet(a, hello("b", current="g1", intact=True)).repair
    assert roles(a, hello("b", current="g1")) == ("source", "target", "marked")


def test_who_serves_gives():
    a = hello("a", current="g1", active=True, open=True, intact=True)

    assert roles(a, hello("b", current="g1", intact=True)) == ("source", "target", "marked")


def test_outdated_without_a_newer_generation_was_a_false_alarm():
    a, b = hello("a", current="g1", outdated=True), hello("b", current="g1")

    assert meet(a, b).repair
    assert roles(hello("a", current="g1"), b) == ("equal", "equal", "nothing")


def test_older_activation_stands_down():
    a = hello("a", current="g1", active=True, epoch=Epoch(1, 0))

    assert meet(a, hello("b", current="g2", history=("g1",), active=True, epoch=Epoch(2, 0))).role == "stands down"
    assert meet(a, hello("b", current="g2", history=("g1",), epoch=Epoch(2, 0))).role == "stands down"


def test_going_alone_twice_is_one_generation():
    past = Past(current="g1", peer_at=("g1",)).alone("g2", Epoch(1, 0))

    assert (past.current, past.history, past.peer_at, past.peer) == ("g2", ("g1",), ("g1",), "behind")
    assert past.alone("g3", Epoch(2, 0)) == msgspec.structs.replace(past, epoch=Epoch(2, 0))


def test_history_is_bounded():
    past = Past(current="g0")
    for number in range(1, 3 * KEPT):
        past = msgspec.structs.replace(past.alone(f"g{number}", Epoch(number, 0)), peer="equal")

    assert (len(past.history), len(past.peer_at)) == (KEPT, KEPT)


GENERATIONS = st.sampled_from(["", "g1", "g2", "g3", "g4"])
PASTS = st.builds(
    Past, current=GENERATIONS, history=st.lists(GENERATIONS, max_size=3).map(tuple),
    peer_at=st.lists(GENERATIONS, max_size=2).map(tuple), peer=st.sampled_from(["equal", "behind"]),
    whole=st.booleans(), outdated=st.booleans(), active=st.booleans(), discards=st.booleans(),
    epoch=st.builds(Epoch, st.integers(0, 2), st.integers(0, 1)),
)  # fmt: skip


@pytest.mark.slow
@given(PASTS, PASTS, *(st.booleans() for _ in range(6)))
def test_both_sides_come_to_the_same(
    one: Past, other: Past, a: bool, b: bool, c: bool, d: bool, e: bool, f: bool
) -> None:
    mine = Hello(server="a", past=one, active=a, open=b, intact=c)
    theirs = Hello(server="b", past=other, active=d, open=e, intact=f)

    here, there = meet(mine, theirs), meet(theirs, mine)

    if "stands down" in (here.role, there.role):
        assert here.role != there.role
        return
    assert OPPOSITE.get(here.role, here.role) == there.role
    assert (here.scope, here.repair) == (there.scope, there.repair)
    if here.role == "source":
        assert one.whole
