"""A real browser on the real console of a demo."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from webmanager.demo.console import Console
from webmanager.demo.machine import BedError

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
]  # fmt: skip
LIMIT_MS = 20_000


@contextmanager
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    path = os.environ.get("OPENCLP_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not path:
        raise BedError("this needs Chromium: apt-get install chromium, or name it with OPENCLP_CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def page(console: Console, first: str = "") -> Iterator[Any]:
    """The dashboard, signed in and live; the script `first` runs in each page before the page's own."""
    from playwright.sync_api import Error

    with ExitStack() as stack:
        try:
            browser = stack.enter_context(chromium())
            shown = browser.new_page(viewport={"width": 1440, "height": 900})
            shown.set_default_timeout(LIMIT_MS)
            shown.add_init_script(first)
            shown.goto(console.url)
            shown.get_by_label("User name").fill(console.user)
            shown.get_by_label("Password").fill(console.password)
            shown.get_by_role("button", name="Sign in").click()
            shown.locator("clp-live .state[data-look=good]").wait_for()
        except Error as error:
            raise BedError(f"the console could not be opened in Chromium: {error}") from error
        yield shown


def free_ports() -> tuple[int, int]:
    """Two that nobody had a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        return one.getsockname()[1], two.getsockname()[1]
