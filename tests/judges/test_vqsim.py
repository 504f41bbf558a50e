"""Random splits and losses: a side is quorate by corosync's own code exactly when it has our majority."""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random

import pytest

from agent.engine.quorum import has_quorum
from tests.judges import vqsim

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not shutil.which(vqsim.PROGRAM), reason="corosync-vqsim is missing: apt-get install corosync-vqsim"
    ),
]


def majority(count: int, part: frozenset[int]) -> bool:
    voters = [f"server{number}" for number in range(1, count + 1)]
    return has_quorum(voters, {f"server{number}" for number in part})


@pytest.mark.parametrize("count", range(2, 10))
def test_corosync_gives_quorum_to_the_sides_that_we_do(count: int, tmp_path: Path):
    random = Random(f"splits of {count}")
    with vqsim.Vqsim(count, tmp_path) as cluster:
        for _ in range(40):
            parts = vqsim.random_parts(random, count)
            expected = {server: majority(count, part) for part in parts for server in part}
            assert cluster.quorate(parts, expected) == expected, parts


def test_the_judge_contradicts_a_wrong_rule(tmp_path: Path):
    parts = [frozenset({1, 2}), frozenset({3, 4})]
    with vqsim.Vqsim(4, tmp_path) as cluster:
        half_is_enough = dict.fromkeys(range(1, 5), True)
        assert cluster.quorate(parts, half_is_enough) == dict.fromkeys(range(1, 5), False)
