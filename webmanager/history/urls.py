"""Paths of this package."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from webmanager.history import api, views

_C = "api/v2/clusters/<str:cluster>/history"

urlpatterns: list[URLPattern | URLResolver] = [
    path("history/", views.history, name="history"),
    path(_C, api.StateThen.as_view()),
    path(f"{_C}/changes", api.Changes.as_view()),
    path(f"{_C}/line", api.Line.as_view()),
]
