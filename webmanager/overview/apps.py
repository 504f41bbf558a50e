"""The Django application of this package."""

from __future__ import annotations

from django.apps import AppConfig


class OverviewConfig(AppConfig):
    name = "webmanager.overview"
    label = "overview"
