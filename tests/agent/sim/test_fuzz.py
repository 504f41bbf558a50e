"""Random faults keep every promise; what once did not, still does; and a broken rule is found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.catalog import specs
from agent.clpconf.load import load
from agent.clpconf.model import Cluster
from agent.engine import detector
from agent.engine.coordinator import Coordinator
from agent.engine.engine import Engine
from agent.engine.membership import Membership
from agent.sim import fuzz as fuzzing
from agent.sim.fuzz import Fuzzer, fuzz, minimise
from agent.sim.standard import DEFAULTS, standard
from agent.sim.world import Defaults
from webmanager.demo.configuration import GroupPlan, Plan, clp_conf

SEEDS_FILE = Path(__file__).parents[2] / "scenarios" / "seeds.txt"
FAULTS_S = 30.0
SEEDS = 50
CHUNK = 25

pytestmark = pytest.mark.slow


def known_seeds() -> list[tuple[int, str, int]]:
    rows = [line.split() for line in SEEDS_FILE.read_text().splitlines() if not line.startswith("#")]
    return [(int(row[0]), row[1], int(seed)) for row in rows for seed in row[2:]]


def known_cluster(servers: int, settings: str) -> tuple[Cluster, Defaults, float]:
    """With the types' dependencies, and for how long faults come."""
    if settings == "demo":  # As a user writes it: a witness, and a watchdog behind the lease.
        addresses = {f"server{n}": (f"10.29.1.{n}", f"10.29.2.{n}", f"10.29.3.{n}") for n in range(1, servers + 1)}
        names = tuple(addresses)
        groups = tuple(
            GroupPlan(f"failover{n}", f"10.29.3.{100 + n}", names[n - 1 :] + names[: n - 1], 8080 + n) for n in (1, 2)
        )
        plan = Plan(addresses, groups, resolvers=("witness",), witness="10.29.3.9", self_fencing=True)
        cluster = load(clp_conf(plan), specs()).cluster
        assert cluster is not None
        return cluster, {name: spec.depends_on for name, spec in specs().items()}, fuzzing.FAULTS_S
    return standard(servers, safe=settings == "safe"), DEFAULTS, FAULTS_S


@pytest.mark.parametrize("first", range(1000, 1000 + SEEDS, CHUNK))
@pytest.mark.parametrize("safe", [True, False], ids=["safe", "unsafe"])
@pytest.mark.parametrize("servers", [3, 5])
def test_random_faults_break_no_promise(servers: int, safe: bool, first: int) -> None:
    cluster = standard(servers, safe=safe)

    broken = [v for seed in range(first, first + CHUNK) for v in fuzz(cluster, seed, DEFAULTS, FAULTS_S).violations]

    assert broken == []


@pytest.mark.parametrize(("servers", "settings", "seed"), known_seeds())
def test_seed_that_once_failed_is_clean_and_replays_identically(servers: int, settings: str, seed: int) -> None:
    cluster, defaults, faults_s = known_cluster(servers, settings)

    once, again = (fuzz(cluster, seed, defaults, faults_s) for _ in range(2))

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


_bring_up = Coordinator._bring_up


def _at_once(self: Coordinator, group: Any, record: Any, others: list[str]) -> None:
    _bring_up(self, group, record, [])


def _taken_for_stopped(self: Membership, server: str) -> bool:
    return True


@pytest.mark.parametrize(
    ("owner", "rule", "broken", "first"),
    [
        pytest.param(Engine, "_binding", _always, 330, id="an order of an old epoch is obeyed"),
        pytest.param(Engine, "_obey", _obey_without_lease, 200, id="a group starts without a lease"),
        pytest.param(Membership, "gone", _taken_for_stopped, 1, id="a lost server is taken for stopped"),
        pytest.param(Coordinator, "_bring_up", _at_once, 1, id="a group starts before it has stopped elsewhere"),
        pytest.param(detector, "FENCE", 1.0e9, 1, id="the watchdog never resets"),
    ],
)
def test_fuzzer_finds_a_broken_rule(
    monkeypatch: pytest.MonkeyPatch, owner: Any, rule: str, broken: Any, first: int
) -> None:
    """Within 1000 seeds; those before the first one that finds it are spared."""
    monkeypatch.setattr(owner, rule, broken)
    cluster = standard(3, safe=True)

    found = next((seed for seed in range(first, 1001) if fuzz(cluster, seed, DEFAULTS, FAULTS_S).violations), None)

    assert found is not None


# Faults ---------------------------------------------------------------------------------------------------------------


def test_every_kind_of_fault_comes() -> None:
    lines = "\n".join(line for seed in range(1, 25) for line in fuzz(standard(3, safe=True), seed, DEFAULTS).lines)

    for what in ("power     off", "power     on", "paused", "resumed", "daemon    killed", "daemon    started again",
                 "cut       towards", "cut       path", "split     ", "mend ", "weather ", "ppm", "at its next boot",
                 "fails", "of its timeout", "is sick", "operator "):  # fmt: skip
        assert what in lines, what


def test_fault_stays_the_same_when_others_are_left_out() -> None:
    whole = fuzz(standard(3, safe=True), 5, DEFAULTS, FAULTS_S)
    last = fuzz(standard(3, safe=True), 5, DEFAULTS, FAULTS_S, without=range(whole.faults - 1))

    healed = next(number for number, line in enumerate(last.lines) if " heal " in line)
    faults = [line for line in last.lines[:healed] if line.split()[2] in _FAULTS and float(line.split()[0]) > 0.0]
    assert len(faults) == 1
    assert faults[0] in whole.lines


_FAULTS = ("power", "daemon", "cut", "split", "mend", "weather", "clock", "hands", "operator")


def test_minimising_keeps_only_what_the_failure_needs() -> None:
    tried: list[frozenset[int]] = []

    def fails(without: frozenset[int]) -> bool:
        tried.append(without)
        return not without & {3, 11}

    assert minimise(fails, 20) == frozenset(range(20)) - {3, 11}
    assert len(tried) < 60


def test_minimising_one_fault_or_none_ends() -> None:
    assert minimise(lambda without: not without, 1) == frozenset()
    assert minimise(lambda without: True, 1) == {0}
    assert minimise(lambda without: True, 0) == frozenset()


def test_cluster_that_was_left_in_disorder_is_reported() -> None:
    fuzzer = Fuzzer(standard(3, safe=True), 2, DEFAULTS)
    fuzzer.world.run_until(20)
    fuzzer.world.crash("server3")

    fuzzer._judge()

    assert ["did not agree on one view" in text for text in fuzzer.world.violations] == [True]


@pytest.mark.parametrize("name", ["split_majority", "server_crash"])
def test_own_configuration_is_played_like_the_standard_one(name: str) -> None:
    loaded = load((SEEDS_FILE.parent / name / "clp.conf").read_bytes(), specs())
    assert loaded.cluster is not None
    defaults = {kind: spec.depends_on for kind, spec in specs().items()}

    for seed in range(1, 6):
        assert fuzz(loaded.cluster, seed, defaults).violations == []
