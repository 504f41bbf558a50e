"""The demo with real servers, and a browser that is signed in there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.bench.web import free_ports
from tests.manager import MANY, postgresql
from tests.webmanager import stack
from webmanager.demo.demo import Demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    directory = tmp_path_factory.mktemp("demo")
    with several(directory), Demo(directory / "demo", ports=free_ports(), say=lambda text: None) as up:
        yield up


@contextmanager
def several(directory: Path) -> Iterator[None]:
    """With OPENCLP_TEST_STACK=many its manager has two web servers, two workers, a PostgreSQL and a message server."""
    with contextlib.ExitStack() as parts, pytest.MonkeyPatch.context() as patch:
        if MANY:
            patch.setenv("DATABASE_URL", parts.enter_context(postgresql()).url)
            patch.setenv("REDIS_URL", parts.enter_context(stack.valkey(directory)))
            patch.setenv("OPENCLP_WEB", "2")
            patch.setenv("OPENCLP_WORKERS", "2")
        yield


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
