"""service: a service of Windows servers."""

from __future__ import annotations

from agent.clpconf.schema import TEXT, Param, TypeSpec, seconds
from agent.resources import ResourceType

SPEC = TypeSpec(
    "service",
    "Service resource (Windows)",
    params=(
        Param("parameters/name", "Service", TEXT, required=True, source="clp-conf-format 7"),
        Param("parameters/actwaittime", "Wait after the start", seconds(0, 9999), unit="s", advanced=True,
              source="clp-conf-format 7"),
        Param("parameters/deactwaittime", "Wait after the stop", seconds(0, 9999), unit="s", advanced=True,
              source="clp-conf-format 7"),
    ),
    ready=False,
    platform="windows",
    family="Windows only",
)  # fmt: skip

TYPE = ResourceType(SPEC)
