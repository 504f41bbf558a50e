"""Regular work on what was measured, run by Celery."""

from __future__ import annotations

import time

from celery import shared_task

from webmanager.measures import keeping


@shared_task
def condense() -> None:
    """Coarser spans for the charts of a month; what is older than that goes."""
    now = int(time.time())
    keeping.condense(now)
    keeping.prune(now)
