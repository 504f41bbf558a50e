"""genw: runs a script that says whether all is well."""

from __future__ import annotations

from agent.clpconf.schema import BOOLEAN, PATH, SCRIPT, Param, TypeSpec, integer, word
from agent.monitors import MonitorType

SPEC = TypeSpec(
    "genw",
    "Custom monitor",
    params=(
        Param("parameters/path", "Script", SCRIPT, default="genw.sh", source="clp-conf-format 8"),
        Param(
            "parameters/sync",
            "Wait for the script",
            BOOLEAN,
            default=True,
            help="0: the script stays, and its end is the error.",
            source="clp-conf-format 8",
        ),
        Param(
            "parameters/normalval",
            "Normal results",
            word(
                1023,
                r"[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*",
                "list of numbers",
                "Write numbers and ranges, for example 0,10-20.",
            ),
            default="0",
            help="Exit codes that mean that all is well.",
            source="clp-conf-format 8",
        ),
        Param(
            "parameters/waitmonstart",
            "Wait for the script to begin",
            BOOLEAN,
            default=False,
            advanced=True,
            only_when=(("parameters/sync", ("0",)),),
            source="clp-conf-format 8",
        ),
        Param(
            "parameters/waitstop",
            "Wait for the script at the stop",
            BOOLEAN,
            default=False,
            advanced=True,
            source="clp-conf-format 8",
        ),
        Param("parameters/userlog", "Log of the script's output", PATH, default="", source="clp-conf-format 8"),
        Param("parameters/logrotate/use", "Rotate the log", BOOLEAN, default=False, source="clp-conf-format 8"),
        Param(
            "parameters/logrotate/size",
            "Size at which the log is rotated",
            integer(1, 999_999_999),
            default=1_000_000,
            unit="bytes",
            only_when=(("parameters/logrotate/use", ("1",)),),
            source="clp-conf-format 8",
        ),
        Param(
            "parameters/default",
            "Edited as text",
            BOOLEAN,
            default=False,
            advanced=True,
            help="Bookkeeping of the original's editor; it has no effect.",
            source="clp-conf-format 8",
        ),
    ),
    help="Abnormal when its script says so.",
    ready=False,
    family="System",
)

TYPE = MonitorType(SPEC)
