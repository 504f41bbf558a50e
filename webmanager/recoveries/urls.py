"""Paths of this package."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from webmanager.recoveries import api, views

_C = "api/v2/clusters/<str:cluster>"

urlpatterns: list[URLPattern | URLResolver] = [
    path("recoveries/", views.recoveries, name="recoveries"),
    path("recoveries/<int:key>/", views.recovery, name="recovery"),
    path("availability/", views.availability, name="availability"),
    path("availability/<str:name>/", views.availability_of_group, name="availability-group"),
    path("groups/<str:name>/explain/", views.explain_group, name="group-explain"),
    path("report/", views.report, name="report"),
    path(f"{_C}/recoveries", api.Recoveries.as_view()),
    path(f"{_C}/recoveries/<int:key>", api.OneRecovery.as_view()),
    path(f"{_C}/availability", api.Availability.as_view()),
]
