"""ocf: any resource agent that follows the Open Cluster Framework."""

from __future__ import annotations

from agent.clpconf.schema import TEXT, Param, TypeSpec, seconds, word
from agent.resources import ResourceType

_WORD = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"

SPEC = TypeSpec(
    "ocf",
    "OCF resource",
    params=(
        Param("parameters/provider", "Provider", word(64, _WORD, "provider", "Write a name, for example heartbeat."),
              default="heartbeat", help="Directory below /usr/lib/ocf/resource.d.", source="openclp"),
        Param("parameters/agent", "Resource agent",
              word(64, _WORD, "resource agent", "Write a name, for example Filesystem."), required=True,
              help="It names its own options.", source="openclp"),
        Param("parameters/options/*", "Option of the agent", TEXT, section="Options", source="openclp"),
        Param("parameters/timeout/start", "Start timeout", seconds(1, 9999), default=120, unit="s", advanced=True,
              source="openclp"),
        Param("parameters/timeout/stop", "Stop timeout", seconds(1, 9999), default=120, unit="s", advanced=True,
              source="openclp"),
    ),
    depends_on=("fip", "disk", "md", "nas", "volmgr", "raw", "vxdg", "vxvol"),
    activation_timeout_s=300,
    deactivation_timeout_s=300,
    help="Runs a resource agent of the package resource-agents.",
    ready=False,
    family="Applications",
)  # fmt: skip

TYPE = ResourceType(SPEC)
