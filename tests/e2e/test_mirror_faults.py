"""A mirror disk in the bed under faults: its connects, its processes, its servers. No acknowledged record is lost."""

from __future__ import annotations

import contextlib
import os

import pytest

from tests.e2e.mirror import NAME, MirrorStage, mirror
from tests.e2e.mirror_rounds import Rounds
from webmanager.demo.machine import BedError

__all__ = ["mirror"]
pytestmark = [pytest.mark.root, pytest.mark.slow]

ROUNDS = int(os.environ.get("OPENCLP_MIRROR_ROUNDS", "20"))
SEED = int(os.environ.get("OPENCLP_MIRROR_SEED", "1"))


@pytest.mark.timeout(180)
def test_the_second_mirror_connect_takes_over_and_nothing_is_lost(mirror: MirrorStage):
    mirror.writes("server1")
    mirror.faults.pull(mirror.bed.lans[0], "server1")
    mirror.says("server1", "mdc2", f"{NAME}.log")
    mirror.equal()
    mirror.writes("server1")
    mirror.kept("server1")
    mirror.says("server1", "is in use now, in place of Mirror connect mdc1", f"{NAME}.log")


@pytest.mark.long
@pytest.mark.timeout(120 + 90 * ROUNDS)
def test_rounds_of_faults_lose_no_acknowledged_record(mirror: MirrorStage):
    """Many more, on ext4 and xfs, with fio and fsck: `bin/bench mirrorfaults`."""
    rounds = Rounds(mirror, SEED)
    try:
        for _ in range(ROUNDS):
            rounds.play()
    except BaseException:
        print(f"seed {SEED}: {rounds.story}")
        with contextlib.suppress(BedError):
            print(mirror.status()["groups"], mirror.status()["mirrors"])
        raise
