"""db2w: watches a DB2 database."""

from __future__ import annotations

from agent.clpconf.schema import TypeSpec
from agent.monitors import MonitorType
from agent.monitors.databases import database

SPEC = TypeSpec(
    "db2w",
    "DB2 monitor",
    params=database(50000, "db2watch"),
    help="Abnormal when the database does not answer as the level asks.",
    ready=False,
    family="Databases",
)

TYPE = MonitorType(SPEC)
