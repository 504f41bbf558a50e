"""awsdns: a name in Route 53 of AWS that points at the group's server."""

from __future__ import annotations

from agent.clpconf.schema import BOOLEAN, IP, Param, TypeSpec, integer, seconds, word
from agent.resources import ResourceType

_ZONE = word(64, r"[A-Z0-9]+", "hosted zone identifier", "Write an identifier, for example Z1D633PJN98FT9.")
_RECORD = word(255, r"[A-Za-z0-9_.*-]+\.", "record name", "Write a full name that ends with a dot: db.example.com.")

SPEC = TypeSpec(
    "awsdns",
    "AWS DNS resource",
    params=(
        Param("parameters/hostedzoneid", "Hosted zone", _ZONE, required=True, source="openclp"),
        Param("parameters/recordset", "Record", _RECORD, required=True, source="openclp"),
        Param("parameters/ip", "IP address", IP, required=True, help="Each server has its own.", source="openclp"),
        Param("parameters/ttl", "Time to live", integer(0, 2_147_483_647), default=300, unit="s",
              help="Clients keep the old address so long.", source="openclp"),
        Param("parameters/deleteset", "Delete the record at deactivation", BOOLEAN, default=True, source="openclp"),
        Param("parameters/awsclitimeout", "Timeout of the AWS command line", seconds(1, 999), default=100, unit="s",
              advanced=True, source="openclp"),
    ),
    activation_timeout_s=480,
    deactivation_timeout_s=480,
    help="Lets a DNS record follow the group.",
    ready=False,
    family="Cloud",
)  # fmt: skip

TYPE = ResourceType(SPEC)
