"""volmgrw: watches a volume group."""

from __future__ import annotations

from agent.clpconf.schema import Param, TypeSpec, choice, word
from agent.monitors import MonitorType

NAME = word(127, r"[A-Za-z0-9_.+-]+", "volume group name", "Write the name of a volume group.")

SPEC = TypeSpec(
    "volmgrw",
    "Volume manager monitor",
    params=(
        Param("parameters/type", "Volume manager", choice(("lvm", "LVM"), ("vxvm", "VxVM"), ("zfspool", "ZFS pool")),
              default="lvm", source="openclp"),
        Param("parameters/devname", "Volume group", NAME, required=True, source="clp-conf-format 8"),
    ),
    help="Abnormal when the volume group is not sound.",
    ready=False,
    family="Storage",
)  # fmt: skip

TYPE = MonitorType(SPEC)
