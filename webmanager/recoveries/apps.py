"""The Django application of this package."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from django.apps import AppConfig

if TYPE_CHECKING:
    from webmanager.hub import Hub


class RecoveriesConfig(AppConfig):
    name = "webmanager.recoveries"
    label = "recoveries"

    def ready(self) -> None:
        from webmanager import hub

        if _watch not in hub.works:
            hub.works.append(_watch)


def _watch(there: Hub) -> Coroutine[Any, Any, None]:
    from webmanager.recoveries.watch import watch

    return watch(there)
