"""raw: a partition of the shared disk without a file system, bound to a raw device."""

from __future__ import annotations

from agent.clpconf.schema import DEVICE, Param, TypeSpec
from agent.resources import ResourceType

SPEC = TypeSpec(
    "raw",
    "Raw resource",
    params=(
        Param("parameters/device", "Device", DEVICE, required=True,
              help="A partition of the shared disk that nothing else uses.", source="openclp"),
        Param("parameters/rawdevice", "Raw device", DEVICE, help="For example /dev/raw/raw1.", source="openclp"),
    ),
    depends_on=("volmgr", "vxdg"),
    help="A bare partition of the shared disk for applications that bring their own format.",
    ready=False,
    family="Storage",
)  # fmt: skip

TYPE = ResourceType(SPEC)
