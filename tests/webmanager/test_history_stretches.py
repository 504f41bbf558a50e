"""Which tape tells which time where two recorded at once: no instant twice, none left out."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from webmanager.history.stretches import SILENT_S, stretches, telling


class Tape(NamedTuple):
    name: str
    began: float
    ended: float
    closed: bool = True


def told(tapes: list[Tape], after: float, until: float) -> list[tuple[str, float, float, bool]]:
    return [(one.tape.name, one.since, one.until, one.again) for one in stretches(tapes, after, until)]


def just_after(at: float) -> float:
    return math.nextafter(at, math.inf)


def test_one_after_the_other() -> None:
    tapes = [Tape("a", 0, 10), Tape("b", 10, 20), Tape("c", 30, 40)]
    assert told(tapes, 5, 50) == [("a", 5, 10, False), ("b", 10, 30, False), ("c", 30, 50, False)]


def test_older_one_that_outlives_tells_from_the_end_of_the_newer_one() -> None:
    tapes = [Tape("old", 0, 100), Tape("new", 10, 20), Tape("next", 100, 200)]
    assert told(tapes, 5, 150) == [
        ("old", 5, 10, False), ("new", 10, 20, False), ("old", just_after(20), 100, True), ("next", 100, 150, False),
    ]  # fmt: skip
    assert [telling(tapes, at).name for at in (9, 10, 20, 20.1)] == ["old", "new", "new", "old"]  # type: ignore[union-attr]


def test_a_page_that_ends_with_the_newer_one_joins_the_next_page() -> None:
    tapes = [Tape("old", 0, 100), Tape("new", 10, 20)]
    assert told(tapes, 20, 50) == [("new", 20, 20, False), ("old", just_after(20), 50, True)]
    assert told(tapes, just_after(20), 50) == [("old", just_after(20), 50, False)]


def test_open_tape_goes_on_unless_it_has_lost_its_writer() -> None:
    old = Tape("old", 0, 40, closed=False)
    assert told([old, Tape("new", 10, 36, closed=False)], 5, 50)[-1] == ("new", 10, 50, False)
    lost = Tape("new", 10, 40 - SILENT_S - 1, closed=False)
    assert told([old, lost], 5, 50)[-1] == ("old", just_after(lost.ended), 50, True)


def test_before_the_first_tape_there_is_nothing() -> None:
    assert told([Tape("a", 10, 20)], 0, 15) == [("a", 10, 15, False)]
    assert told([Tape("a", 10, 20)], 0, 9) == told([], 0, 9) == []
    assert telling([Tape("a", 10, 20)], 9) is None


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 40), st.booleans()), max_size=9),
    st.integers(-5, 80),
    st.integers(0, 80),
)
def test_stretches_follow_each_other_and_agree_with_the_state_at_each_time(rows, after, length) -> None:
    tapes = [Tape(str(n), began, began + took, closed) for n, (began, took, closed) in enumerate(sorted(rows))]
    until = after + length
    found = list(stretches(tapes, after, until))
    for one, following in itertools.pairwise(found):
        assert following.since == (just_after(one.until) if following.again else one.until)
    for one in found:
        assert one.since <= one.until <= until
        assert telling(tapes, one.since) == one.tape
        if one.until < until and not any(other.began == one.until for other in tapes):
            assert telling(tapes, one.until) == one.tape
    if found:
        assert found[-1].until == until
        begins = min((tape.began for tape in tapes if tape.began > after), default=math.inf)
        assert found[0].since == (after if telling(tapes, after) else begins)
