"""Two processes that recorded one cluster for a moment: what is told of it, as one past."""

from __future__ import annotations

from typing import Any

import pytest

from agent.wire.status import apply
from tests.webmanager.recorded import EMPTY, LONG_AGO
from webmanager.history import tape

slow = pytest.mark.slow


def monitors(number: int) -> dict[str, Any]:
    return {"m": {"name": "m", "status": str(number)}} if number else {}


@pytest.fixture
def write(environment, cluster):
    """write(began, ended, first number, (at, number)...): a tape of a monitor whose status is a number."""
    from webmanager.history.models import Tape
    from webmanager.models import Cluster

    row = Cluster.objects.create(name=cluster)

    def write(began: float, ended: float, first: int, *steps: tuple[float, int]) -> Any:
        made = tape.Recorder(LONG_AGO + began, {**EMPTY, "monitors": monitors(first)}, {})
        for at, number in steps:
            made.add(LONG_AGO + at, [["monitors", "m", monitors(number)["m"]]], None, [f"e{number}"])
        values = {"writer": f"w{began}", "closed": True, "data": made.cut()}
        Tape.objects.create(cluster=row, began=LONG_AGO + began, ended=LONG_AGO + ended, **values)
        return row

    return write


@slow
def test_two_writers_for_a_moment_tell_each_change_once(write):
    from webmanager.history import answers

    write(0, 60, 0, (10, 1), (50, 2), (55, 3), (58, 4))
    row = write(52, 99, 2, (55.1, 3), (58.1, 4), (90, 5))

    page = answers.changes(cluster=row, after=LONG_AGO, until=LONG_AGO + 99, limit=100)

    assert [key for step in page["changes"] for key in step["events"]] == ["e1", "e2", "e3", "e4", "e5"]
    assert page["gaps"] == []
    for at, number in ((49, 1), (51, 2), (54, 2), (56, 3), (59, 4), (95, 5)):
        assert status_at(row, at) == str(number)


def status_at(row: Any, at: float) -> str:
    from webmanager.history import answers

    found = answers.state(cluster=row, at=LONG_AGO + at)
    assert found is not None
    return found["status"]["monitors"]["m"]["status"]


@slow
@pytest.mark.parametrize("limit", [1, 2, 100])
def test_what_only_the_writer_that_goes_on_has_is_told_when_the_later_one_has_ended(write, limit):
    """The later one did not hear of 3 in its short life."""
    from webmanager.history import answers

    write(0, 99, 0, (10, 1), (54, 2), (57, 3), (70, 4))
    row = write(52, 60, 1, (54.1, 2))

    steps, then, after = [], {**EMPTY, "monitors": {}}, LONG_AGO
    for _ in range(9):
        page = answers.changes(cluster=row, after=after, until=LONG_AGO + 99, limit=limit)
        assert page["gaps"] == []
        steps += page["changes"]
        after = page["until"]
        if not page["more"]:
            break
    assert [key for step in steps for key in step["events"]] == ["e1", "e2", "e3", "e4"]
    for step in steps:
        then = apply(then, step["changes"])
        assert then["monitors"]["m"]["status"] == status_at(row, step["at"] - LONG_AGO)
    assert then["monitors"] == monitors(4)
    assert [status_at(row, at) for at in (56, 59, 61, 80)] == ["2", "2", "3", "4"]
    (line,) = [answers.line(cluster=row, begin=LONG_AGO + 55, end=LONG_AGO + 99)]
    assert line["gaps"] == []
