"""Nobody is shut out: axe finds nothing, in light and in dark, on any page, in any state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]
Look = Callable[..., Any]
PAGES = ["/login/", "/servers/", "/servers/server1/", "/groups/", "/groups/failover1/", "/events/", "/operations/",
         "/operate/?op=group_move&target=failover1"]  # fmt: skip
OBJECTS = ["cluster", "server/server1", "group/failover1", "resource/fip1", "monitor/ipw1", "heartbeat/lanhb1"]


def findings(page: Any) -> list[str]:
    results = Axe().run(page)
    return [
        f"{one['id']}: {node['target']} {node.get('failureSummary', '')}"
        for one in results.response["violations"]
        for node in one["nodes"]
    ]


def trouble(manager: Any) -> None:
    manager.do("reset", demo=True)
    manager.do("crash", server="server2")
    manager.do("mark", cut=[["lanhb1", "server1"]], away=["server3"])
    manager.do("monitor", name="ipw1", server="server1", detail="No answer from 10.20.0.1.")
    manager.do("also", group="failover1", server="server3")


@pytest.mark.parametrize("scheme", [pytest.param("light", marks=pytest.mark.long), "dark"])
def test_axe_finds_nothing_on_the_live_page(look: Look, manager: Any, scheme: str) -> None:
    trouble(manager)
    page = look("/", color_scheme=scheme, reduced_motion="reduce")
    for thing in OBJECTS:
        page.evaluate("(to) => { location.hash = to; }", f"#/{thing}")
        expect(page.locator(f'[data-object^="{thing}"]')).to_be_visible()
        assert findings(page) == [], thing


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.long)])
def test_axe_finds_nothing_on_other_pages(look: Look, manager: Any, scheme: str) -> None:
    trouble(manager)
    page = look("/", color_scheme=scheme, reduced_motion="reduce")
    for path in PAGES:
        page.goto(manager.url + path)
        assert findings(page) == [], path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_the_dialog_nor_on_a_phone(look: Look, manager: Any, scheme: str) -> None:
    settings = {"color_scheme": scheme, "reduced_motion": "reduce", "viewport": {"width": 390, "height": 844}}
    page = look("/#/group/failover1", **settings)
    assert findings(page) == []
    page.get_by_role("button", name="Move …").click()
    expect(page.get_by_role("dialog", name="Move group failover1")).to_be_visible()
    assert findings(page) == []


def test_axe_finds_nothing_without_servers_nor_while_stale(look: Look, manager: Any) -> None:
    manager.do("reset", empty=True)
    page = look("/", reduced_motion="reduce")
    expect(page.locator("clp-topology .empty")).to_be_visible()
    assert findings(page) == []

    manager.do("reset")
    expect(page.locator(".server-card")).to_have_count(3)
    manager.do("set", mute=True)
    expect(page.locator(".banner")).to_be_visible()
    assert findings(page) == []
