"""Regular work of the manager, run by Celery."""

from __future__ import annotations

from celery import shared_task

from webmanager import services
from webmanager.accounts import joining, sign_ins
from webmanager.history import services as history
from webmanager.logs import services as logs


@shared_task
def prune() -> None:
    """Removes what is older than the manager keeps or has ended, and ends operations whose process died."""
    services.prune()
    sign_ins.prune()
    joining.prune()
    history.prune()
    logs.prune()
