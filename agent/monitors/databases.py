"""What monitors of databases share: the connection and the level of the test."""

from __future__ import annotations

from agent.clpconf.schema import BOOLEAN, HOST, PATH, SECRET, TEXT, Param, choice, integer, word

_SOURCE = "clp-conf-format 8"
_TABLE = word(255, r"[A-Za-z0-9_$#.]+", "table name", "Write the name of a table.")
_LEVELS = choice(
    ("2", "0: the state of the database"),
    ("3", "1: read a table"),
    ("0", "2: write a table"),
    ("1", "3: make, write and remove a table each time"),
)


def database(port: int, table: str) -> tuple[Param, ...]:
    """`port`: 0 where the connection has none."""
    return (
        Param("parameters/database", "Database", TEXT, required=True, source=_SOURCE),
        Param("parameters/ipaddress", "Address", HOST, default="127.0.0.1", source=_SOURCE),
        *((Param("parameters/port", "Port", integer(1, 65535), default=port, source=_SOURCE),) if port else ()),
        Param("parameters/username", "User name", TEXT, default="", source=_SOURCE),
        Param("parameters/password", "Password", SECRET, source=_SOURCE),
        Param("parameters/encrypwd", "The password is encrypted", BOOLEAN, default=False, advanced=True,
              help="By clpencrypt of the original.", source=_SOURCE),
        Param("parameters/docreatedrop", "Level of the test", _LEVELS, default="0", source=_SOURCE),
        Param("parameters/table", "Table", _TABLE, default=table,
              help="Made for the test; not one of the application.", source=_SOURCE),
        Param("parameters/libraryfullpath", "Library", PATH, default="", advanced=True,
              help="Client library of the database.", source=_SOURCE),
        Param("parameters/ignoreuse", "Ignore that too many are connected", BOOLEAN, default=False, advanced=True,
              source=_SOURCE),
    )  # fmt: skip
