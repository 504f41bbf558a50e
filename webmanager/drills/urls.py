"""Paths of this package."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from webmanager.drills import rest, views

urlpatterns: list[URLPattern | URLResolver] = [
    path("drills/", views.drills, name="drills"),
    path("drills/new/", views.new, name="drill_new"),
    path("drills/window", views.window, name="drill_window"),
    path("drills/unschedule", views.unschedule, name="drill_unschedule"),
    path("drills/<uuid:key>/", views.drill, name="drill"),
    path("drills/<uuid:key>/end", views.end, name="drill_end"),
    path("api/v2/clusters/<str:cluster>/drills", rest.Drills.as_view()),
    path("api/v2/clusters/<str:cluster>/drills/check", rest.Check.as_view()),
    path("api/v2/clusters/<str:cluster>/drill-schedules", rest.Schedules.as_view()),
    path("api/v2/drills/<uuid:key>", rest.OneDrill.as_view()),
    path("api/v2/drills/<uuid:key>/end", rest.End.as_view()),
    path("api/v2/drill-schedules/<int:key>", rest.OneSchedule.as_view()),
]
