"""Waiting for what must become true, with a deadline that only a failure reaches, however slow the machine is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

PATIENCE_S = 30.0
_STEP_S = 0.002


def until(claim: Callable[[], Any], timeout_s: float = PATIENCE_S) -> Any:
    """The first true answer; fails when none came in time."""
    deadline = time.monotonic() + timeout_s
    while not (answer := claim()):
        assert time.monotonic() < deadline, f"{claim} was not true within {timeout_s:g} s"
        time.sleep(_STEP_S)
    return answer


async def until_true(claim: Callable[[], Any], timeout_s: float = PATIENCE_S) -> Any:
    """The same, while the loop goes on."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while not (answer := claim()):
        assert loop.time() < deadline, f"{claim} was not true within {timeout_s:g} s"
        await asyncio.sleep(_STEP_S)
    return answer
