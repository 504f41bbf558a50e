"""The clusters of this manager, and all that is known of one."""

from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync
from django.apps import apps
from rest_framework.request import Request
from rest_framework.response import Response

from webmanager import access
from webmanager.api.v2 import shapes
from webmanager.api.v2.base import OK, Base, ClusterBase, documented
from webmanager.overview import selectors as overview
from webmanager.overview.views import roles_of
from webmanager.version import VERSION

_ROOT = {
    "clusters": "/api/v2/clusters",
    "operations": "/api/v2/operations/{id}",
    "search": "/api/v2/search",
    "audit": "/api/v2/audit",
    "tokens": "/api/v2/tokens",
    "original": "/api/v1/cluster",
    "schema": "/api/schema",
}
_PARTS = (
    "status",
    "events",
    "events/stream",
    "events/acknowledge",
    "history",
    "recoveries",
    "availability",
    "drills",
    "drill-schedules",
    "mirrors",
    "logs",
    "operations",
    "groups/{name}/explain",
    "whatif",
)


class Root(Base):
    @documented(shapes.RootReply, operation_id="v2_root")
    def get(self, request: Request) -> Response:
        """What there is."""
        return Response({"version": VERSION, "links": _ROOT | _drafts(), "result": OK})


class Clusters(Base):
    @documented(shapes.ClustersReply, operation_id="v2_clusters")
    def get(self, request: Request) -> Response:
        """The clusters that you may see, the one in the worst state first."""
        cards = async_to_sync(overview.cards)(roles=roles_of(request))
        return Response({"clusters": [item(card) for card in cards], "result": OK})


class OneCluster(ClusterBase):
    @documented(shapes.ClusterCardReply, operation_id="v2_cluster")
    def get(self, request: Request, cluster: str) -> Response:
        """One cluster in a few words."""
        found = self.cluster()
        role = access.role_of(request.user, found)
        (card,) = async_to_sync(overview.cards)(roles={found.name: role})
        return Response({"cluster": item(card), "result": OK})


class Status(ClusterBase):
    @documented(shapes.StatusReply, operation_id="v2_status")
    def get(self, request: Request, cluster: str) -> Response:
        """Everything that is known of it now, with the age of each server's word."""
        return Response({"status": self.status(), "result": OK})


def item(card: dict[str, Any]) -> dict[str, Any]:
    base = f"/api/v2/clusters/{card['name']}"
    return {
        **{field: card[field] for field in ("name", "comment", "status", "worst", "age_s", "role")},
        "servers": card["servers"]["all"],
        "servers_online": card["servers"]["online"],
        "groups": card["groups"]["all"],
        "groups_online": card["groups"]["online"],
        "agents": card["agents"]["connected"],
        "problems": [
            {field: one[field] for field in ("look", "code", "kind", "name", "text", "since")}
            for one in card["problems"]
        ],
        "unacknowledged": card["open"],
        "links": {"self": base} | {part.replace("/{name}", ""): f"{base}/{part}" for part in _PARTS} | _drafts(base),
    }


def _drafts(cluster: str = "") -> dict[str, str]:
    """Configurations are the Builder's, which a manager may do without."""
    if not apps.is_installed("builder"):
        return {}
    of_cluster = {part: f"{cluster}/{part}" for part in ("change", "applies")} if cluster else {}
    return {part: f"/api/v2/{part}" for part in ("drafts", "versions")} | of_cluster
