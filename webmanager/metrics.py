"""GET /metrics: all clusters for Prometheus; for this machine, for OPENCLP_METRICS_CLIENTS, and for tokens.

A token (Bearer, as of the REST interface) sees the clusters that its owner sees; the others see all.
"""

from __future__ import annotations

import functools
import ipaddress
import logging
from collections.abc import Iterator
from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import api_view, authentication_classes, permission_classes

from agent.wire.metrics import CONTENT_TYPE, Sample, of_status, text
from webmanager import access, selectors
from webmanager.accounts import addresses
from webmanager.api.authentication import LimitedBasicAuthentication, TokenAuthentication
from webmanager.models import Cluster

log = logging.getLogger(__name__)


@extend_schema(exclude=True)
@api_view(["GET"])
@authentication_classes([TokenAuthentication, LimitedBasicAuthentication])
@permission_classes([])
def metrics(request: HttpRequest) -> HttpResponse:
    clusters = _clusters(request)
    if clusters is None:
        words = "Send a token of the REST interface (Authorization: Bearer), or ask from an address that may.\n"
        headers = {"WWW-Authenticate": "Bearer"}
        return HttpResponse(words, status=401, content_type="text/plain; charset=utf-8", headers=headers)
    snapshots = async_to_sync(selectors.snapshots)(clusters=[cluster.name for cluster in clusters])
    samples = [sample for found in snapshots.values() for sample in _of_snapshot(found)]
    response = HttpResponse(text(samples), content_type=CONTENT_TYPE)
    response["Cache-Control"] = "no-store"
    return response


metrics.open_to_all = True  # It has rules of its own.


def _clusters(request: HttpRequest) -> list[Cluster] | None:
    """Those that may be told to whoever asks; None: nothing at all."""
    if request.user.is_authenticated:
        return access.clusters(request.user)
    origin = addresses.of_request(request.META)
    return selectors.clusters() if origin.local or _is_listed(origin.address) else None


def _is_listed(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in _networks(settings.METRICS_CLIENTS))


@functools.lru_cache(maxsize=4)
def _networks(words: tuple[str, ...]) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    found = []
    for word in words:
        try:
            found.append(ipaddress.ip_network(word, strict=False))
        except ValueError:
            log.error("OPENCLP_METRICS_CLIENTS: %s is no address and no network; it is left out.", word)
    return tuple(found)


def _of_snapshot(snapshot: dict[str, Any]) -> Iterator[Sample]:
    yield from of_status(snapshot["status"])
    for node, agent in snapshot["agents"].items():
        labels = {"cluster": str(snapshot["cluster"]), "server": node}
        yield Sample("openclp_agent_connected", labels, float(bool(agent["connected"])))
