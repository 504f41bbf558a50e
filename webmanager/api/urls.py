"""Paths of the REST interface; without a slash at the end, as the original's."""

from __future__ import annotations

from django.urls import URLPattern, include, path, re_path
from drf_spectacular.views import SpectacularAPIView

from webmanager.api import metrics, operations, views
from webmanager.api.fallback import no_such_path
from webmanager.api.v2 import clusters
from webmanager.mirrors import backups_rest as backups
from webmanager.mirrors.operations import BACKUPS, RESTORES

_CLUSTER = {
    "start": "Starts the cluster service on every server.",
    "stop": "Stops the cluster service on every server.",
    "reboot": "Stops the cluster service and reboots every server.",
    "shutdown": "Stops the cluster service and shuts every server down.",
    "suspend": "Suspends the cluster: groups go on, nothing is moved or restarted.",
    "resume": "Ends the suspension.",
}
_SERVER = {
    "start": "Starts the cluster service of one server.",
    "stop": "Stops the cluster service of one server; its groups move.",
    "reboot": "Reboots one server; its groups move.",
    "shutdown": "Shuts one server down; its groups move.",
    "release": "Ends the quarantine of a server that was lost too often. Not in the original.",
}
_MONITOR = {
    "suspend": ("monitor_suspend", "Suspends a monitor on `target`, or on every server."),
    "resume": ("monitor_resume", "Resumes a monitor on `target`, or on every server."),
    "dummy-failure/start": ("monitor_fail", "Lets a monitor pretend an error; its recovery really runs."),
    "dummy-failure/stop": ("monitor_mend", "Ends the pretended error of a monitor."),
}
_LATER = (
    ("cluster/toratio/set", "", "Changing the time-out ratio"),
    ("cluster/toratio/reset", "", "Resetting the time-out ratio"),
    ("servers/<str:name>/dummy-failure/start", "servers", "A dummy failure of a server"),
    ("servers/<str:name>/dummy-failure/stop", "servers", "Ending a dummy failure of a server"),
    ("resources/<str:name>/start", "resources", "Starting a single resource"),
    ("resources/<str:name>/stop", "resources", "Stopping a single resource"),
    ("scripts/run", "", "Running a script"),
)  # fmt: skip
_BACKUPS = {
    "backup/preaction": ("mirror_backup_begin", "Separates the mirror disks of a server that stands by, for a backup."),
    "backup/postaction": ("mirror_backup_end", "Ends the backup: the disks join again, and what differs is copied."),
    "restore/preaction": ("mirror_restore_begin", "The mirror disks of a server may be written. Administrators only."),
    "restore/postaction": (
        "mirror_restore_end",
        "What was restored is the truth, and is copied to the other server. Administrators only.",
    ),
}


def _later(route: str, kind: str, what: str, method: str = "post") -> URLPattern:
    key = route.replace("<str:name>/", "").replace("/", "_").replace("-", "_")
    return path(f"v1/{route}", operations.later_view(key, kind, what, method))


urlpatterns = [
    path("schema", SpectacularAPIView.as_view(), name="api-schema"),
    path("v1/cluster", views.ClusterView.as_view(), name="api-cluster"),
    path("v1/cluster/toratio", metrics.TimeoutRatio.as_view()),
    path("v1/metrics/groups/uptime", metrics.Uptimes.as_view()),
    path("v1/metrics/groups/<str:name>/uptime", metrics.Uptime.as_view()),
    path("v1/metrics/config/last-applied-date", metrics.LastApplied.as_view()),
    path("v1/servers", views.Servers.as_view()),
    path("v1/servers/<str:name>", views.Server.as_view()),
    path("v1/groups", views.Groups.as_view()),
    path("v1/groups/start", operations.GroupsStart.as_view()),
    path("v1/groups/stop", operations.GroupsStop.as_view()),
    path("v1/groups/<str:name>", views.Group.as_view()),
    path("v1/groups/<str:name>/start", operations.GroupStart.as_view()),
    path("v1/groups/<str:name>/stop", operations.GroupStop.as_view()),
    path("v1/groups/<str:name>/move", operations.GroupMove.as_view()),
    path("v1/resources", views.Resources.as_view()),
    path("v1/resources/<str:name>", views.Resource.as_view()),
    path("v1/monitors", views.Monitors.as_view()),
    path("v1/monitors/<str:name>", views.Monitor.as_view()),
    path("v1/partition", views.Partition.as_view()),
    path("v1/fences", views.Fences.as_view()),
    path("v1/fences/arm", operations.FenceArm.as_view()),
    path("v1/fences/disarm", operations.FenceDisarm.as_view()),
    path("v1/fences/<str:name>", views.Fence.as_view()),
    path("v1/fences/<str:name>/test", operations.FenceTest.as_view()),
    path("v1/servers/<str:name>/confirm-off", operations.ConfirmOff.as_view()),
    path("v1/events", views.Events.as_view()),
    *(path(f"v1/cluster/{verb}", operations.cluster_view(verb, what)) for verb, what in _CLUSTER.items()),
    *(path(f"v1/servers/<str:name>/{verb}", operations.server_view(verb, what)) for verb, what in _SERVER.items()),
    *(path(f"v1/monitors/<str:name>/{v}", operations.monitor_view(op, what)) for v, (op, what) in _MONITOR.items()),
    *(_later(*row) for row in _LATER),
    *(path(f"v1/mirrors/{where}", backups.action(op, what)) for where, (op, what) in _BACKUPS.items()),
    path("v1/mirrors/backup/status", backups.status(BACKUPS, "mirror_backup_status", "How the newest backup goes.")),
    path(
        "v1/mirrors/restore/status", backups.status(RESTORES, "mirror_restore_status", "How the newest restore goes.")
    ),
    path("v2", clusters.Root.as_view()),
    path("v2/", include("webmanager.api.v2.urls")),
    re_path(r"^.*$", no_such_path),
]
