"""diskhb: heartbeats through a raw partition of the shared disk."""

from __future__ import annotations

from agent.clpconf.schema import Param, TypeSpec, integer

SPEC = TypeSpec(
    "diskhb",
    "DISK Heartbeat",
    params=(
        Param("device", "Device number", integer(300, 399), default=300, refers="device:disk",
              help="The partition of each server: 10 MB, the same number on every disk, not mounted.",
              source="clp-conf-format 4; X 1.0 guide 5"),
    ),
    help="One or two of them are enough: each beat reads and writes the disk.",
    ready=False,
)  # fmt: skip
