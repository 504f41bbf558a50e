"""The short way of writes and flushes says what the general step says, in whatever happens to the two sides."""

from __future__ import annotations

from collections import Counter

import pytest

from agent.mirror import effects as fx
from agent.mirror.effects import Effect
from agent.mirror.quick import GENERAL, Quick
from agent.mirror.side import Side
from agent.sim import mirrorserver
from agent.sim.mirror import MirrorWorld

SEEDS, STEPS = range(4), 700


class QuickSide(Side):
    """Goes the short way wherever it may, as the mirror process does."""

    used: Counter[str] = Counter()

    def __init__(self, *arguments, **more) -> None:
        super().__init__(*arguments, **more)
        self.quick = Quick(self)

    def _short(self, what: str, *effects: Effect) -> list[Effect]:
        self.used[what] += 1
        assert self._end() == [], "the general step finds something to do"
        return list(effects)

    def _acknowledged(self, what: str, seq: int) -> list[Effect]:
        return self._short(what, fx.Ack(seq)) if seq else self._short(what)

    def write(self, seq: int, offset: int, length: int) -> list[Effect]:
        if self.quick.write(seq, offset, length) is not None:
            return self._short("write", fx.SendWrite(seq), fx.Write(seq))
        return super().write(seq, offset, length)

    def flush(self, seq: int) -> list[Effect]:
        number = self.quick.flush(seq)
        if number == GENERAL:
            return super().flush(seq)
        return self._short("flush", fx.Send(fx.FlushAsked(number)), fx.Flush(number))

    def written(self, seq: int) -> list[Effect]:
        done = self.quick.written(seq, True)
        return super().written(seq) if done == GENERAL else self._acknowledged("written here", done)

    def flushed(self, number: int) -> list[Effect]:
        done = self.quick.flushed(number, here=True)
        return super().flushed(number) if done == GENERAL else self._acknowledged("flushed here", done)

    def heard(self, word: fx.Word) -> list[Effect]:
        done = GENERAL
        if isinstance(word, fx.Written):
            done = self.quick.written(word.seq, False)
        elif isinstance(word, fx.FlushDone):
            done = self.quick.flushed(word.number, here=False)
        return super().heard(word) if done == GENERAL else self._acknowledged("heard", done)


def story(seed: int) -> tuple[list[str], list[tuple[object, ...]]]:
    world = MirrorWorld(seed, faults=0.004)
    world.run(STEPS)
    world.heal()
    sides = [server.side for server in world.servers.values()]
    return world.log, [
        (side.past, sorted(side.writing.doubtful()), list(side.log.durable), side.writing.unconfirmed) for side in sides
    ]


@pytest.mark.slow
def test_short_way_and_general_step_tell_the_same_story(monkeypatch):
    monkeypatch.setattr(mirrorserver, "LOG_ROOM", 6)  # All extents: a log that always changes would hide the rest.
    general = [story(seed) for seed in SEEDS]
    QuickSide.used.clear()
    monkeypatch.setattr(mirrorserver, "Side", QuickSide)

    assert [story(seed) for seed in SEEDS] == general
    assert min(QuickSide.used[what] for what in ("write", "flush", "written here", "flushed here", "heard")) > 20
