"""The Django application of the manager."""

from __future__ import annotations

from django.apps import AppConfig


class WebManagerConfig(AppConfig):
    name = "webmanager"
    verbose_name = "openclp"
