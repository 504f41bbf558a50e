"""clpd's care for the arbiter child: another configuration replaces it only where its settings differ."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.daemon.arbiter_keeper import ArbiterKeeper
from agent.daemon.cluster_facts import Facts
from agent.daemon.paths import Paths
from tests.agent.waiting import PATIENCE_S

FACTS = Facts(
    "server1", "c", ["server1", "server2"], ["lanhb1"], {"server1": {}, "server2": {}}, "", 0.1, 1.0, 3.0,
    majority=True, fence="none", arbiters=[{"name": "httpnp1"}], witness_secret="",
)  # fmt: skip


class Kept:
    def __init__(self, home: Path) -> None:
        self.said: list[tuple[str, str]] = []
        places = Paths(*(str(home / name) for name in ("etc", "state", "run", "log")))
        self.keeper = ArbiterKeeper(places, FACTS, 1, "", {}, lambda *words: self.said.append(words))
        self.child = subprocess.Popen(["sleep", "300"], start_new_session=True)
        self.keeper.pid = self.child.pid


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    made = Kept(tmp_path)
    yield made
    made.child.kill()
    made.child.wait(PATIENCE_S)


def test_a_change_that_is_not_its_own_leaves_the_child_alone(kept: Kept) -> None:
    kept.keeper.renew(FACTS._replace(fence="report", grace_s=9.0))

    assert kept.child.poll() is None


@pytest.mark.parametrize("facts", [FACTS._replace(timeout_s=2.0), FACTS._replace(arbiters=[])])
def test_other_settings_end_it_without_an_error(kept: Kept, facts: Facts) -> None:
    kept.keeper.renew(facts)
    kept.child.wait(PATIENCE_S)
    kept.keeper.ended(9, 0.0)

    assert (kept.keeper.pid, kept.said) == (0, [])


def test_its_own_death_is_still_an_error(kept: Kept) -> None:
    kept.keeper.ended(9, 0.0)

    assert kept.said == [("error", "The arbiter child was killed by SIGKILL; it is started anew.")]
