"""The Django application of this package."""

from __future__ import annotations

from django.apps import AppConfig


class MirrorsConfig(AppConfig):
    name = "webmanager.mirrors"
    label = "mirrors"
