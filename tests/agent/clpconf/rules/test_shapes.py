"""The usual shapes of a cluster are recognised."""

from __future__ import annotations

import pytest

from agent.clpconf.model import Activation, Cluster, Group, Resource, Server
from agent.clpconf.rules import shapes
from agent.clpconf.rules.shapes import Shape

STEP = Activation(timeout_s=1, retry=0)


def cluster(servers: str, *groups: tuple[str, tuple[str, ...]]) -> Cluster:
    """Groups as (order of servers, types of resources)."""
    kept = [[Resource(name=f"{t}{n}", type=t, activation=STEP, deactivation=STEP) for t in types]
            for n, (_, types) in enumerate(groups)]  # fmt: skip
    return Cluster(
        name="c",
        servers=tuple(Server(name=name, priority=n) for n, name in enumerate(servers)),
        groups=tuple(
            Group(name=f"g{n}", policy=tuple(policy), resources=tuple(r.name for r in kept[n]))
            for n, (policy, _) in enumerate(groups)
        ),
        resources=tuple(resource for of_group in kept for resource in of_group),
    )


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (cluster("a", ("a", ("exec",))), [shapes.SINGLE]),
        (cluster("ab", ("ab", ("disk", "exec"))), [shapes.SHARED, shapes.ONE_WAY]),
        (cluster("ab", ("ab", ("md",))), [shapes.MIRRORED, shapes.ONE_WAY]),
        (cluster("ab", ("ab", ("exec",)), ("ab", ("fip",))), [shapes.ONE_WAY]),
        (cluster("ab", ("ab", ("exec",)), ("ba", ("exec",))), [shapes.SAME]),
        (cluster("ab", ("ab", ("exec",)), ("ba", ("fip",))), [shapes.DIFFERENT]),
        (cluster("abc", ("ac", ("exec",)), ("bc", ("fip",))), [shapes.SPARE]),
        (cluster("ab", ("a", ("exec",))), []),
    ],
)
def test_shape_is_recognised(made: Cluster, expected: list[Shape]):
    assert list(shapes.shapes(made)) == expected
