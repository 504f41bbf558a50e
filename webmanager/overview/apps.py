"""The Django application of this package."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from django.apps import AppConfig

if TYPE_CHECKING:
    from webmanager.hub import Hub


class OverviewConfig(AppConfig):
    name = "webmanager.overview"
    label = "overview"

    def ready(self) -> None:
        from webmanager import hub

        for work in (_attention, _summaries):
            if work not in hub.works:
                hub.works.append(work)


def _attention(there: Hub) -> Coroutine[Any, Any, None]:
    from webmanager.overview.attention import watch

    return watch(there)


def _summaries(there: Hub) -> Coroutine[Any, Any, None]:
    from webmanager.overview.summaries import run

    return run(there)
