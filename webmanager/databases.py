"""Which database: SQLite in the data directory by default, or the one that DATABASE_URL names."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

# Without IMMEDIATE and WAL a third of concurrent writes fail with "database is locked".
_SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
}


def settings(url: str, directory: Path) -> dict[str, Any]:
    """`url`: "" (SQLite in `directory`), sqlite:///absolute/path, postgres://user:password@host:port/name?host=/socket/dir"""
    if not url:
        return _sqlite(str(directory / "openclp.sqlite3"))
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return _sqlite(unquote(parts.path))
    if parts.scheme not in ("postgres", "postgresql"):
        raise ImproperlyConfigured(
            f"DATABASE_URL begins with {parts.scheme!r}; it must be postgres://USER:PASSWORD@HOST/NAME or sqlite:///PATH."
        )
    return _postgresql(parts)


def bring_up_to_date() -> None:
    """Applies the migrations that are missing. Several processes may ask at once; one does it, the others wait."""
    from django.core.management import call_command
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    from webmanager.data import data_directory

    with (data_directory() / "migrate.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            call_command("migrate", verbosity=0, interactive=False)


def _sqlite(name: str) -> dict[str, Any]:
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": name, "OPTIONS": dict(_SQLITE_OPTIONS)}


def _postgresql(parts: Any) -> dict[str, Any]:
    options = dict(parse_qsl(parts.query))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", parts.hostname or ""),
        "PORT": str(parts.port or ""),
        "CONN_HEALTH_CHECKS": True,  # For those that are kept (webmanager/ledger.py).
        "OPTIONS": {"connect_timeout": 10, **options},
    }
