"""Paths below /api/v2."""

from __future__ import annotations

from django.urls import path

from webmanager.api.v2 import attention, audit, clusters, events, explain, logs, operations, tokens

_C = "clusters/<str:cluster>"

urlpatterns = [
    path("clusters", clusters.Clusters.as_view()),
    path(_C, clusters.OneCluster.as_view()),
    path(f"{_C}/status", clusters.Status.as_view()),
    path(f"{_C}/events", events.Events.as_view()),
    path(f"{_C}/events/stream", events.EventStream.as_view()),
    path(f"{_C}/events/acknowledge", attention.Acknowledge.as_view()),
    path("search", attention.Search.as_view()),
    path(f"{_C}/operations", operations.Operations.as_view()),
    path(f"{_C}/logs", logs.Collections.as_view()),
    path(f"{_C}/logs/<uuid:key>", logs.OneCollection.as_view()),
    path(f"{_C}/logs/<uuid:key>/cancel", logs.Cancel.as_view()),
    path(f"{_C}/logs/<uuid:key>/file", logs.File.as_view()),
    path(f"{_C}/groups/<str:name>/explain", explain.ExplainGroup.as_view()),
    path(f"{_C}/whatif", explain.WhatIf.as_view()),
    path("audit", audit.Audit.as_view()),
    path("operations/<uuid:key>", operations.OneOperation.as_view()),
    path("operations/<uuid:key>/cancel", operations.CancelOperation.as_view()),
    path("tokens", tokens.Tokens.as_view()),
    path("tokens/<uuid:key>", tokens.OneToken.as_view()),
]
