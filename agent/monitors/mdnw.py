"""mdnw: watches the connections of a mirror disk.

An error when no mirror connect works, a warning when one of several does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.clpconf.schema import TEXT, Param, TypeSpec, Values
from agent.monitors import Health, MonitorType
from agent.ports import Ports

SPEC = TypeSpec(
    "mdnw",
    "Mirror disk connect monitor",
    params=(
        Param("parameters/object", "Mirror disk", TEXT, required=True, refers="resource",
              help="Name of a mirror disk resource.", source="clp-conf-format 8"),
    ),
    help="Abnormal when no mirror disk connect works; warns when one of several does not.",
    family="Storage",
)  # fmt: skip


async def check(values: Values, _target: str, _watched: Values, ports: Ports) -> Health:
    name = str(values["parameters/object"])
    state = await ports.mirrors.state(name)
    if state is None:
        return Health(False, f"the mirror process of {name} does not answer")
    if state.isolated:
        return Health(True, f"{name} is kept apart by an operator", warning=True)
    if not state.link.get("connected"):
        error = str(state.link.get("error") or "").rstrip(".")
        return Health(False, f"no mirror connect to {state.peer} works{f': {error}' if error else ''}")
    if down := _down(state.link):
        return Health(True, f"mirror connect {', '.join(down)} to {state.peer} does not work", warning=True)
    return Health(True)


def _down(link: Mapping[str, Any]) -> list[str]:
    return [str(path.get("name", "?")) for path in _paths(link) if path.get("state") == "lost"]


def _paths(link: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    paths = link.get("paths") or []
    return [path for path in paths if isinstance(path, Mapping)]


TYPE = MonitorType(SPEC, check)
