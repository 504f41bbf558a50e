"""Paths of this package."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from webmanager.mirrors import rest, views

urlpatterns: list[URLPattern | URLResolver] = [
    path("mirrors/", views.mirrors, name="mirrors"),
    path("mirrors/<str:name>/", views.mirror, name="mirror"),
    path("api/v2/clusters/<str:cluster>/mirrors", rest.Mirrors.as_view()),
    path("api/v2/clusters/<str:cluster>/mirrors/<str:name>", rest.OneMirror.as_view()),
]
