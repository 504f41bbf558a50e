"""The Django application of this package."""

from __future__ import annotations

from django.apps import AppConfig


class HistoryConfig(AppConfig):
    name = "webmanager.history"
    label = "history"
