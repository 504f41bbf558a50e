"""An asynchronous mirror in the bed: what a move keeps, what a power cut may cost, and that both are told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.mirror import MirrorStage, mirror_stage
from tests.e2e.stage import GROUP
from webmanager.demo.configuration import Mirror
from webmanager.demo.machine import until

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture
def mirror() -> Iterator[MirrorStage]:
    shape = Mirror(more="<mddriver><syncmode>0</syncmode></mddriver>")
    with mirror_stage(shape) as stage:
        yield stage


@pytest.mark.long
def test_move_loses_nothing_and_a_power_cut_leaves_a_state_that_the_service_once_had(mirror: MirrorStage):
    mirror.writes("server1")
    assert mirror.side("server1")["asynchronous"]

    mirror.cluster.run("server1", "clpgrp", "-m", GROUP, "-a", "server2")
    mirror.active("server2")
    mirror.writes("server2")
    mirror.kept("server2")

    until(lambda: mirror.side("server1").get("complete_at"), "server1 knows up to when it has everything", 10.0, 0.1)
    mirror.cluster.crash("server2")
    mirror.active("server1")
    mirror.writes("server1")
    mirror.says("server1", "may be missing")
    assert mirror.side("server1")["lacks_at"]
    found = mirror.ledger("server1")
    assert found == list(range(1, len(found) + 1))

    mirror.cluster.recover("server2")
    mirror.equal()
    mirror.says("server2", "are given up")
    mirror.writes("server1")
    assert [mirror.side(server)["color"] for server in mirror.bed.servers] == ["GREEN", "GREEN"]
    until(lambda: not mirror.side("server1")["lacks_at"], "nothing is missing any more", 10.0, 0.1)
