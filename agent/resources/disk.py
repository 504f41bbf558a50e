"""disk: a file system on the shared disk, or the bare device, that only the group's server uses."""

from __future__ import annotations

from agent.clpconf.schema import DEVICE, Param, TypeSpec, choice
from agent.resources import ResourceType
from agent.resources.filesystems import FILE_SYSTEMS, checking, mount_point, mounting, unmounting

_SOURCE = "clp-conf-format 7"
_MOUNTED = (("parameters/disktype", ("disk", "lvm", "vxvm")),)

SPEC = TypeSpec(
    "disk",
    "Disk resource",
    params=(
        Param("parameters/disktype", "Kind of disk",
              choice(("disk", "Disk partition"), ("raw", "Bare device"), ("lvm", "LVM volume"),
                     ("vxvm", "VxVM volume")),
              default="disk", source=_SOURCE),
        Param("parameters/device", "Device", DEVICE, required=True,
              help="The same partition of the shared disk on every server.", source=_SOURCE),
        Param("parameters/rawdevice", "Raw device", DEVICE, only_when=(("parameters/disktype", ("raw", "vxvm")),),
              help="For example /dev/raw/raw1.", source=_SOURCE),
        Param("parameters/fs", "File system", choice(*FILE_SYSTEMS), default="ext3", only_when=_MOUNTED,
              source=_SOURCE),
        mount_point(required=True, only_when=_MOUNTED),
        *mounting(180),
        *unmounting(120),
        *checking(),
    ),
    depends_on=("volmgr", "vxdg", "vxvol"),
    activation_timeout_s=8100,
    deactivation_timeout_s=660,
    help="A file system on a disk that all servers see; mounted on one of them at a time.",
    ready=False,
    family="Storage",
)  # fmt: skip

TYPE = ResourceType(SPEC)
