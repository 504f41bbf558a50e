"""What a manager does about drills as long as it lives: begin those that are due, follow those that run."""

from __future__ import annotations

import asyncio
import logging

from django.db import DatabaseError

from webmanager.drills import schedules, services
from webmanager.drills.models import Drill
from webmanager.hub import Hub
from webmanager.ledger import in_db

log = logging.getLogger(__name__)

_LOOK_S = 1.0
_REST_S = 2.0  # while nothing runs
_DUE_S = 10.0


async def watch(there: Hub) -> None:
    """As long as the hub lives."""
    due_at = 0.0
    loop = asyncio.get_running_loop()
    while True:
        open_ = False
        try:
            if loop.time() >= due_at:
                due_at = loop.time() + _DUE_S
                for taken in await in_db(schedules.due):
                    there.spawn(_begin(taken))
            open_ = await _follow(there)
        except DatabaseError:
            log.exception("drills cannot be followed now")
        except Exception:  # One bad row must not keep the others from their end.
            log.exception("a drill cannot be followed")
        await asyncio.sleep(_LOOK_S if open_ else _REST_S)


async def _follow(there: Hub) -> bool:
    """Whether any is under way."""
    await there.ledger.flush()
    rows = await in_db(services.claimed, there.id)
    for row in rows:
        name = row.cluster.name
        before = row.state
        row = await in_db(services.follow, row, there.id, there.status(name), there.config(name))
        if row.state != before:
            there.announce(name, {"type": "drill", "drill": str(row.id)})
    return bool(rows)


async def _begin(taken: Drill) -> None:
    try:
        await services.start_taken(taken)
    except Exception:  # Its row is closed by whoever follows it.
        log.exception("the scheduled drill %s failed in the manager", taken)
