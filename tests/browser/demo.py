"""The demo with real servers, and a browser that is signed in there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.bench.web import free_ports
from webmanager.demo.demo import Demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with Demo(tmp_path_factory.mktemp("demo") / "demo", ports=free_ports(), say=lambda text: None) as up:
        yield up


@contextmanager
def signed_in(demo: Demo, chromium: Any, limit_ms: float) -> Iterator[Any]:
    """A page of the administrator, live."""
    context = chromium.new_context(viewport={"width": 1400, "height": 900})
    context.set_default_timeout(limit_ms)
    found = context.new_page()
    assert demo.console
    found.goto(demo.console.url)
    found.get_by_label("User name").fill(demo.console.user)
    found.get_by_label("Password").fill(demo.console.password)
    found.get_by_role("button", name="Sign in").click()
    found.locator("clp-live .state[data-look=good]").wait_for()
    yield found
    context.close()
