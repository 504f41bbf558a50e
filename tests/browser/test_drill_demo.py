"""A drill on a real cluster, from the page: what it says beforehand, what it measures, and what the client saw."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.demo import demo, signed_in
from webmanager.demo.demo import Demo
from webmanager.demo.machine import until

__all__ = ["demo"]
pytestmark = [pytest.mark.browser, pytest.mark.root, pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(300)]
LIMIT_MS = 60_000


@pytest.fixture(scope="module")
def page(demo: Demo, chromium: Any) -> Iterator[Any]:
    with signed_in(demo, chromium, LIMIT_MS) as found:
        yield found


def begin(demo: Demo, page: Any, kind: str, server: str, seconds: int) -> None:
    assert demo.console
    page.goto(f"{demo.console.url}drills/")
    page.get_by_role("button", name="New drill …").click()
    page.get_by_role("radio", name=kind).check()
    page.locator("select[name=server]").select_option(server)
    page.get_by_label("At most, in seconds").fill(str(seconds))
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_text("Safe now", exact=True)).to_be_visible(timeout=LIMIT_MS)
    page.get_by_role("button", name="Start the drill now").click()


def ended(page: Any, words: str) -> None:
    expect(page.locator(".outcome")).to_have_text(words, timeout=LIMIT_MS)


def test_crash_is_predicted_measured_and_reported_as_the_client_saw_it(demo: Demo, page: Any) -> None:
    client, plan = demo.client, demo.cluster.plan
    assert client
    home = demo.cluster.status()["groups"]["failover1"]["current"]
    count = client.count("failover1")

    begin(demo, page, "Crash of a server", home, 5)
    ended(page, "Passed")

    seen_s = client.outage_after("failover1", count, None, 60)
    row = page.locator("table tbody tr", has=page.get_by_role("link", name="failover1")).first
    cells = row.get_by_role("cell").all_inner_texts()
    there = client.seen("failover1").answering
    assert cells[:2] == [home, there]
    measured_s, predicted_s = (float(re.fullmatch(r"([\d.]+) s", text)[1]) for text in cells[2:4])  # type: ignore[index]
    # The client asks every few hundredths of a second and waits for an answer; the servers' own times lie within.
    assert 0 < measured_s <= seen_s + 1
    assert predicted_s > 0
    expect(page.get_by_text("Where the time of failover1 went")).to_be_visible()
    demo.cluster.wait_online(60)
    owners = {group.name: demo.cluster.owners(group.address) for group in plan.groups}
    assert [len(found) for found in owners.values()] == [1] * len(plan.groups)


def test_cut_is_ended_by_a_click_and_every_path_is_well_again(demo: Demo, page: Any) -> None:
    server = list(demo.cluster.plan.addresses)[-1]
    other = next(iter(demo.cluster.plan.addresses))
    client = demo.client
    assert client
    before = {group.name: client.count(group.name) for group in demo.cluster.plan.groups}
    assert demo.console
    page.goto(f"{demo.console.url}drills/new/?kind=link&server={server}&bound_s=300&heartbeats=lanhb1")
    expect(page.get_by_text("Safe now", exact=True)).to_be_visible(timeout=LIMIT_MS)
    page.get_by_role("button", name="Start the drill now").click()
    ended(page, "Running")
    path = lambda: demo.cluster.status(other)["servers"][other]["heartbeats"]["lanhb1"]["peers"][server]["status"]  # noqa: E731
    until(lambda: path() != "Normal", "the cut is noticed", 60)

    page.get_by_role("button", name="End it now").click()

    ended(page, "Aborted")
    until(lambda: path() == "Normal", "the path is well again", 60)
    assert {group.name: client.count(group.name) for group in demo.cluster.plan.groups} == before
