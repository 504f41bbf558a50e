"""awsazw: watches an availability zone of AWS."""

from __future__ import annotations

from agent.clpconf.schema import Param, TypeSpec, choice, word
from agent.monitors import MonitorType

ZONE = word(64, r"[a-z0-9-]+", "availability zone", "Write a zone, for example eu-central-1a.")

SPEC = TypeSpec(
    "awsazw",
    "AWS availability zone monitor",
    params=(
        Param("parameters/availabilityzone", "Availability zone", ZONE, required=True, help="Each server has its own.",
              source="clp-conf-format 8"),
        Param("parameters/mode", "When AWS does not answer",
              choice(("0", "No recovery, no warning"), ("1", "No recovery, but a warning"), ("2", "Recovery")),
              default="0", source="openclp"),
    ),
    help="Abnormal when the zone of this server is not available.",
    ready=False,
    family="Cloud",
)  # fmt: skip

TYPE = MonitorType(SPEC)
