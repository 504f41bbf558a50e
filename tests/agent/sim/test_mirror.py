"""The mirror under seeds of crashes, kills, pauses, cuts and moves; and what becomes of it when a rule is left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agent.mirror.activity import ActivityLog
from agent.mirror.copying import Copying
from agent.mirror.past import Past
from agent.mirror.side import Side
from agent.mirror.writing import Writing
from agent.sim.mirror import FAULTS, MirrorWorld, ViolationError
from agent.sim.mirrorcluster import Cluster

STEPS = 1200


def play(seed: int, steps: int = STEPS, faults: float = 0.02, kinds: tuple[str, ...] = FAULTS) -> MirrorWorld:
    world = MirrorWorld(seed, faults=faults, kinds=kinds)
    world.run(steps)
    world.heal()
    return world


# Each was a violation once, of the rule beside it.
FOUND = {
    37: "a permit is for one activation",
    55: "the source flushes as well before a bit is cleared",
    66: "who lost its power takes from who did not",
    91: "who was left out of a view knows nothing",
    450: "an activation on its way is not closed by a meeting",
    1487: "a frame that is refused ends the connection",
    1673: "who was left out before it heard of any view knows nothing",
    2276: "who serves gives",
}


@pytest.mark.slow
@pytest.mark.parametrize("seed", FOUND)
def test_what_was_found_once(seed: int) -> None:
    play(seed)


FORCED = (*FAULTS, *("pause", "resume") * 2, *("force",) * 4)
OVERTAKEN = (125, 2154)  # a server that is held up has a word in its socket, and the other one is forced


@pytest.mark.slow
def test_who_was_held_up_begins_no_generation_by_old_words() -> None:
    """An operator forces the other side, which loses nothing: both come together again by themselves."""
    worlds = [play(seed, faults=0.04, kinds=FORCED) for seed in OVERTAKEN]

    assert all(world.counts["force"] for world in worlds)


@pytest.mark.slow
@pytest.mark.parametrize("seed", OVERTAKEN)
def test_the_seeds_notice_words_without_a_time(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cluster, "answers_for", lambda *_: True)

    with pytest.raises(ViolationError):
        play(seed, faults=0.04, kinds=FORCED)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_no_acknowledged_write_is_lost(part: int) -> None:
    faults = {0: 0.02, 1: 0.05, 2: 0.01, 3: 0.1}[part]
    worlds = [play(10_000 * part + seed, faults=faults) for seed in range(6)]

    assert sum(world.application.acks for world in worlds) > 50
    assert all(sum(world.counts[kind] for world in worlds) for kind in ("crash", "kill", "pause", "cut", "move"))


def test_same_seed_same_story() -> None:
    assert play(7, 300).log == play(7, 300).log


def _no_permit(side: Any) -> None:
    if side.mode == "stalled" and side.relation == "apart" and not side._then and not side._met:
        side._save(side._coming.alone(side._name(), side._coming.epoch))


# Seeds begin where the first one notices.
LEFT_OUT: dict[str, tuple[int, type, str, Callable[..., Any]]] = {
    "the permit before going on alone": (25, Side, "_seek_permit", _no_permit),
    "the refusal of doubtful data": (0, Side, "doubt", lambda _: ""),
    "the log before the write": (0, ActivityLog, "missing", lambda *_: []),
    "what a crash may have lost": (0, Writing, "uncertain", lambda _: iter(())),
    "the flush before a bit is cleared": (0, Copying, "flush_done", lambda self, n: [
        self.writing.dirty.discard(grain) for grain in self.asked.pop(n, ())]),
    "the new generation": (40, Past, "alone", lambda self, _name, _epoch: Past(
        **{field: getattr(self, field) for field in self.__struct_fields__} | {"peer": "behind"})),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("rule", LEFT_OUT)
def test_the_seeds_notice_when_a_rule_is_left_out(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first, owner, name, instead = LEFT_OUT[rule]
    monkeypatch.setattr(owner, name, instead)

    for seed in range(first, first + 80):
        try:
            play(seed, 700)
        except (AssertionError, KeyError):
            return
    pytest.fail(f"80 seeds without {rule}, and nothing was noticed")
