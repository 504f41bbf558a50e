"""nfsw: asks an NFS server for a directory."""

from __future__ import annotations

from agent.clpconf.schema import HOST, PATH, Param, TypeSpec, choice
from agent.monitors import MonitorType

SPEC = TypeSpec(
    "nfsw",
    "NFS monitor",
    params=(
        Param("parameters/ipaddress", "Server", HOST, default="127.0.0.1", source="openclp"),
        Param("parameters/sharename", "Shared directory", PATH, required=True, source="openclp"),
        Param("parameters/nfsversion", "Version", choice("2", "3", "4"), default="4", source="openclp"),
    ),
    help="Abnormal when the directory is not exported.",
    ready=False,
    family="File services",
)  # fmt: skip

TYPE = MonitorType(SPEC)
