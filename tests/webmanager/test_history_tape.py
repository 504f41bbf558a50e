"""What is written on a tape of recorded states is read again, whole, cut off or damaged."""

from __future__ import annotations

import itertools
import random
from typing import Any

import msgspec
import pytest

from agent.wire.status import apply
from tests.browser.cluster import MadeUp
from tests.webmanager.recorded import EMPTY
from webmanager.history import tape
from webmanager.history.patches import difference, patched


def plain(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


# Patches.


@pytest.mark.parametrize(
    ("old", "new", "loud"),
    [
        ({"a": 1}, {"a": 1}, False),
        ({"a": 1}, {"a": 2}, True),
        ({"a": {"b": 1, "c": [1]}}, {"a": {"b": 1, "c": [2]}}, True),
        ({"a": 1, "b": 2}, {"b": 2}, True),
        ({"a": None}, {"a": {"b": {}}}, True),
        ({"a": {"b": 1}}, {"a": None}, True),
        (None, {"a": 1}, True),
        ({}, {"a": None}, True),
        ({"s": {"elapsed_ms": 1.0, "status": "Normal"}}, {"s": {"elapsed_ms": 2.0, "status": "Normal"}}, False),
        ({"s": {"elapsed_ms": 1.0, "status": "Normal"}}, {"s": {"elapsed_ms": 2.0, "status": "Error"}}, True),
        ({"gaps": None}, {}, False),
        ({"hears": {"b": {"p50_ms": 1}}}, {"hears": {"b": {"p50_ms": 2}}}, False),
    ],
)
def test_difference_leads_from_the_old_to_the_new(old: Any, new: Any, loud: bool) -> None:
    kept = plain(old)

    operations, aloud = difference(old, new)

    assert patched(old, plain(operations)) == new
    assert (aloud, old) == (loud, kept)
    assert bool(operations) == (old != new)


def test_a_field_that_was_added_with_nothing_in_it_is_there() -> None:
    operations, _ = difference({}, {"a": None})
    assert patched({}, operations) == {"a": None}


def test_difference_of_random_objects_leads_from_one_to_the_other() -> None:
    pick = random.Random(7)

    def thing(depth: int) -> Any:
        if depth == 0 or pick.random() < 0.3:
            return pick.choice([None, 1, "x", [1, 2], True])
        return {key: thing(depth - 1) for key in "abcgaps"[: pick.randrange(7)]}

    for _ in range(500):
        old, new = {"o": thing(3)}, {"o": thing(3)}
        assert patched(old, difference(old, new)[0]) == new


def test_operations_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="no object"):
        patched({"a": 1}, [[["a", "b"], 2]])


# Tapes.


def played(cluster: MadeUp, steps: int = 40) -> tuple[tape.Recorder, list[bytes], list[tuple[float, Any]]]:
    """A tape of what happens to a cluster; its pieces, and the true status at each time."""
    from agent.wire.status import diff

    pick = random.Random(3)
    status = cluster.status()
    made = tape.Recorder(100.0, status, {"server1": True})
    pieces, truth = [made.cut()], [(100.0, status)]
    for number in range(steps):
        what = pick.randrange(5)
        if what == 0:
            cluster.move("failover1", pick.choice(cluster.names))
        elif what == 1:
            cluster.cut ^= {("lanhb1", pick.choice(cluster.names))}
        elif what == 2:
            cluster.down ^= {"server3"}
        elif what == 3:
            cluster.nowhere("failover2")
        else:
            cluster.put("failover2", "server2")
        fresh = cluster.status()
        made.add(101.0 + number, diff(status, fresh), None, (f"e{number}",))
        status = fresh
        truth.append((101.0 + number, fresh))
        if pick.random() < 0.3:
            pieces.append(made.cut())
    pieces.append(made.cut())
    return made, pieces, truth


def test_what_is_read_of_a_tape_is_what_was_written() -> None:
    _, pieces, truth = played(MadeUp())

    read = {frame.at: frame for frame in tape.read(pieces)}

    for at, status in truth:
        assert read[at].status == plain(status)
    frames = list(tape.read(pieces))
    for one, other in itertools.pairwise(frames):
        assert apply(one.status, other.changes) == other.status
    assert [frame.events for frame in frames[1:]] == [[f"e{n}"] for n in range(40)]


def test_a_tape_that_was_cut_off_anywhere_is_read_as_far_as_it_goes() -> None:
    _, pieces, truth = played(MadeUp())
    data = b"".join(pieces)
    for length in range(0, len(data), 97):
        frames = list(tape.read([data[:length]]))
        assert [frame.at for frame in frames] == [at for at, _ in truth][: len(frames)]


def test_a_tape_that_was_damaged_says_so() -> None:
    _, pieces, _ = played(MadeUp())
    data = bytearray(b"".join(pieces))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(tape.TapeError):
        list(tape.read([bytes(data)]))


def test_a_tape_that_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _, pieces, _ = played(MadeUp())
    monkeypatch.setattr(tape, "_RAW_MOST", 1000)
    with pytest.raises(tape.TapeError, match="more than"):
        list(tape.read(pieces))


def monitor(elapsed_ms: float, status: str = "Normal") -> list[Any]:
    return ["monitors", "m", {"name": "m", "servers": {"s": {"status": status, "elapsed_ms": elapsed_ms}}}]


def test_figures_alone_are_not_written_and_come_with_what_happens() -> None:
    made = tape.Recorder(0.0, EMPTY, {})
    for second in range(1, 60):
        made.add(float(second), [monitor(float(second))], None)
    made.add(60.5, [monitor(60.5, "Error")], None)
    made.add(61.0, [monitor(61.0, "Error")], None)
    frames = list(tape.read([made.cut()]))

    found = [(f.at, f.status["monitors"].get("m", {}).get("servers", {}).get("s")) for f in frames]

    assert found == [
        (0.0, None), (1.0, {"status": "Normal", "elapsed_ms": 1.0}), (60.5, {"status": "Error", "elapsed_ms": 60.5}),
    ]  # fmt: skip
    assert made.now[0]["monitors"]["m"] == monitor(61.0, "Error")[2]


def test_times_on_a_tape_grow_although_the_clock_does_not() -> None:
    made = tape.Recorder(50.0, EMPTY, {})
    for number in range(3):
        made.add(49.0, [monitor(1.0, str(number))], None)
    times = [frame.at for frame in tape.read([made.cut()])]
    assert times == sorted(set(times))
