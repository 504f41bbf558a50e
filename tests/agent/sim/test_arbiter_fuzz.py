"""Random faults, lost and restarted witnesses among them: dynamic votes keep every group single and let it run."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from agent.catalog import specs
from agent.clpconf.load import load
from agent.clpconf.model import Cluster, Heartbeat
from agent.engine.departed import Departed
from agent.sim.arbiter import with_arbiters
from agent.sim.fuzz import fuzz
from agent.sim.standard import DEFAULTS, standard
from webmanager.demo.configuration import GroupPlan, Plan, clp_conf

FAULTS_S = 30.0
SEEDS = 25
CHUNK = 25

pytestmark = pytest.mark.slow


def witnessed(servers: int, lans: int = 2) -> Cluster:
    names = ("httpnp1",) if servers == 2 else ("httpnp1", "httpnp2")
    heartbeats = tuple(Heartbeat(name=f"lanhb{n + 1}", type="lanhb", priority=n, device=n) for n in range(lans))
    return replace(with_arbiters(standard(servers, safe=True), *names), heartbeats=heartbeats)


def demo() -> Cluster:
    """The demo's own configuration, with a witness and self-fencing."""
    addresses = {f"server{n}": tuple(f"10.29.{lan}.{n}" for lan in (1, 2, 3)) for n in (1, 2)}
    names = tuple(addresses)
    groups = tuple(
        GroupPlan(f"failover{n}", f"10.29.3.{100 + n}", names[n - 1 :] + names[: n - 1], 8080 + n) for n in (1, 2)
    )
    conf = clp_conf(Plan(addresses, groups, resolvers=("witness",), witness="10.29.3.9"))
    cluster = load(conf.replace(b"<cluster>", b"<cluster><haltp>1</haltp>"), specs()).cluster
    assert cluster is not None
    return cluster


def broken(cluster: Cluster, seeds: range | tuple[int, ...]) -> list[str]:
    return [text for seed in seeds for text in fuzz(cluster, seed, DEFAULTS, FAULTS_S).violations]


@pytest.mark.parametrize("first", range(5000, 5000 + SEEDS, CHUNK))
@pytest.mark.parametrize("servers", [2, 4])
def test_dynamic_votes_keep_every_promise(servers: int, first: int) -> None:
    assert broken(witnessed(servers), range(first, first + CHUNK)) == []


ONCE_BROKEN = (1373, 1605)  # the view after the next needed nobody's vote, and forgot how long a lease may hold


def test_seeds_that_once_failed_are_clean() -> None:
    defaults = {name: spec.depends_on for name, spec in specs().items()}
    assert [text for seed in ONCE_BROKEN for text in fuzz(demo(), seed, defaults).violations] == []


def test_a_lease_by_an_earlier_view_must_not_be_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Departed, "owed_s", lambda self: {})
    defaults = {name: spec.depends_on for name, spec in specs().items()}
    assert [text for seed in ONCE_BROKEN for text in fuzz(demo(), seed, defaults).violations] != []
