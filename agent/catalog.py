"""Every type that this product knows, one line each."""

from __future__ import annotations

from collections.abc import Mapping

from agent.clpconf.schema import TypeSpec
from agent.heartbeats import lanhb, lankhb
from agent.monitors import MonitorType, ipw, pidw, userw
from agent.partitions import disknp, httpnp, majonp, pingnp
from agent.resources import ResourceType, exec, fip

RESOURCES: Mapping[str, ResourceType] = {
    "exec": exec.TYPE,
    "fip": fip.TYPE,
}

MONITORS: Mapping[str, MonitorType] = {
    "ipw": ipw.TYPE,
    "pidw": pidw.TYPE,
    "userw": userw.TYPE,
}

HEARTBEATS: Mapping[str, TypeSpec] = {
    "lanhb": lanhb.SPEC,
    "lankhb": lankhb.SPEC,
}

PARTITIONS: Mapping[str, TypeSpec] = {
    "disknp": disknp.SPEC,
    "httpnp": httpnp.SPEC,
    "majonp": majonp.SPEC,
    "pingnp": pingnp.SPEC,
}


def specs() -> dict[str, TypeSpec]:
    """All declarations by the name of their type; names are unique over all kinds."""
    behaving = {name: known.spec for kind in (RESOURCES, MONITORS) for name, known in kind.items()}
    return {**behaving, **HEARTBEATS, **PARTITIONS}
