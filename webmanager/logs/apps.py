"""The Django application of this package."""

from __future__ import annotations

from django.apps import AppConfig


class LogsConfig(AppConfig):
    name = "webmanager.logs"
    label = "logs"
