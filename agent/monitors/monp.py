"""monp: runs any monitoring plugin (check_*)."""

from __future__ import annotations

from agent.clpconf.schema import BOOLEAN, PATH, TEXT, Param, TypeSpec
from agent.monitors import MonitorType

SPEC = TypeSpec(
    "monp",
    "Plugin monitor",
    params=(
        Param("parameters/plugin", "Plugin", PATH, required=True,
              help="For example /usr/lib/nagios/plugins/check_http.", source="openclp"),
        Param("parameters/arguments", "Arguments", TEXT, default="", help="Parted as a shell parts them.",
              source="openclp"),
        Param("parameters/warning", "A warning counts as an error", BOOLEAN, default=False, source="openclp"),
    ),
    help="Abnormal when the plugin ends with 2 or 3.",
    ready=False,
    family="System",
)  # fmt: skip

TYPE = MonitorType(SPEC)
