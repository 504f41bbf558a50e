"""Random faults with every policy switched on: promises hold, groups come to rest, and a broken rule is found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agent.engine.exclusion import Exclusion
from agent.engine.group_order import GroupOrder
from agent.sim.fuzz import fuzz
from agent.sim.standard import DEFAULTS, standard

FAULTS_S = 30.0
CHUNK = 25

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("first", range(1, 26, CHUNK))
@pytest.mark.parametrize("safe", [True, False], ids=["safe", "unsafe"])
def test_random_faults_break_no_promise_with_all_policies(safe: bool, first: int) -> None:
    cluster = standard(3, safe=safe, policies=True)

    broken = [v for seed in range(first, first + CHUNK) for v in fuzz(cluster, seed, DEFAULTS, FAULTS_S).violations]

    assert broken == []


def test_same_seed_is_played_the_same() -> None:
    cluster = standard(3, safe=True, policies=True)

    once, again = (fuzz(cluster, 7, DEFAULTS, FAULTS_S) for _ in range(2))

    assert once.lines == again.lines


def _nobody(self: Exclusion, group: Any) -> dict[str, str]:
    return {}


def _never(self: GroupOrder, *_: Any) -> tuple[bool, str]:
    return False, ""


@pytest.mark.parametrize(
    ("rules", "broken", "words"),
    [
        pytest.param([(Exclusion, "closed"), (Exclusion, "rivals")], _nobody, "exclude each other", id="exclusion"),
        pytest.param([(GroupOrder, "may_start")], _never, "come to rest", id="what waits never starts"),
    ],
)
def test_fuzzer_finds_a_broken_policy(
    monkeypatch: pytest.MonkeyPatch, rules: list[tuple[type, str]], broken: Callable[..., Any], words: str
) -> None:
    for owner, rule in rules:
        monkeypatch.setattr(owner, rule, broken)
    cluster = standard(3, safe=True, policies=True)

    found = (v for seed in range(1, 100) for v in fuzz(cluster, seed, DEFAULTS, FAULTS_S).violations)

    assert any(words in violation for violation in found)
