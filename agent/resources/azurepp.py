"""azurepp: a port that tells the load balancer of Azure on which server the group runs."""

from __future__ import annotations

from agent.clpconf.schema import Param, TypeSpec, integer, seconds
from agent.resources import ResourceType

SPEC = TypeSpec(
    "azurepp",
    "Azure probe port resource",
    params=(
        Param("parameters/probeport", "Probe port", integer(1, 65535), required=True,
              help="As the health probe of the load balancer names it.", source="clp-conf-format 7"),
        Param("parameters/probetimeout", "Probe timeout", seconds(5, 999_999), default=30, unit="s", advanced=True,
              help="Silence of the load balancer for so long is shown as an error.", source="clp-conf-format 7"),
    ),
    help="Lets the load balancer of Azure find the group.",
    ready=False,
    family="Cloud",
)  # fmt: skip

TYPE = ResourceType(SPEC)
