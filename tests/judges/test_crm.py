"""Random clusters: crm_simulate and our engine, playing in simulated time, put every group on the same server."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.judges import crm

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not shutil.which(crm.PROGRAM), reason="crm_simulate is missing: apt-get install pacemaker-cli-utils"
    ),
]
_CHUNK = 25


@pytest.mark.parametrize("first", range(0, 200, _CHUNK))
def test_crm_simulate_places_groups_as_we_do(first: int, tmp_path: Path):
    differing = {}
    for seed in range(first, first + _CHUNK):
        asked = crm.question(seed)
        ours, theirs = crm.ours(asked).places, crm.theirs(asked, tmp_path).places
        assert crm.wrong(asked, ours) == [], f"seed {seed}"
        if ours != theirs and not any(group.exclusive for group in asked.cluster.groups):
            differing[seed] = (ours, theirs)
    assert differing == {}


def test_questions_are_worth_asking(tmp_path: Path):
    """Groups move, start and stay down, by failback and without it; else agreement would mean little."""
    moved = started = down = stayed_away = 0
    for seed in range(_CHUNK):
        asked = crm.question(seed)
        places = crm.theirs(asked, tmp_path).places
        for group in asked.cluster.groups:
            before, after = "".join(asked.items[group.resources[0]].on), places[group.name]
            moved += bool(before and after and before != after)
            started += bool(after and not before)
            down += not after
            stayed_away += bool(after and after == before != group.policy[0])
    assert min(moved, started, down, stayed_away) >= 5
