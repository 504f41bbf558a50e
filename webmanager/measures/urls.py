"""Paths of this package."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from webmanager.measures import api, views

urlpatterns: list[URLPattern | URLResolver] = [
    path("monitors/", views.monitors, name="monitors"),
    path("monitors/<str:name>/", views.monitor, name="monitor"),
    path("heartbeats/", views.heartbeats, name="heartbeats"),
    path("heartbeats/<str:name>/", views.heartbeat, name="heartbeat"),
    path("api/v2/clusters/<str:cluster>/measures/<str:kind>/<str:name>", api.Measures.as_view()),
    path("resources/<str:name>/", views.resource, name="resource"),
]
