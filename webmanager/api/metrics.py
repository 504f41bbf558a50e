"""Figures about a cluster: how long its groups have run, when its configuration came into force, its time-out ratio."""

from __future__ import annotations

import datetime
from typing import Any

from asgiref.sync import async_to_sync
from rest_framework.request import Request
from rest_framework.response import Response

from webmanager import access, selectors
from webmanager.api import serializers as shapes
from webmanager.api.views import OK, ClusterBase, documented


class TimeoutRatio(ClusterBase):
    @documented(shapes.RatioReply, operation_id="cluster_toratio")
    def get(self, request: Request) -> Response:
        """The factor of all time-outs. It is 1: this release knows no other."""
        self.status()
        return Response({"cluster": {"toratio": 1}, "result": OK})


class Uptimes(ClusterBase):
    """The original's clients show what they get; the name of the field is ours."""

    @documented(shapes.UptimesReply, operation_id="groups_uptime")
    def get(self, request: Request) -> Response:
        """For how many seconds each failover group has been online without a break; 0: it is not online."""
        return self.answer(None)

    def answer(self, name: str | None) -> Response:
        cluster = self.cluster()
        groups = access.get_status_or_404(cluster)["groups"]
        wanted = groups if name is None else {name: access.get_object_or_404({"groups": groups}, "groups", name)}
        uptimes = async_to_sync(selectors.uptimes)(cluster=cluster.name)
        found: list[dict[str, Any]] = [{"name": one, "uptime": int(uptimes.get(one, 0.0))} for one in wanted]
        return Response({"groups": found, "result": OK})


class Uptime(Uptimes):
    @documented(shapes.UptimesReply, operation_id="group_uptime")
    def get(self, request: Request, name: str) -> Response:
        """The same of one failover group."""
        return self.answer(name)


class LastApplied(ClusterBase):
    @documented(shapes.LastAppliedReply, operation_id="config_last_applied_date")
    def get(self, request: Request) -> Response:
        """When the configuration that runs was applied (ISO 8601), as its servers logged it; else when this manager
        first saw it."""
        at = selectors.config_applied_at(cluster=self.cluster())
        shown = datetime.datetime.fromtimestamp(at, datetime.UTC).isoformat(timespec="seconds")
        return Response({"config": {"last-applied-date": shown}, "result": OK})
