"""The Django application of people and agents."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from django.apps import AppConfig

if TYPE_CHECKING:
    from webmanager.hub import Hub


class AccountsConfig(AppConfig):
    name = "webmanager.accounts"
    label = "accounts"
    verbose_name = "openclp accounts"

    def ready(self) -> None:
        from webmanager import hub
        from webmanager.accounts import signals

        signals.connect()
        if _watch not in hub.works:
            hub.works.append(_watch)


def _watch(there: Hub) -> Coroutine[Any, Any, None]:
    from webmanager.accounts.revocation import watch

    return watch(there)
