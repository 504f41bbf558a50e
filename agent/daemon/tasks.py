"""The end of tasks that nobody waits for any more."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any


async def give_up(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel them, and wait until each has cleaned up after itself; what they bring or raise is of no interest."""
    given_up = tuple(tasks)  # They may leave the collection as they end.
    for task in given_up:
        task.cancel()
    await asyncio.gather(*given_up, return_exceptions=True)
