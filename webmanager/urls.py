"""All paths of the manager."""

from __future__ import annotations

from django.urls import include, path
from django.views.decorators.cache import cache_control
from django.views.i18n import JavaScriptCatalog, set_language

from webmanager import metrics, operating, views
from webmanager.accounts.marks import open_to_all

urlpatterns = [
    path("", views.dashboard, name="dashboard"),
    path("servers/", views.servers, name="servers"),
    path("servers/<str:name>/", views.server, name="server"),
    path("groups/", views.groups, name="groups"),
    path("groups/<str:name>/", views.group, name="group"),
    path("partition/", views.partition, name="partition"),
    path("operate/", operating.operate, name="operate"),
    path("operations/", operating.operations, name="operations"),
    path("operations/<uuid:key>/", operating.operation, name="operation"),
    path("operations/<uuid:key>/cancel", operating.cancel, name="operation-cancel"),
    path("demo/fault", views.demo_fault, name="demo-fault"),
    path("", include("webmanager.accounts.urls")),
    path("", include("webmanager.history.urls")),
    path("", include("webmanager.recoveries.urls")),
    path("", include("webmanager.measures.urls")),
    path("", include("webmanager.logs.urls")),
    path("", include("webmanager.drills.urls")),
    path("", include("webmanager.mirrors.urls")),
    path("", include("webmanager.overview.urls")),
    path("language/", open_to_all(set_language), name="set_language"),
    path(
        "jsi18n/",
        open_to_all(cache_control(max_age=0)(JavaScriptCatalog.as_view(packages=["webmanager"]))),
        name="javascript-catalog",
    ),
    path("builder/", include("builder.urls")),
    path("api/v1/configuration/", include("builder.api.urls")),
    path("api/v2/", include("builder.api.v2.urls")),
    path("api/", include("webmanager.api.urls")),
    path("metrics", metrics.metrics, name="metrics"),
    path("witness/v1/", include("webmanager.witness.urls")),
]

handler400 = views.bad_request
handler403 = views.forbidden
handler404 = views.not_found
handler500 = views.server_error
