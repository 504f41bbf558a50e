"""Long work of the Builder, run by Celery."""

from __future__ import annotations

from celery import shared_task

from builder import whatif


@shared_task
def play_whatif(key: int) -> None:
    """Plays the failures of a draft and of what runs."""
    whatif.play(key)
