"""On a real cluster, in Chromium: the manager is killed and comes back while a failover runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.bench.web import free_ports
from tests.browser.test_builder_demo import kill_web
from webmanager.demo.demo import Demo
from webmanager.demo.machine import until

pytestmark = [pytest.mark.browser, pytest.mark.root, pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(180)]
LIMIT_MS = 60_000


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with Demo(tmp_path_factory.mktemp("demo") / "demo", ports=free_ports(), say=lambda text: None) as up:
        yield up


@pytest.fixture
def page(demo: Demo, chromium: Any) -> Iterator[Any]:
    context = chromium.new_context(viewport={"width": 1400, "height": 900})
    context.set_default_timeout(LIMIT_MS)
    found = context.new_page()
    assert demo.console
    found.goto(demo.console.url)
    found.get_by_label("User name").fill(demo.console.user)
    found.get_by_label("Password").fill(demo.console.password)
    found.get_by_role("button", name="Sign in").click()
    found.locator("clp-live .state[data-look=good]").wait_for()
    yield found
    context.close()


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
