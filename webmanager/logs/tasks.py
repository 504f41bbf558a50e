"""Collecting of logs, run by Celery."""

from __future__ import annotations

import uuid

from webmanager.celery import app
from webmanager.logs import work


# Of the manager's own application: a shared task would go to whatever message server Celery takes for its default in a
# process that has not loaded it, such as the web server.
@app.task
def collect_logs(key: str) -> None:
    """Of all servers that the row names."""
    work.collect(uuid.UUID(key))
