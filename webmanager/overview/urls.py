"""Paths of this package."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from webmanager.overview import events, views

urlpatterns: list[URLPattern | URLResolver] = [
    path("overview/", views.overview, name="overview"),
    path("search/", views.search, name="search"),
    path("events/", events.events, name="events"),
    path("events/rows", events.rows, name="events-rows"),
    path("events/acks", events.acks, name="events-acks"),
    path("events/export", events.download, name="events-export"),
    path("events/acknowledge", events.acknowledge, name="events-acknowledge"),
    path("events/<int:number>/", events.event, name="event"),
]
