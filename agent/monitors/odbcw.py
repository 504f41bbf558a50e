"""odbcw: watches a database by ODBC."""

from __future__ import annotations

from agent.clpconf.schema import TypeSpec
from agent.monitors import MonitorType
from agent.monitors.databases import database

SPEC = TypeSpec(
    "odbcw",
    "ODBC monitor",
    params=database(0, "odbcwatch"),
    help="Abnormal when the database does not answer as the level asks.",
    ready=False,
    family="Databases",
)

TYPE = MonitorType(SPEC)
