"""On a real cluster, in Chromium: the manager is killed and comes back while a failover runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.demo import demo, signed_in
from tests.browser.test_builder_demo import kill_web
from webmanager.demo.demo import Demo
from webmanager.demo.machine import until

__all__ = ["demo"]
pytestmark = [pytest.mark.browser, pytest.mark.root, pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(180)]
LIMIT_MS = 60_000


@pytest.fixture
def page(demo: Demo, chromium: Any) -> Iterator[Any]:
    with signed_in(demo, chromium, LIMIT_MS) as found:
        yield found


def written(demo: Demo, server: str) -> set[str]:
    """Ids of all that the agent of a server has noted."""
    lines = (demo.cluster.disk(server) / "log" / "events.jsonl").read_text().splitlines()
    return {json.loads(line)["id"] for line in lines}


def test_manager_killed_during_a_failover_tells_the_truth_afterwards(demo: Demo, page: Any) -> None:
    victim = demo.cluster.status()["groups"]["failover1"]["current"]
    living = [name for name in demo.cluster.plan.addresses if name != victim]
    page.evaluate("window.sameDocument = true")

    demo.cluster.crash(victim)
    kill_web(demo)

    expect(page.locator(".banner")).to_have_text(re.compile(r"Not live since \d\d:\d\d:\d\d\."), timeout=LIMIT_MS)
    expect(page).to_have_title(re.compile("not live"))
    expect(page.locator("clp-topology[data-stale]")).to_be_visible()
    expect(page.locator("clp-live .state")).to_have_text("Live", timeout=LIMIT_MS)
    expect(page.locator(".banner")).to_be_hidden()
    until(lambda: demo.cluster.status(living[0])["groups"]["failover1"]["status"] == "Online", "the failover", 60)
    there = demo.cluster.status(living[0])["groups"]["failover1"]["current"]
    assert there in living
    group = page.locator(f'.server-card[data-server="{there}"] [data-group="failover1"] .state')
    expect(group).to_have_text("Online", timeout=LIMIT_MS)
    assert page.evaluate("window.sameDocument") is True

    assert demo.console
    wanted = set().union(*(written(demo, server) for server in living))
    told = page.locator("clp-events .notes > li")
    until(lambda: wanted <= shown(told), "every event of the living servers in the page", 60)
    page.goto(f"{demo.console.url}events/?server={there}&severity=&q=failover1")
    expect(page.get_by_text(re.compile(f"^Group failover1 fails over from {victim} to {there}"))).to_be_visible()


def shown(rows: Any) -> set[str]:
    return set(rows.evaluate_all("all => all.map(one => one.dataset.id)"))
