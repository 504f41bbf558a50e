"""Notes of servers whose clocks disagree, in the order in which things happened."""

from __future__ import annotations

from agent.wire.order import placed
from agent.wire.report import Note

HOUR = 3600.0


def note(key: str, time: float, *causes: str, server: str = "server1") -> Note:
    return Note(id=key, time=time, server=server, module="rc", event=10, severity="info", kind="group", name="g",
                text=key, causes=causes)  # fmt: skip


def order(at: dict[str, float]) -> list[str]:
    return sorted(at, key=lambda name: at[name])


def test_lead_of_a_clock_is_taken_off():
    at = placed([note("a", 10), note("b", HOUR + 11, server="server2"), note("c", 12)], {"server2": HOUR})

    assert order(at) == ["a", "b", "c"]
    assert at["b"] == 11


def test_clocks_that_agree_are_left_as_they_are():
    assert placed([note("a", 10.25), note("b", 10.5)], {"server1": 0.0}) == {"a": 10.25, "b": 10.5}


def test_effect_never_stands_before_its_cause_although_no_clock_was_measured():
    at = placed([note("effect", 10, "cause"), note("cause", HOUR, server="server2"), note("later", 11, "effect")], {})

    assert order(at) == ["cause", "effect", "later"]


def test_effect_follows_a_cause_that_came_before():
    assert placed([note("effect", 5, "cause")], {}, known={"cause": 7.0})["effect"] > 7.0


def test_cause_that_comes_late_goes_before_the_effect_that_stands_already():
    assert placed([note("cause", HOUR, server="server2")], {}, effects={"cause": 10.0})["cause"] < 10.0


def test_what_was_placed_before_stays():
    assert placed([note("a", 10)], {}, known={"a": 3.0}) == {}


def test_circle_of_causes_ends():
    assert set(placed([note("a", 1, "b"), note("b", 2, "a")], {})) == {"a", "b"}
