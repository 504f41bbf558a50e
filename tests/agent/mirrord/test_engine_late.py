"""What a mirror process was told lay in its socket for too long, because the process was held up."""

from __future__ import annotations

import time

import pytest

from agent.mirrord.orders import Activate, Outdated, View
from tests.agent.mirrord.test_engine import done


def test_word_that_waited_too_long_lets_nobody_go_on_alone(pair):
    """The process was held up while it lay in its socket: another side may have become the truth."""
    pair.build()
    request = pair.stalled_write()
    generation, now = pair.a.told("ask_outdated")[-1]["generation"], time.clock_gettime(time.CLOCK_BOOTTIME)

    pair.a.order(View((pair.epoch, 0), (1, 0), until=now - 0.01))
    pair.a.order(Outdated(generation, until=now - 0.01))
    asked = len(pair.a.told("ask_outdated"))
    pair.until(lambda: len(pair.a.told("ask_outdated")) > asked)
    assert (pair.a.engine.state()["mode"], request.answered) == ("stalled", False)

    pair.a.order(Outdated(generation, until=now + 60))
    pair.until(done(request))
    assert pair.a.engine.state()["mode"] == "alone"


@pytest.mark.parametrize("how", [{"alone": True}, {"force": True}])
def test_order_that_waited_too_long_is_refused(pair, how):
    pair.build()
    pair.wire.cut = True
    pair.wire.drop("cut")
    generation = pair.b.side.past.current

    pair.b.order(Activate("a", (pair.epoch + 1, 0), (1, 0), until=1.0, **how))

    (refusal,) = pair.b.told("refused")
    assert refusal["why"] == "This process was held up, and what it was told of a is too old to be acted on."
    assert (pair.b.side.past.current, pair.b.side.active) == (generation, False)
