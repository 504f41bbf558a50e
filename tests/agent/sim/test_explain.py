"""Causes are followed to their roots, each once, also where they meet again."""

from __future__ import annotations

from typing import Any

from agent.sim.explain import causes, explain, roots
from agent.wire.report import Note


def note(name: str, *because: str, event: int = 11, module: str = "rc") -> Note:
    fields: dict[str, Any] = {"time": 1.0, "server": "server1", "severity": "info", "kind": "group", "name": "g"}
    return Note(id=name, module=module, event=event, text=f"text of {name}", causes=because, **fields)


def by_id(*notes: Note) -> dict[str, Note]:
    return {each.id: each for each in notes}


def test_causes_come_nearest_first_with_their_depth() -> None:
    notes = by_id(note("a"), note("b", "a"), note("c", "b"))

    assert [(depth, each.id) for depth, each in causes(notes, notes["c"])] == [(1, "b"), (2, "a")]


def test_cause_reached_twice_is_named_once() -> None:
    notes = by_id(note("a"), note("b", "a"), note("c", "a"), note("d", "b", "c"))

    assert [each.id for _, each in causes(notes, notes["d"])] == ["b", "a", "c"]
    assert [each.id for each in roots(notes, notes["d"])] == ["a"]


def test_circle_and_unknown_cause_end_the_search() -> None:
    notes = by_id(note("a", "b", "gone"), note("b", "a"))

    assert [each.id for _, each in causes(notes, notes["a"])] == ["b"]


def test_decision_is_explained_once() -> None:
    notes = by_id(note("down", module="nm", event=2), note("over", "down", event=60), note("again", "over", event=60))

    lines = list(explain(notes))

    assert [line.strip().split()[-1] for line in lines if "(see above)" not in line] == ["over", "down", "again"]
    assert lines[-1].endswith("text of over (see above)")
    assert sum("text of down" in line for line in lines) == 1
