"""Long work of the Builder, run by Celery."""

from __future__ import annotations

from builder import whatif
from webmanager.celery import app


# Of the manager's own application: a shared task would go to whatever message server Celery takes for its default in a
# process that has not loaded it, such as the web server.
@app.task
def play_whatif(key: int) -> None:
    """Plays the failures of a draft and of what runs."""
    whatif.play(key)
