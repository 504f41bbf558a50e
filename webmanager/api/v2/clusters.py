"""The clusters of this manager, and all that is known of one."""

from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync
from django.apps import apps
from rest_framework.request import Request
from rest_framework.response import Response

from webmanager import access, selectors
from webmanager.api.v2 import shapes
from webmanager.api.v2.base import OK, Base, ClusterBase, documented
from webmanager.models import Cluster
from webmanager.version import VERSION

_ROOT = {
    "clusters": "/api/v2/clusters",
    "operations": "/api/v2/operations/{id}",
    "audit": "/api/v2/audit",
    "tokens": "/api/v2/tokens",
    "original": "/api/v1/cluster",
    "schema": "/api/schema",
}
_PARTS = ("status", "events", "events/stream", "operations", "groups/{name}/explain", "whatif")


class Root(Base):
    @documented(shapes.RootReply, operation_id="v2_root")
    def get(self, request: Request) -> Response:
        """What there is."""
        return Response({"version": VERSION, "links": _ROOT | _drafts(), "result": OK})


class Clusters(Base):
    @documented(shapes.ClustersReply, operation_id="v2_clusters")
    def get(self, request: Request) -> Response:
        """The clusters that you may see."""
        found = access.clusters(request.user)
        known = async_to_sync(selectors.snapshots)(clusters=[cluster.name for cluster in found])
        items = [item(request, cluster, known.get(cluster.name)) for cluster in found]
        return Response({"clusters": items, "result": OK})


class OneCluster(ClusterBase):
    @documented(shapes.ClusterCardReply, operation_id="v2_cluster")
    def get(self, request: Request, cluster: str) -> Response:
        """One cluster in a few words."""
        found = self.cluster()
        known = async_to_sync(selectors.snapshots)(clusters=[found.name])
        return Response({"cluster": item(request, found, known.get(found.name)), "result": OK})


class Status(ClusterBase):
    @documented(shapes.StatusReply, operation_id="v2_status")
    def get(self, request: Request, cluster: str) -> Response:
        """Everything that is known of it now, with the age of each server's word."""
        return Response({"status": self.status(), "result": OK})


def item(request: Request, cluster: Cluster, snapshot: dict[str, Any] | None) -> dict[str, Any]:
    status = snapshot["status"] if snapshot else None
    agents = snapshot["agents"].values() if snapshot else ()
    base = f"/api/v2/clusters/{cluster.name}"
    return {
        "name": cluster.name,
        "comment": status["cluster"]["comment"] if status else cluster.comment,
        "status": status["cluster"]["status"] if status else "Unknown",
        "servers": len(status["servers"]) if status else 0,
        "groups": len(status["groups"]) if status else 0,
        "agents": sum(agent["connected"] for agent in agents),
        "role": access.role_of(request.user, cluster),
        "links": {"self": base} | {part.replace("/{name}", ""): f"{base}/{part}" for part in _PARTS} | _drafts(),
    }


def _drafts() -> dict[str, str]:
    """Configurations are the Builder's, which a manager may do without."""
    return {"drafts": "/api/v1/configuration/drafts"} if apps.is_installed("builder") else {}
