"""The time machine in a real browser, over what a real manager has in its database."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.test_console import card, group, watch_moves
from tests.manager import manager as real
from tests.webmanager.recorded import LONG_AGO, bad_night

__all__ = ["real"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def night(real: Any, people: dict[str, str]) -> dict[str, float]:
    return bad_night("night", servers=3)


@pytest.fixture
def past(chromium: Any, real: Any, people: dict[str, str], night: Any) -> Iterator[Open]:
    """past(at=…) opens the page in a browser of its own; anything that the page complains of fails the test."""
    contexts: list[Any] = []
    complaints: list[str] = []

    def open_page(query: str, *, hash: str = "", user: str = "alice", cluster: str = "night", **more: Any) -> Any:
        settings = {"viewport": {"width": 1400, "height": 1000}, "base_url": f"http://{real.host}", **more}
        context = chromium.new_context(**settings)
        contexts.append(context)
        cookie = {"name": "openclp_session", "value": people[user], "url": f"http://{real.host}"}
        context.add_cookies([cookie])
        context.set_default_timeout(30_000)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: said.type in ("error", "warning") and complaints.append(said.text))
        page.goto(f"/history/?cluster={cluster}{query}{hash}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def at(seconds: float) -> str:
    return f"&at={LONG_AGO + seconds}"


def slider(page: Any) -> Any:
    return page.get_by_role("slider", name="Time")


def shown_at(page: Any) -> Any:
    return page.locator(".told time")


def test_each_time_shows_its_own_state_and_nobody_takes_it_for_now(past: Open) -> None:
    page = past(at(300))
    expect(group(page, "server1", "failover1")).to_contain_text("Online")
    expect(page.locator(".past-banner")).to_contain_text("You look at the past")
    expect(page.locator("clp-problems")).to_contain_text("3 servers online")

    page.get_by_label("Go to").fill("2026-11-23T02:23:22")
    page.get_by_role("button", name="Go", exact=True).click()

    expect(card(page, "server1")).to_contain_text("Offline")
    expect(group(page, "server2", "failover1")).to_contain_text("Online")
    expect(page.locator(".past-banner time")).to_have_text("2026-11-23 02:23:22")
    expect(page).to_have_url(re.compile(r"at=1795400602\.000"))
    expect(page).to_have_title(re.compile("2026-11-23 02:23:22"))
    assert page.locator("[data-operate], .operations a").count() == 0

    page.get_by_role("link", name="Back to now").click()
    expect(page).to_have_url(re.compile(r"/\?cluster=night"))


def test_events_are_gone_to_one_by_one_with_the_state_that_they_made(past: Open) -> None:
    page = past(at(300), hash="#/group/failover1")
    newest = page.locator(".told .newest")
    told = []
    for number in range(5):
        page.get_by_role("button", name="Next event").click()
        if number:
            expect(newest.locator("p")).not_to_have_text(told[-1])
        told.append(newest.locator("p").inner_text())
    expect(newest).to_contain_text("Group failover1 fails over from server1 to server2.")
    expect(group(page, "server2", "failover1")).to_contain_text("Online Pending")
    expect(page.locator("clp-detail .story").first).to_contain_text("fails over from server1 to server2")
    assert len(set(told)) == 5

    page.get_by_role("button", name="Next event").click()
    expect(newest).to_contain_text("is online on server2")
    expect(group(page, "server2", "failover1").locator(".state")).to_have_text("Online")
    slider(page).press("Shift+ArrowLeft")
    expect(newest).to_contain_text("fails over")
    expect(page).to_have_url(re.compile(r"event=server1%3A1%3A6"))


def test_an_event_can_be_gone_to_from_its_line_its_mark_and_its_address(past: Open) -> None:
    page = past(at(3500))
    expect(group(page, "server1", "failover1")).to_be_visible()
    page.locator("clp-events li", has_text="Server server1 is up.").locator("time a").click()
    expect(page.locator(".told .newest")).to_contain_text("Server server1 is up.")
    expect(group(page, "server2", "failover1")).to_be_visible()

    page.locator("summary", has_text="marks on this time line").click()
    marks = page.locator("details.marked li")
    expect(marks.filter(has_text="fails over")).to_contain_text("Group failover1 fails over from server1 to server2.")
    marks.filter(has_text="fails over").get_by_role("link").click()
    expect(group(page, "server2", "failover1")).to_contain_text("Online Pending")
    expect(page).to_have_url(re.compile("event=server1%3A1%3A6"))

    again = past("&" + page.url.split("&", 1)[1])
    expect(again.locator(".told .newest")).to_contain_text("fails over")


def test_groups_are_seen_to_move_while_it_plays(past: Open) -> None:
    page = past(at(590))
    expect(group(page, "server1", "failover1")).to_be_visible()
    watch_moves(page)
    page.get_by_label("Speed").select_option("120")
    slider(page).focus()

    page.keyboard.press("Space")

    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(group(page, "server2", "failover1")).to_be_visible()
    expect(group(page, "server1", "failover1")).to_be_visible()  # Two quiet hours are skipped.
    expect(page.get_by_role("button", name="Play")).to_be_visible()  # It has come to its end.
    expect(shown_at(page)).to_contain_text("03:13:20")
    assert page.evaluate("window.moved") == ["failover1", "failover1"]


def test_reduced_motion_plays_without_gliding(past: Open) -> None:
    page = past(at(590), reduced_motion="reduce")
    expect(group(page, "server1", "failover1")).to_be_visible()
    watch_moves(page)
    page.get_by_role("button", name="Play").click()
    expect(group(page, "server2", "failover1")).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    assert page.evaluate("window.moved") == []


def test_slider_is_worked_by_keys(past: Open) -> None:
    page = past(at(300))
    expect(shown_at(page)).to_contain_text("02:18:20")
    slider(page).press("End")
    expect(shown_at(page)).to_contain_text("03:13:20")
    slider(page).press("Home")
    expect(shown_at(page)).to_contain_text("02:13:20")
    slider(page).press("ArrowRight")
    expect(shown_at(page)).to_contain_text("02:13:23")
    expect(slider(page)).to_have_attribute("aria-valuetext", "2026-11-23 02:13:23")


def test_what_was_not_recorded_is_shown_as_such(past: Open) -> None:
    page = past(at(2000))
    remark = page.locator(".told .remark")
    expect(remark).to_contain_text("This time was not recorded")
    expect(group(page, "server2", "failover1")).to_be_visible()
    expect(page.locator(".marks .gap")).to_have_count(1)
    page.locator("summary", has_text="marks on this time line").click()
    expect(page.locator("details.marked")).to_contain_text("from 2026-11-23 02:43:20 to 2026-11-23 02:53:20")
    page.get_by_role("button", name="Next event").click()
    expect(remark).to_have_count(0)


def test_without_javascript_times_and_events_are_links(past: Open) -> None:
    page = past(at(300), java_script_enabled=False)
    expect(page.locator("clp-topology")).to_contain_text("failover1 Online server1")
    for _ in range(5):
        with page.expect_navigation():
            page.get_by_role("link", name="Next event").click()
    expect(page.locator("clp-topology")).to_contain_text("failover1 Online Pending server2")
    page.get_by_label("Time", exact=True).fill("2026-11-23T03:00:00")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("clp-topology")).to_contain_text("failover1 Online server1")
    expect(page.locator(".past-banner")).to_contain_text("2026-11-23 03:00:00")


@pytest.mark.parametrize(
    "settings",
    [
        {"color_scheme": "light", "locale": "ja-JP"},
        {"color_scheme": "dark", "viewport": {"width": 390, "height": 844}},
    ],
    ids=["light, Japanese", "dark, phone"],
)
def test_nobody_is_shut_out(past: Open, settings: dict[str, Any]) -> None:
    page = past(at(2000), hash="#/group/failover1", reduced_motion="reduce", **settings)
    expect(group(page, "server2", "failover1")).to_be_visible()
    page.locator("details.marked summary").click()
    expect(page.locator("details.marked li").first).to_be_visible()
    if "locale" in settings:
        expect(page.locator(".past-banner")).to_contain_text("過去の状態を表示しています")
        expect(page.get_by_role("button", name="再生")).to_be_visible()
    assert [one["id"] for one in Axe().run(page).response["violations"]] == []
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") == 0


def test_nothing_recorded_is_said(past: Open, real: Any) -> None:
    from webmanager.models import Cluster

    Cluster.objects.get_or_create(name="empty")
    page = past("", cluster="empty")
    expect(page.locator("clp-player")).to_contain_text("Nothing was recorded yet.")
    assert [one["id"] for one in Axe().run(page).response["violations"]] == []


def test_thirty_two_servers_and_five_hundred_groups_are_played(past: Open, real: Any) -> None:
    bad_night("crowd", 32, 500)
    page = past(at(599), cluster="crowd", reduced_motion="reduce")
    expect(page.locator(".group-card")).to_have_count(500)
    page.get_by_role("button", name="Play").click()
    expect(group(page, "server2", "failover1")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") == 0
