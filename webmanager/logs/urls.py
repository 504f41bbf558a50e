"""Paths of this package."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from webmanager.logs import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("logs/", views.logs, name="logs"),
    path("logs/start", views.start, name="logs-start"),
    path("logs/<uuid:key>/", views.log, name="log"),
    path("logs/<uuid:key>/file", views.file, name="log-file"),
    path("logs/<uuid:key>/cancel", views.cancel, name="log-cancel"),
    path("logs/<uuid:key>/delete", views.delete, name="log-delete"),
]
