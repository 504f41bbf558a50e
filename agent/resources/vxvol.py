"""vxvol: a volume of VxVM with its file system."""

from __future__ import annotations

from agent.clpconf.schema import DEVICE, Param, TypeSpec, choice
from agent.resources import ResourceType
from agent.resources.filesystems import FILE_SYSTEMS, checking, mount_point, mounting, unmounting

SPEC = TypeSpec(
    "vxvol",
    "VxVM volume resource",
    params=(
        Param("parameters/device", "Volume", DEVICE, required=True, help="For example /dev/vx/dsk/dg1/vol1.",
              source="openclp"),
        Param("parameters/rawdevice", "Raw device of the volume", DEVICE, help="For example /dev/vx/rdsk/dg1/vol1.",
              source="X 1.0 guide 5"),
        Param("parameters/fs", "File system", choice(*FILE_SYSTEMS), default="vxfs", source="openclp"),
        mount_point(required=True),
        *mounting(180),
        *unmounting(120),
        *checking(),
    ),
    depends_on=("vxdg",),
    activation_timeout_s=8100,
    deactivation_timeout_s=660,
    help="Starts and mounts a volume of VxVM.",
    ready=False,
    family="Storage",
)  # fmt: skip

TYPE = ResourceType(SPEC)
