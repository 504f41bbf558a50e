"""sd: a volume of the shared disk of Windows servers."""

from __future__ import annotations

from agent.clpconf.schema import TEXT, Param, TypeSpec
from agent.resources import ResourceType

SPEC = TypeSpec(
    "sd",
    "Disk resource (Windows)",
    params=(
        Param("parameters/volumemountpoint", "Drive", TEXT, default="", source="clp-conf-format 7"),
        Param("parameters/volumeguid", "Identifier of the volume", TEXT, default="", source="clp-conf-format 7"),
    ),
    ready=False,
    platform="windows",
    family="Windows only",
)  # fmt: skip

TYPE = ResourceType(SPEC)
