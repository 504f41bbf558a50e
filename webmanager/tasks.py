"""Regular work of the manager, run by Celery."""

from __future__ import annotations

from celery import shared_task

from webmanager import services


@shared_task
def prune() -> None:
    """Removes what is older than the manager keeps, and ends operations whose process died."""
    services.prune()
