"""script: start and stop scripts of Windows servers."""

from __future__ import annotations

from agent.clpconf.schema import BOOLEAN, TEXT, Param, TypeSpec
from agent.resources import ResourceType

SPEC = TypeSpec(
    "script",
    "Script resource (Windows)",
    params=(
        Param("parameters/act/path", "Start script", TEXT, default="start.bat", source="clp-conf-format 7"),
        Param("parameters/deact/path", "Stop script", TEXT, default="stop.bat", source="clp-conf-format 7"),
        Param("parameters/recoveruse", "Runs at recovery of a server", BOOLEAN, default=False, advanced=True,
              source="clp-conf-format 7"),
    ),
    ready=False,
    platform="windows",
    family="Windows only",
)  # fmt: skip

TYPE = ResourceType(SPEC)
