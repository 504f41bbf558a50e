"""A stand-in manager as a process of its own, and Chromium."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
]  # fmt: skip
CHROMIUM = os.environ.get("OPENCLP_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
LIMIT_MS = 30_000


class Standin:
    """Tells the stand-in manager what shall happen."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def do(self, what: str, **order: Any) -> dict[str, Any]:
        body = json.dumps({"do": what, **order}).encode()
        request = urllib.request.Request(f"{self.url}/_do", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=LIMIT_MS / 1000) as answer:
            return dict(json.load(answer))


@pytest.fixture(scope="package")
def process() -> Iterator[Standin]:
    argv = [sys.executable, "-m", "tests.browser.standin"]
    with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdin
        assert running.stdout
        port = running.stdout.readline()
        assert port.strip(), "the stand-in did not start; its error is above"
        try:
            yield Standin(int(port))
        finally:
            running.stdin.close()
            try:
                running.wait(10)
            except subprocess.TimeoutExpired:
                running.kill()


@contextmanager
def launched() -> Iterator[Any]:
    if not CHROMIUM:
        pytest.skip("no Chromium: apt-get install chromium, or set OPENCLP_CHROMIUM")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


# Of the package, not of the session: Playwright keeps a running loop in this thread, which other tests must not meet.
@pytest.fixture(scope="package")
def chromium() -> Iterator[Any]:
    with launched() as browser:
        yield browser


@pytest.fixture
def manager(process: Standin) -> Standin:
    process.do("reset")
    return process


@pytest.fixture
def look(chromium: Any, manager: Standin) -> Iterator[Callable[..., Any]]:
    """look("/path", setting=…) opens a page of its own; anything that the page complains of fails the test."""
    contexts: list[Any] = []
    complaints: list[str] = []

    def open_page(path: str = "/", allow: str = "", **settings: Any) -> Any:
        context = chromium.new_context(**{"viewport": {"width": 1440, "height": 900}, **settings})
        contexts.append(context)
        context.set_default_timeout(LIMIT_MS)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(f"{path}: {error}"))
        page.on("console", lambda message: _note(complaints, message, allow))
        page.goto(manager.url + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def _note(complaints: list[str], message: Any, allow: str) -> None:
    if message.type in ("error", "warning") and not (allow and allow in message.text):
        complaints.append(message.text)
