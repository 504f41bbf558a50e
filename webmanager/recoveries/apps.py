"""The Django application of this package."""

from __future__ import annotations

from django.apps import AppConfig


class RecoveriesConfig(AppConfig):
    name = "webmanager.recoveries"
    label = "recoveries"
