"""oraclew: watches an Oracle database."""

from __future__ import annotations

from agent.clpconf.schema import TypeSpec
from agent.monitors import MonitorType
from agent.monitors.databases import database

SPEC = TypeSpec(
    "oraclew",
    "Oracle monitor",
    params=database(1521, "orawatch"),
    help="Abnormal when the database does not answer as the level asks.",
    ready=False,
    family="Databases",
)

TYPE = MonitorType(SPEC)
