"""The Django application of what was measured."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from django.apps import AppConfig

if TYPE_CHECKING:
    from webmanager.hub import Hub


class MeasuresConfig(AppConfig):
    name = "webmanager.measures"
    label = "measures"

    def ready(self) -> None:
        from webmanager import hub

        if _keep not in hub.works:
            hub.works.append(_keep)


def _keep(there: Hub) -> Coroutine[Any, Any, None]:
    from webmanager.measures.keeping import keep

    return keep(there)
