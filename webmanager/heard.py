"""Events that were shown already and are not stored yet: whoever asks for one waits for it a moment.

The hub shows an event at once, the ledger stores it some tenths of a second later, perhaps in another process. A click
on an event that has just appeared must not be told that there is no such event.
"""

from __future__ import annotations

import time
from collections.abc import Collection

from asgiref.sync import async_to_sync

from webmanager import ledger
from webmanager.hub import hub
from webmanager.models import Cluster

# Its writing is under way, unless the database does not keep up.
_HEARD_S = 3.0
# This process has not heard it; one that has may be ahead of the bus by that much.
_UNHEARD_S = 0.4
_LOOK_S = 0.05


def missing(*, cluster: Cluster, ids: Collection[str]) -> list[str]:
    """Those that are not stored. Waits for what the hub has heard; of others for what is on its way at most. For the
    thread of a request, outside of a transaction."""
    begun = time.monotonic()
    while left := ledger.unknown(cluster.name, list(ids)):
        limit = _HEARD_S if async_to_sync(_is_heard)(cluster.name, left) else _UNHEARD_S
        if time.monotonic() - begun >= limit:
            break
        time.sleep(_LOOK_S)
    return left


async def _is_heard(cluster: str, ids: Collection[str]) -> bool:
    room = (await hub().ready()).rooms.get(cluster)
    return room is not None and any(room.reducer.has_heard(one) for one in ids)
