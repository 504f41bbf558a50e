"""The Django application of this package."""

from __future__ import annotations

from django.apps import AppConfig


class MeasuresConfig(AppConfig):
    name = "webmanager.measures"
    label = "measures"
