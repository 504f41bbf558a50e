"""Which clock the loop of a test has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest

from tests.agent.daemon.virtual_time import VirtualTimeLoop


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "virtual_time: no timer waits, the clock of the loop jumps (virtual_time.py)")


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    if item.get_closest_marker("virtual_time"):
        return {"virtual": VirtualTimeLoop}
    return {"real": asyncio.new_event_loop}
