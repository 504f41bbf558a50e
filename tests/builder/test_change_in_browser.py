"""A change of the configuration in Chromium: the banner on every page, the countdown, both ways out by keyboard."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from tests.builder.servers import FakeServers, joined
from tests.builder.test_in_browser import chromium, findings, look
from tests.webmanager.conftest import cluster, register

__all__ = ["chromium", "cluster", "look", "register"]
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]
SHAPES = [("light", "en", 1400), ("dark", "ja", 390)]


class Trial:
    """Servers that run a new configuration on trial, told by agents in a thread of their own."""

    def __init__(self, manager: Any, cluster: str, register: Callable[..., str]) -> None:
        self.servers = FakeServers(cluster)
        self.wish = {
            "id": "by-a-command", "target": "b" * 16, "by": "root@clpcfctrl", "why": "more memory", "confirm_s": 300.0,
        }  # fmt: skip
        self._loop = asyncio.new_event_loop()
        self._ended = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(manager, register), daemon=True)

    def _run(self, manager: Any, register: Callable[..., str]) -> None:
        async def live() -> None:
            async with joined(manager, self.servers, register):
                self._ready.set()
                await self._ended.wait()

        self._loop.run_until_complete(live())

    def begin(self) -> None:
        self._thread.start()
        assert self._ready.wait(60)

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(10)

    def do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def runs(self) -> None:
        switch = msgspec.to_builtins(self.servers.switch(self.wish))
        self.do(self.servers.say(self.servers.trying(self.wish), config=self.wish["target"], switch=switch))

    def over(self, **how: Any) -> None:
        switch = msgspec.to_builtins(self.servers.switch(self.wish, **how))
        config = self.wish["target"] if how["state"] == "confirmed" else self.servers.origin
        self.do(self.servers.say(config=config, switch=switch))


@pytest.fixture
def trial(manager: Any, people: Any, cluster: str, register: Callable[..., str]) -> Iterator[Trial]:
    made = Trial(manager, cluster, register)
    made.begin()
    yield made
    made.end()


@pytest.mark.parametrize(("scheme", "language", "width"), SHAPES)
def test_trial_is_shown_everywhere_without_an_axe_finding(look, trial, cluster, scheme, language, width):
    trial.runs()
    more = {"color_scheme": scheme, "reduced_motion": "reduce", "viewport": {"width": width, "height": 900}}
    page = look(f"/builder/change?cluster={cluster}", language, **more)
    for path in ("/builder/change", "/servers/", "/builder/", "/operations/", "/"):
        assert page.goto(look.address(f"{path}?cluster={cluster}")).status == 200, path
        assert findings(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        banner = page.locator("clp-change aside")
        assert banner.count() == (0 if path == "/builder/change" else 1), path


def test_countdown_goes_down_and_banner_of_the_live_page_comes_and_goes(look, trial, cluster):
    page = look(f"/?cluster={cluster}")
    page.locator("clp-live .state[data-look=good]").wait_for()
    assert page.locator("clp-change aside").count() == 0

    trial.runs()
    page.locator("clp-change clp-countdown").wait_for()
    first = page.locator("clp-change clp-countdown").inner_text()
    assert re.fullmatch(r"[45] min( \d+ s)?", first)
    page.wait_for_function(
        "first => document.querySelector('clp-change clp-countdown').textContent !== first", arg=first
    )
    trial.over(state="returned", reason="it was not confirmed within 300 s")
    page.locator("clp-change aside").wait_for(state="detached")


def test_confirmed_by_keyboard_alone(look, trial, cluster):
    trial.runs()
    page = look(f"/servers/?cluster={cluster}")
    page.get_by_role("link", name="Look and decide").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/builder/change*")
    for _ in range(60):
        if page.evaluate("document.activeElement.id") == "confirm-now":
            break
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "confirm-now"
    page.keyboard.press("Enter")

    request = trial.do(trial.servers.asked("config_confirm"))
    assert (request["target"], request["by"].partition("@")[0]) == ("by-a-command", "alice")
    trial.over(state="confirmed")
    page.get_by_text("It is in force on all servers.").wait_for()
    assert findings(page) == []


def test_return_and_its_reason_appear_on_the_open_page(look, trial, cluster):
    trial.runs()
    page = look(f"/builder/change?cluster={cluster}")
    page.get_by_role("button", name="Return now").click()

    request = trial.do(trial.servers.asked("config_return"))
    assert request["target"] == "by-a-command"
    trial.do(trial.servers.wrote(73, cluster, trial.servers.origin, "alice wanted it"))
    trial.over(state="returned", reason="alice wanted it")
    page.get_by_text("It was taken back.").wait_for()
    assert "alice wanted it" in page.locator("#change .remark").inner_text()
    assert page.get_by_role("button", name="Return now").count() == 0
    page.locator("#change .notes li").first.wait_for()
