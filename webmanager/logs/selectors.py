"""Collections of logs, as pages and REST read them."""

from __future__ import annotations

import uuid

from django.http import Http404
from django.utils.translation import gettext as _

from webmanager import access
from webmanager.logs.models import Collection
from webmanager.models import Cluster

SHOWN = 50


def collections(*, cluster: Cluster) -> list[Collection]:
    return list(Collection.objects.filter(cluster=cluster).defer("cause", "standing")[:SHOWN])


def get_or_404(key: uuid.UUID, cluster: Cluster | None = None) -> Collection:
    """For operators of its cluster only."""
    found = Collection.objects.select_related("cluster").filter(pk=key).first()
    if found is None or not access.asker_may_see(found.cluster) or cluster not in (None, found.cluster):
        raise Http404(_("There is no such collection of logs."))
    return found
