"""vxdg: a disk group of VxVM that is imported where its group runs."""

from __future__ import annotations

from agent.clpconf.schema import BOOLEAN, Param, TypeSpec, word
from agent.resources import ResourceType

_NAME = word(31, r"[A-Za-z0-9_.-]+", "disk group name", "Write the name of a disk group, at most 31 characters.")

SPEC = TypeSpec(
    "vxdg",
    "VxVM disk group resource",
    params=(
        Param("parameters/devname", "Disk group", _NAME, required=True, source="openclp"),
        Param("parameters/clear", "Clear the host identifier", BOOLEAN, default=True, advanced=True,
              help="Without it a disk group of a server that crashed cannot be imported.", source="openclp"),
    ),
    help="Imports and deports a disk group of VxVM.",
    ready=False,
    family="Storage",
)  # fmt: skip

TYPE = ResourceType(SPEC)
