"""Random faults, failing and slow fence devices among them: without any majority, fencing alone keeps groups single."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from agent.clpconf.model import Cluster
from agent.engine.fencing import Fencing
from agent.engine.membership import Membership
from agent.sim.fence import with_fences
from agent.sim.fuzz import fuzz
from agent.sim.standard import DEFAULTS, standard

FAULTS_S = 30.0
SEEDS = 25
CHUNK = 25

pytestmark = pytest.mark.slow


def alone(servers: int) -> Cluster:
    return with_fences(standard(servers, safe=False))


@pytest.mark.parametrize("first", range(3000, 3000 + SEEDS, CHUNK))
@pytest.mark.parametrize("servers", [2, 3])
def test_fencing_alone_keeps_every_promise(servers: int, first: int) -> None:
    broken = [v for s in range(first, first + CHUNK) for v in fuzz(alone(servers), s, DEFAULTS, FAULTS_S).violations]

    assert broken == []


@pytest.mark.parametrize("self_fencing", [True, False], ids=["watchdog", "no watchdog"])
def test_fencing_beside_a_majority_keeps_every_promise(self_fencing: bool) -> None:
    cluster = replace(with_fences(standard(3, safe=True)), self_fencing=self_fencing)

    broken = [v for s in range(3000, 3000 + CHUNK) for v in fuzz(cluster, s, DEFAULTS, FAULTS_S).violations]

    assert broken == []


def _always(self: Fencing, server: str) -> bool:
    return True


def _by_timeout(self: Membership, server: str) -> bool:
    return self.peers[server].lost


@pytest.mark.parametrize(
    ("owner", "rule", "broken"),
    [
        pytest.param(Fencing, "confirmed", _always, id="a shot counts before it is confirmed"),
        pytest.param(Membership, "gone", _by_timeout, id="a lost server is replaced without a shot"),
    ],
)
def test_fuzzer_finds_a_broken_rule(
    monkeypatch: pytest.MonkeyPatch, owner: type, rule: str, broken: Callable[..., Any]
) -> None:
    monkeypatch.setattr(owner, rule, broken)

    found = next((seed for seed in range(300) if fuzz(alone(2), seed, DEFAULTS, FAULTS_S).violations), None)

    assert found is not None
