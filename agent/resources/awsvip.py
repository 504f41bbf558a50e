"""awsvip: an address of a VPC of AWS whose route points at the group's server."""

from __future__ import annotations

from agent.clpconf.schema import IP, Param, TypeSpec, seconds, word
from agent.resources import ResourceType

_SOURCE = "clp-conf-format 7"
_VPC = word(64, r"vpc-[0-9a-f]+", "VPC identifier", "Write an identifier, for example vpc-1234abcd.")
_ENI = word(64, r"eni-[0-9a-f]+", "network interface identifier", "Write an identifier, for example eni-1234abcd.")

SPEC = TypeSpec(
    "awsvip",
    "AWS virtual IP resource",
    params=(
        Param("parameters/ip", "IP address", IP, required=True, help="Outside of the address range of the VPC.",
              source=_SOURCE),
        Param("parameters/vpcid", "VPC", _VPC, required=True, source=_SOURCE),
        Param("parameters/eniid", "Network interface", _ENI, required=True,
              help="Each server has its own.", source=_SOURCE),
        Param("parameters/awsclitimeout", "Timeout of the AWS command line", seconds(1, 999), default=100, unit="s",
              advanced=True, source=_SOURCE),
    ),
    activation_timeout_s=480,
    deactivation_timeout_s=480,
    help="Lets a route of a VPC follow the group.",
    ready=False,
    family="Cloud",
)  # fmt: skip

TYPE = ResourceType(SPEC)
