"""sqlserverw: watches a SQL Server database."""

from __future__ import annotations

from agent.clpconf.schema import TypeSpec
from agent.monitors import MonitorType
from agent.monitors.databases import database

SPEC = TypeSpec(
    "sqlserverw",
    "SQL Server monitor",
    params=database(1433, "sqlwatch"),
    help="Abnormal when the database does not answer as the level asks.",
    ready=False,
    family="Databases",
)

TYPE = MonitorType(SPEC)
