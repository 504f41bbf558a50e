"""Regular work: look through what came, forget what is old."""

from __future__ import annotations

from celery import shared_task

from webmanager import selectors
from webmanager.recoveries import services


@shared_task(ignore_result=True)
def sift() -> None:
    for cluster in selectors.clusters():
        services.catch_up(cluster=cluster)


@shared_task(ignore_result=True)
def prune() -> None:
    services.prune()
