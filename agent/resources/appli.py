"""appli: a program of Windows servers."""

from __future__ import annotations

from agent.clpconf.schema import TEXT, Param, TypeSpec
from agent.resources import ResourceType

SPEC = TypeSpec(
    "appli",
    "Application resource (Windows)",
    params=(
        Param("parameters/act/path", "Start program", TEXT, default="", source="clp-conf-format 7"),
        Param("parameters/deact/path", "Stop program", TEXT, default="", source="clp-conf-format 7"),
    ),
    ready=False,
    platform="windows",
    family="Windows only",
)  # fmt: skip

TYPE = ResourceType(SPEC)
