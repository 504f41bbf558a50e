"""miiw: watches the link of a network card."""

from __future__ import annotations

from agent.clpconf.schema import Param, TypeSpec, word
from agent.monitors import MonitorType

NIC = word(15, r"[A-Za-z0-9_.:@-]+", "name of a network card", "Write the name of a network card, for example eth0.")

SPEC = TypeSpec(
    "miiw",
    "NIC link up/down monitor",
    params=(
        Param("parameters/object", "Network card", NIC, required=True, help="Each server may have its own.",
              source="clp-conf-format 8"),
    ),
    help="Abnormal when the card has lost its link.",
    ready=False,
    family="Network",
)  # fmt: skip

TYPE = MonitorType(SPEC)
