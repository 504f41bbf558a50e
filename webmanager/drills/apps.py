"""The Django application of this package."""

from __future__ import annotations

from django.apps import AppConfig


class DrillsConfig(AppConfig):
    name = "webmanager.drills"
    label = "drills"
