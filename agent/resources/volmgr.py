"""volmgr: a volume group that is active on the group's server only."""

from __future__ import annotations

from agent.clpconf.schema import BOOLEAN, Param, TypeSpec, choice, seconds, word
from agent.resources import ResourceType

_NAME = word(127, r"[A-Za-z0-9_.+-]+", "volume group name", "Write the name of a volume group.")

SPEC = TypeSpec(
    "volmgr",
    "Volume manager resource",
    params=(
        Param("parameters/type", "Volume manager", choice(("lvm", "LVM"), ("vxvm", "VxVM"), ("zfspool", "ZFS pool")),
              default="lvm", source="clp-conf-format 7"),
        Param("parameters/devname", "Volume group", _NAME, required=True,
              help="The operating system must not activate it by itself.", source="clp-conf-format 7"),
        Param("parameters/import/timeout", "Timeout of activation", seconds(1, 9999), default=300, unit="s",
              advanced=True, source="openclp"),
        Param("parameters/export/timeout", "Timeout of deactivation", seconds(1, 9999), default=300, unit="s",
              advanced=True, source="openclp"),
        Param("parameters/forcedexport", "Deactivate by force", BOOLEAN, default=False, advanced=True,
              source="openclp"),
    ),
    help="Activates a volume group where its group runs.",
    activation_timeout_s=480,
    deactivation_timeout_s=480,
    ready=False,
    family="Storage",
)  # fmt: skip

TYPE = ResourceType(SPEC)
