"""mysqlw: watches a MySQL or MariaDB database."""

from __future__ import annotations

from agent.clpconf.schema import Param, TypeSpec, word
from agent.monitors import MonitorType
from agent.monitors.databases import database

ENGINE = word(64, r"[A-Za-z0-9_]+", "storage engine", "Write the name of a storage engine.")

SPEC = TypeSpec(
    "mysqlw",
    "MySQL monitor",
    params=(
        *database(3306, "mysqlwatch"),
        Param("parameters/engine", "Storage engine", ENGINE, default="InnoDB", advanced=True,
              help="Of the table that is made for the test.", source="clp-conf-format 8"),
    ),
    help="Abnormal when the database does not answer as the level asks.",
    ready=False,
    family="Databases",
)  # fmt: skip

TYPE = MonitorType(SPEC)
