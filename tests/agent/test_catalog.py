"""The list of types."""

import tomllib
from pathlib import Path

import pytest

from agent.catalog import HEARTBEATS, MONITORS, PARTITIONS, RESOURCES, specs
from agent.version import VERSION


def test_each_type_stands_under_its_own_name():
    assert [t.spec.name for t in RESOURCES.values()] == list(RESOURCES) == ["exec", "fip"]
    assert [t.spec.name for t in MONITORS.values()] == list(MONITORS) == ["ipw", "pidw", "userw"]
    assert [s.name for s in HEARTBEATS.values()] == list(HEARTBEATS) == ["lanhb", "lankhb"]
    assert [s.name for s in PARTITIONS.values()] == list(PARTITIONS) == ["disknp", "httpnp", "majonp", "pingnp"]


def test_no_name_is_used_twice():
    assert len(specs()) == len(RESOURCES) + len(MONITORS) + len(HEARTBEATS) + len(PARTITIONS)


def test_labels_of_heartbeats_are_the_fixed_texts_of_clpstat():
    assert HEARTBEATS["lanhb"].label == "LAN Heartbeat"
    assert HEARTBEATS["lankhb"].label == "Kernel Mode LAN Heartbeat"
    assert PARTITIONS["pingnp"].label == "ping resolution"
    assert PARTITIONS["httpnp"].label == "http resolution"


@pytest.mark.parametrize("spec", specs().values(), ids=lambda s: s.name)
def test_declaration_is_complete(spec):
    assert spec.label
    assert len({p.path for p in spec.params}) == len(spec.params)
    for param in spec.params:
        assert param.label
        # A default is what the text in the file would have given.
        if isinstance(param.default, str) and param.default:
            assert param.kind.parse(param.default) == param.default
        elif type(param.default) is int:
            assert param.kind.parse(str(param.default)) == param.default


def test_what_does_not_work_yet_says_so():
    assert {name for name, spec in specs().items() if not spec.ready} == set()


def test_version_is_that_of_the_package():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]

    assert project["version"] == VERSION
