"""The Django application of the recorded states."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from django.apps import AppConfig

if TYPE_CHECKING:
    from webmanager.hub import Hub


class HistoryConfig(AppConfig):
    name = "webmanager.history"
    label = "history"

    def ready(self) -> None:
        from webmanager import hub

        if _record not in hub.works:
            hub.works.append(_record)


def _record(there: Hub) -> Coroutine[Any, Any, None]:
    from webmanager.history.recorder import record

    return record(there)
