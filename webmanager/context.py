"""What every template may use; the names are the contract with the front end."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlencode

from asgiref.sync import async_to_sync
from django.conf import settings
from django.http import HttpRequest

from webmanager import access, selectors
from webmanager.models import Cluster
from webmanager.overview import selectors as overview
from webmanager.version import VERSION


def console(request: HttpRequest) -> dict[str, Any]:
    user = getattr(request, "user", None)
    chosen = getattr(request, "cluster", None)
    role = access.role_of(user, chosen) if chosen is not None else access.highest_role(user)
    found = access.clusters(user) if role else []
    status = async_to_sync(selectors.status)(cluster=chosen.name) if chosen else None
    return {
        "role": role,
        "may_operate": access.operates(role),
        "may_administer": role == "administrator",
        "may_manage": access.may_administer(user),  # users, agents, the audit: of all clusters
        "cluster": cluster_dict(chosen) if chosen else None,
        "clusters": [cluster_dict(c) for c in found],
        "cluster_query": "?" + urlencode({"cluster": chosen.name}) if chosen and len(found) > 1 else "",
        "configuration": status["cluster"]["configuration"] if status else None,
        "open_events": async_to_sync(overview.open_events)(cluster=chosen.name) if chosen else None,
        "split_brain": status["cluster"]["split_brain"] if status else None,
        "has_mirrors": bool(status and status["mirrors"]),
        "at": time.time(),
        "demo": bool(settings.OPENCLP_DEMO),
        "version": VERSION,
    }


def cluster_dict(cluster: Cluster) -> dict[str, str]:
    return {"id": cluster.name, "name": cluster.name, "comment": cluster.comment}
