"""A drill that runs is among what is wrong: who looks at three in the morning sees that it is meant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.cluster import MadeUp

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PROBLEMS = """async (status) => {
    const {problems} = await import("/static/js/problems.js");
    return problems({status, events: [], agents: {}});
}"""


def test_drill_is_said_with_its_end(look: Callable[..., Any]) -> None:
    page, status = look("/404", allow="404"), MadeUp().status()
    assert not [one for one in page.evaluate(PROBLEMS, status) if one["key"].startswith("drill/")]
    status["servers"]["server1"]["drill"] = {
        "id": "d1", "kind": "crash", "what": "crash of server1", "began": 1e9, "ends": 1e9 + 30,
        "by": "alice@192.0.2.7",
    }  # fmt: skip
    (found,) = [one for one in page.evaluate(PROBLEMS, status) if one["key"] == "drill/server1"]
    assert found["text"].startswith("Drill on server1: crash of server1, as alice@192.0.2.7 asked.")
    assert (found["look"], found["since"]) == ("busy", 1e9)
    assert "the page Drills ends it at once" in found["next"]
