"""Addresses that name their cluster."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponseRedirect
from django.urls import reverse

from webmanager.models import Cluster


def redirect_to(cluster: Cluster | None, name: str, *args: Any) -> HttpResponseRedirect:
    """By name: else the session would decide, in which another tab may have chosen another cluster meanwhile."""
    query = {"cluster": cluster.name} if cluster is not None else {}
    return HttpResponseRedirect(reverse(name, args=args, query=query))
