"""Paths of the witness."""

from __future__ import annotations

from django.urls import path

from webmanager.witness import views

urlpatterns = [
    path("<str:cluster>", views.state, name="witness"),
    path("<str:cluster>/beat", views.ask, {"op": "beat"}),
    path("<str:cluster>/propose", views.ask, {"op": "propose"}),
]
