"""psqlw: watches a PostgreSQL database."""

from __future__ import annotations

from agent.clpconf.schema import TypeSpec
from agent.monitors import MonitorType
from agent.monitors.databases import database

SPEC = TypeSpec(
    "psqlw",
    "PostgreSQL monitor",
    params=database(5432, "psqlwatch"),
    help="Abnormal when the database does not answer as the level asks.",
    ready=False,
    family="Databases",
)

TYPE = MonitorType(SPEC)
