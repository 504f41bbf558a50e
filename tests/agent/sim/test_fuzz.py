"""Random faults keep every promise; what once did not, still does; and a broken rule is found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.engine.engine import Engine
from agent.engine.membership import Membership
from agent.sim.fuzz import Fuzzer, fuzz
from agent.sim.standard import DEFAULTS, standard

SEEDS_FILE = Path(__file__).parents[2] / "scenarios" / "seeds.txt"
FAULTS_S = 30.0
SEEDS = 150
CHUNK = 25

pytestmark = pytest.mark.slow


def known_seeds() -> list[tuple[int, bool, int]]:
    rows = [line.split() for line in SEEDS_FILE.read_text().splitlines() if not line.startswith("#")]
    return [(int(row[0]), row[1] == "safe", int(seed)) for row in rows for seed in row[2:]]


@pytest.mark.parametrize("first", range(1000, 1000 + SEEDS, CHUNK))
@pytest.mark.parametrize("safe", [True, False], ids=["safe", "unsafe"])
@pytest.mark.parametrize("servers", [3, 5])
def test_random_faults_break_no_promise(servers: int, safe: bool, first: int) -> None:
    cluster = standard(servers, safe=safe)

    broken = [v for seed in range(first, first + CHUNK) for v in fuzz(cluster, seed, DEFAULTS, FAULTS_S).violations]

    assert broken == []


@pytest.mark.parametrize(("servers", "safe", "seed"), known_seeds())
def test_seed_that_once_failed_is_clean_and_replays_identically(servers: int, safe: bool, seed: int) -> None:
    cluster = standard(servers, safe=safe)

    once, again = (fuzz(cluster, seed, DEFAULTS, FAULTS_S) for _ in range(2))

    assert once.violations == []
    assert once.lines == again.lines
    assert once.digest == again.digest


def test_feeding_the_events_of_a_random_run_to_new_engines_gives_the_same_state() -> None:
    fuzzer = Fuzzer(standard(3, safe=True), 11, DEFAULTS)
    fuzzer.world.record = True
    for machine in fuzzer.world.machines.values():  # The first life began before anybody recorded.
        fuzzer.world.crash(machine.name)
        fuzzer.world.power_on(machine.name)
    fuzzer.play(FAULTS_S)

    for machine in fuzzer.world.machines.values():
        engine = Engine(fuzzer.cluster, machine.name, machine.incarnation, machine.saved, DEFAULTS)
        for event, now in machine.records:
            engine.handle(event, now)
        assert engine.notes == machine.engine.notes
        assert engine.report == machine.engine.report


def _always(self: Engine, sender: str, epoch: Any) -> bool:
    return True


def _obey_without_lease(self: Engine, order: Any) -> None:
    self.groups.obey(order)


def _taken_for_stopped(self: Membership, server: str) -> bool:
    return True


@pytest.mark.parametrize(
    ("owner", "rule", "broken"),
    [
        pytest.param(Engine, "_binding", _always, id="an order of an old epoch is obeyed"),
        pytest.param(Engine, "_obey", _obey_without_lease, id="a group starts without a lease"),
        pytest.param(Membership, "gone", _taken_for_stopped, id="a lost server is taken for stopped"),
    ],
)
def test_fuzzer_finds_a_broken_rule(
    monkeypatch: pytest.MonkeyPatch, owner: type, rule: str, broken: Callable[..., Any]
) -> None:
    monkeypatch.setattr(owner, rule, broken)
    cluster = standard(3, safe=True)

    found = next((seed for seed in range(50, 350) if fuzz(cluster, seed, DEFAULTS, FAULTS_S).violations), None)

    assert found is not None
