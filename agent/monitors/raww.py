"""raww: watches a raw device by reading it."""

from __future__ import annotations

from agent.clpconf.schema import DEVICE, Param, TypeSpec
from agent.monitors import MonitorType

SPEC = TypeSpec(
    "raww",
    "Raw monitor",
    params=(
        Param("parameters/object", "Raw device", DEVICE, required=True,
              help="A partition of 10 MB that nothing else uses; not one that may be mounted.",
              source="X 1.0 guide 5"),
    ),
    help="Abnormal when the device cannot be read.",
    ready=False,
    family="Storage",
)  # fmt: skip

TYPE = MonitorType(SPEC)
