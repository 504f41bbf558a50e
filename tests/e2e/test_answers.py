"""What one agent measured of its monitors is known to the others, and a script reads it as one integer."""

from __future__ import annotations

import pytest

from tests.e2e.stage import Stage
from webmanager.demo.machine import until

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(180)]


def test_lengths_of_checks_travel_and_are_told(stage: Stage):
    name = next(monitor for monitor in stage.status()["monitors"] if monitor.startswith("pidw"))
    server = stage.status()["groups"]["failover1"]["current"]
    other = next(one for one in stage.bed.servers if one != server)

    def known() -> bool:
        there = stage.cluster.status(other)["monitors"][name]["servers"][server]
        return bool(there["responses"] and there["responses"]["count"])

    until(known, f"what {server} measured of {name} on {other}", 60, 0.2)
    assert int(stage.cluster.run(server, "clpperfc", "-m", name)) >= 1
