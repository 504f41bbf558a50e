"""Where a group may run, and in which order its resources start and stop."""

from __future__ import annotations

from typing import Any

import pytest

from agent.clpconf.model import Activation, Cluster, Group, Resource
from agent.engine.order import dependents, depends_on
from agent.engine.placement import choose, choose_next

GROUP = Group(name="failover1", policy=("a", "b", "c"))
STEP = Activation(timeout_s=1, retry=0)


@pytest.mark.parametrize(
    ("available", "excluded", "chosen"),
    [("abc", "", "a"), ("bc", "", "b"), ("abc", "a", "b"), ("c", "", "c"), ("", "", ""), ("abc", "abc", ""),
     ("xyz", "", "")],
)  # fmt: skip
def test_first_available_server_of_the_policy_is_chosen(available: str, excluded: str, chosen: str) -> None:
    assert choose(GROUP, set(available), set(excluded)) == chosen


@pytest.mark.parametrize(
    ("failed_on", "shared", "quarantine", "chosen"),
    [
        ("a", "", "", "b"), ("ab", "", "", "c"), ("abc", "", "", "a"), ("cab", "", "", "c"),  # the oldest failure first
        ("", "a", "", "b"), ("", "abc", "", "a"),  # shared with an exclusive group
        ("b", "ac", "", "a"),  # rather shared than where it failed
        ("", "", "a", "b"), ("bc", "", "a", "b"), ("", "bc", "a", "b"), ("", "", "abc", "a"),  # quarantine is worst
    ],
)  # fmt: skip
def test_server_with_the_least_against_it_is_chosen(failed_on: str, shared: str, quarantine: str, chosen: str) -> None:
    assert choose(GROUP, "abc", failed_on=failed_on, shared=shared, quarantine=quarantine) == chosen


def test_excluded_server_is_never_chosen_whatever_is_against_the_others() -> None:
    assert choose(GROUP, "abc", "a", failed_on="bc", shared="bc", quarantine="bc") == "b"


@pytest.mark.parametrize(
    ("current", "available", "excluded", "chosen"),
    [("a", "abc", "", "b"), ("b", "abc", "", "c"), ("c", "abc", "", "a"), ("a", "ac", "", "c"), ("b", "ab", "", "a"),
     ("a", "a", "", ""), ("a", "abc", "b", "c"), ("x", "bc", "", "b")],
)  # fmt: skip
def test_move_goes_round_the_ring_and_never_to_where_it_is(
    current: str, available: str, excluded: str, chosen: str
) -> None:
    assert choose_next(GROUP, current, set(available), set(excluded)) == chosen


def cluster(**depends: tuple[str, ...] | None) -> Cluster:
    def resource(name: str, on: Any) -> Resource:
        return Resource(name=name, type=name.rstrip("0123456789"), activation=STEP, deactivation=STEP, depends=on)

    resources = tuple(resource(name, on) for name, on in depends.items())
    groups = (Group(name="g", resources=tuple(depends)),)
    return Cluster(name="c", groups=groups, resources=resources)


def order(found: Cluster) -> dict[str, frozenset[str]]:
    return depends_on(found, found.groups[0], {"exec": ("fip", "disk"), "disk": ("fip",)})


def test_without_a_word_the_type_decides() -> None:
    assert order(cluster(exec1=None, fip1=None, disk1=None)) == {
        "exec1": {"fip1", "disk1"}, "fip1": frozenset(), "disk1": {"fip1"},
    }  # fmt: skip


def test_empty_dependency_means_none_and_a_name_means_that_one() -> None:
    found = order(cluster(exec1=(), exec2=("exec1",), fip1=None))

    assert found == {"exec1": frozenset(), "exec2": {"exec1"}, "fip1": frozenset()}


def test_name_outside_of_the_group_is_left_out() -> None:
    assert order(cluster(exec1=("fip1", "elsewhere"), fip1=None))["exec1"] == {"fip1"}


def test_dependents_reach_however_far_up() -> None:
    depends = {"a": frozenset(), "b": frozenset("a"), "c": frozenset("b"), "d": frozenset()}

    assert dependents(depends, "a") == {"a", "b", "c"}
    assert dependents(depends, "c") == {"c"}
