"""The Celery application: tasks that need no browser, and the clock that starts them."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import beat_embedded_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webmanager.settings")
app = Celery("webmanager")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(
    [
        "webmanager",
        "webmanager.history",
        "webmanager.recoveries",
        "webmanager.measures",
        "webmanager.logs",
        "webmanager.drills",
        "builder",
    ]
)


@beat_embedded_init.connect
def _die_with_the_worker(**_: Any) -> None:
    """`worker -B` forks the clock; without this it would outlive a killed worker."""
    from webmanager.supervisor import die_with_parent

    die_with_parent()
