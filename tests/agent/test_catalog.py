"""The list of types."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from agent.catalog import FENCES, HEARTBEATS, MONITORS, PARTITIONS, RESOURCES, specs
from agent.clpconf.sections import SECTIONS, whole
from agent.resources import ResourceType
from agent.version import VERSION

RUNNING = {
    "disknp", "exec", "fip", "httpnp", "ipw", "lanhb", "lankhb", "majonp", "md", "mdnw", "mdw", "pidw", "pingnp",
    "userw",
}  # fmt: skip
DECLARED = {**specs(), **{f"section {name}": spec for name, spec in SECTIONS.items()}}


def test_each_type_stands_under_its_own_name_in_order():
    assert [t.spec.name for t in RESOURCES.values()] == list(RESOURCES) == sorted(RESOURCES)
    assert [t.spec.name for t in MONITORS.values()] == list(MONITORS) == sorted(MONITORS)
    assert [s.name for s in HEARTBEATS.values()] == list(HEARTBEATS) == sorted(HEARTBEATS)
    assert [s.name for s in PARTITIONS.values()] == list(PARTITIONS) == sorted(PARTITIONS)
    assert [s.name for s in FENCES.values()] == list(FENCES) == ["fence"]


def test_no_name_is_used_twice():
    assert len(specs()) == len(RESOURCES) + len(MONITORS) + len(HEARTBEATS) + len(PARTITIONS)


def test_every_file_of_a_type_has_its_line():
    folder = Path(__file__).parents[2] / "agent"
    shared = {"__init__", "connections", "databases", "filesystems", "metadata", "mounting", "fence"}
    files = {
        file.stem
        for kind in ("resources", "monitors", "heartbeats", "partitions")
        for file in (folder / kind).glob("*.py")
    }
    assert files - shared == set(specs())


def test_each_type_knows_its_section():
    assert {spec.section for spec in specs().values()} == {"resource", "monitor", "heartbeat", "networkpartition"}
    assert specs()["fip"].section == "resource"
    assert specs()["fipw"].section == "monitor"


def test_labels_of_heartbeats_are_the_fixed_texts_of_clpstat():
    assert HEARTBEATS["lanhb"].label == "LAN Heartbeat"
    assert HEARTBEATS["lankhb"].label == "Kernel Mode LAN Heartbeat"
    assert HEARTBEATS["diskhb"].label == "DISK Heartbeat"
    assert HEARTBEATS["witnesshb"].label == "Witness Heartbeat"
    assert PARTITIONS["pingnp"].label == "ping resolution"
    assert PARTITIONS["httpnp"].label == "http resolution"


@pytest.mark.parametrize("spec", DECLARED.values(), ids=DECLARED)
def test_declaration_is_complete(spec):
    spec = whole(spec)
    assert spec.label
    assert len({p.path for p in spec.params}) == len(spec.params)
    assert len({(p.section, p.label) for p in spec.params if not p.advanced}) == len(
        [p for p in spec.params if not p.advanced]
    )
    for param in spec.params:
        assert param.label
        assert param.help == "" or param.help.endswith(".")
        assert not (param.required and param.default is not None and "device" not in param.path)
        for path, values in param.only_when:
            decides = spec.param(path)
            assert decides is not None
            for value in filter(None, values):
                decides.kind.parse(value)
        # A default is what the text in the file would have given.
        if param.default_text:
            assert param.kind.parse(param.default_text) == param.default


@pytest.mark.parametrize("spec", specs().values(), ids=lambda s: s.name)
def test_type_is_offered_under_a_heading_and_says_what_it_is_for(spec):
    if spec.section in ("resource", "monitor"):
        assert spec.family
    if spec.platform == "linux":
        assert spec.help.endswith(".")
    else:
        assert not spec.ready


def test_what_does_not_work_yet_says_so():
    assert {name for name, spec in specs().items() if spec.ready} == RUNNING


def test_type_that_is_ready_has_a_behaviour():
    with pytest.raises(AssertionError, match="does nothing"):
        ResourceType(RESOURCES["fip"].spec)


def test_secrets_are_secret():
    paths = {
        (name, param.path)
        for name, spec in DECLARED.items()
        for param in whole(spec).params
        if any(word in param.path for word in ("passw", "snmpcom", "secret"))
    }
    assert len(paths) >= 10
    assert {(n, p) for n, p in paths if not DECLARED[n].param(p).kind.secret} == set()


def test_version_is_that_of_the_package():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]

    assert project["version"] == VERSION


@pytest.mark.slow
def test_types_that_nobody_asks_for_are_not_loaded():
    """An agent uses few of them; all of them would be a fifth of its start."""
    code = (
        "import sys; from agent.catalog import RESOURCES, specs; RESOURCES['fip'], specs()['pidw'];"
        "print(*sorted(m for m in sys.modules if m.startswith(('agent.resources.', 'agent.monitors.'))))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout

    assert loaded.split() == ["agent.monitors.pidw", "agent.resources.fip"]
    assert "ghost" not in RESOURCES
    with pytest.raises(KeyError):
        specs()["ghost"]
