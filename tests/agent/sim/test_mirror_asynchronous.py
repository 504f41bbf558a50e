"""The asynchronous mirror under seeds of faults, with failing disks; and what becomes of it when a rule is left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from agent.mirror import relation
from agent.mirror.copying import Copying
from agent.mirror.effects import TookOver
from agent.mirror.past import Hello, Meeting, meet
from agent.mirror.side import Order, Side
from agent.mirror.traffic import Queue, Traffic
from agent.sim.mirror import FAULTS, MirrorWorld

QUEUES = tuple(Queue(writes, 64 << 20) for writes in (3, 6, 40))
KINDS = (*FAULTS, "both", "disk", "differ")


def play(seed: int, steps: int = 1200, faults: float = 0.03, kinds: tuple[str, ...] = KINDS) -> MirrorWorld:
    world = MirrorWorld(seed, faults=faults, queue=QUEUES[seed % 3], kinds=kinds)
    world.run(steps)
    world.heal()
    return world


@pytest.mark.slow
@pytest.mark.parametrize("part", range(3))
def test_who_follows_has_a_state_of_the_other_one_and_a_move_loses_nothing(part: int) -> None:
    worlds = [play(1000 * part + seed, faults=(0.02, 0.05, 0.01)[part]) for seed in range(8)]

    assert sum(world.application.acks for world in worlds) > 100


@pytest.mark.slow
def test_the_seeds_meet_what_is_asynchronous_alone() -> None:
    worlds = [play(seed, faults=0.03, kinds=FAULTS) for seed in (5, 63)]

    assert all(sum(world.counts.get(what, 0) for world in worlds) for what in ("overrun", "took over", "thrown away"))


def _always_repairs(mine: Hello, theirs: Hello) -> Meeting:
    meeting = meet(mine, theirs)
    same = meeting.scope == "marked" and mine.past.current == theirs.past.current
    return msgspec.structs.replace(meeting, repair=True) if same else meeting


def _power_decides(mine: Hello, theirs: Hello) -> Meeting:
    return meet(
        *(msgspec.structs.replace(h, past=msgspec.structs.replace(h.past, ahead=False)) for h in (mine, theirs))
    )


def _follows_unflushed(side: Any, order: Order) -> None:
    side.order, side._beginning, side.may_lack = None, True, False
    side._do(TookOver())
    side._followed(order)


# Seeds begin where the first one notices.
LEFT_OUT: dict[str, tuple[int, Any, str, Callable[..., Any] | property]] = {
    "newer writes keep the bit of a grain that was sent": (111, Copying, "overtaken", lambda *_: None),
    "both meet while the other server is there": (52, Side, "awaited", property(lambda _: "")),
    "two versions of one generation are not repaired": (67, relation, "meet", _always_repairs),
    "who lost its power gives all the same": (67, relation, "meet", _power_decides),
    "who follows flushes before it serves": (6039, Side, "_follow", _follows_unflushed),
    "the queue has a bound": (0, Traffic, "_full", lambda *_: False),
}


@pytest.mark.slow
@pytest.mark.parametrize("rule", LEFT_OUT)
def test_the_seeds_notice_when_a_rule_is_left_out(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first, owner, name, instead = LEFT_OUT[rule]
    monkeypatch.setattr(owner, name, instead)

    for seed in range(first, first + 20):
        try:
            play(seed, 900, kinds=FAULTS)
        except AssertionError:
            return
    pytest.fail(f"20 seeds without the rule that {rule}, and nothing was noticed")
