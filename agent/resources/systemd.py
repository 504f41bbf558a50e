"""systemd: a unit of systemd that runs where its group runs."""

from __future__ import annotations

from agent.clpconf.schema import Param, TypeSpec, seconds, word
from agent.resources import ResourceType

_UNIT = word(
    255, r"[A-Za-z0-9:_.\\@-]+\.(service|socket|target|mount|timer|path|slice)", "unit",
    "Write the full name of a unit, for example postgresql.service.",
)  # fmt: skip

SPEC = TypeSpec(
    "systemd",
    "systemd unit resource",
    params=(
        Param("parameters/unit", "Unit", _UNIT, required=True,
              help="It must be disabled: the cluster starts it, not the operating system.", source="openclp"),
        Param("parameters/timeout/start", "Start timeout", seconds(1, 9999), default=120, unit="s", advanced=True,
              source="openclp"),
        Param("parameters/timeout/stop", "Stop timeout", seconds(1, 9999), default=120, unit="s", advanced=True,
              source="openclp"),
    ),
    depends_on=("fip", "disk", "md", "nas", "volmgr", "raw", "vxdg", "vxvol"),
    activation_timeout_s=300,
    deactivation_timeout_s=300,
    help="Starts and stops a service of the operating system.",
    ready=False,
    family="Applications",
)  # fmt: skip

TYPE = ResourceType(SPEC)
