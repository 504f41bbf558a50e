"""mdw and mdnw: what is an error, and what is worth a warning only."""

from __future__ import annotations

from typing import Any

import pytest

from agent.monitors.mdnw import TYPE as MDNW
from agent.monitors.mdw import TYPE as MDW
from agent.wire.mirror import MirrorState

VALUES = {"parameters/object": "md1"}
WELL = {"server": "server1", "peer": "server2", "constructed": True, "relation": "equal", "link": {"connected": True}}


class Mirrors:
    def __init__(self, state: MirrorState | None) -> None:
        self._state = state

    async def state(self, name: str) -> MirrorState | None:
        assert name == "md1"
        return self._state


@pytest.mark.parametrize(
    ("state", "ok", "warning", "words"),
    [
        ({}, True, False, ""),
        ({"error": "The disk fails."}, False, False, "The disk fails."),
        ({"relation": "foreign", "doubt": "Both have gone on."}, False, False, "Both have gone on."),
        ({"relation": "source", "to_copy": 4, "copied": 1}, True, True, "server1 copies what differs (25 % done)"),
        ({"relation": "target"}, True, True, "server2 copies what differs"),
        ({"relation": "apart", "mode": "alone"}, True, True, "nothing has a second copy"),
        ({"relation": "apart", "mode": "stalled"}, True, True, "writes wait"),
        ({"isolated": True, "relation": "apart"}, True, True, "kept apart by an operator"),
        ({"constructed": False}, True, True, "has no data yet"),
        ({"verify": {"differs": 7}}, True, True, "7 bytes that differ"),
    ],
)
async def test_mdw(make_ports: Any, state: dict[str, Any], ok: bool, warning: bool, words: str):
    ports = make_ports()
    ports.mirrors = Mirrors(MirrorState(**{**WELL, **state}))

    health = await MDW.check(VALUES, "", {}, ports)

    assert (health.ok, health.warning) == (ok, warning)
    assert words in health.detail


PATHS = [{"name": "mdc1", "state": "used"}, {"name": "mdc2", "state": "lost"}]


@pytest.mark.parametrize(
    ("link", "ok", "warning", "words"),
    [
        ({"connected": True, "paths": PATHS[:1]}, True, False, ""),
        ({"connected": True, "paths": PATHS}, True, True, "mirror connect mdc2"),
        ({"connected": False, "error": "No answer."}, False, False, "no mirror connect to server2 works: No answer"),
    ],
)
async def test_mdnw(make_ports: Any, link: dict[str, Any], ok: bool, warning: bool, words: str):
    ports = make_ports()
    ports.mirrors = Mirrors(MirrorState(**{**WELL, "link": link}))

    health = await MDNW.check(VALUES, "", {}, ports)

    assert (health.ok, health.warning) == (ok, warning)
    assert words in health.detail


@pytest.mark.parametrize("kind", [MDW, MDNW])
async def test_process_that_does_not_answer_is_an_error(make_ports: Any, kind: Any):
    ports = make_ports()
    ports.mirrors = Mirrors(None)

    health = await kind.check(VALUES, "", {}, ports)

    assert not health.ok
    assert "does not answer" in health.detail
