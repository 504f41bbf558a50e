"""How live the page is, and how truthfully it says so: hidden, slow, cut off, outlived by an upgrade."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.agent.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.slow]
Look = Callable[..., Any]
HIDE = """(hidden) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


def live(page: Any) -> Any:
    return page.locator("clp-live .state")


def test_two_browsers_see_the_same(look: Look, manager: Any) -> None:
    one, other = look("/"), look("/")
    for page in (one, other):
        expect(live(page)).to_have_text("Live")

    manager.do("crash", server="server1")
    manager.do("finish")

    for page in (one, other):
        expect(page.locator('.server-card[data-server="server2"] [data-group="failover1"] .state')).to_have_text(
            "Online"
        )
    for part in ("clp-topology .servers .name", "clp-events li .text", "clp-problems .what"):
        # They draw the same change, each in a frame of its own.
        until(lambda part=part: one.locator(part).all_inner_texts() == other.locator(part).all_inner_texts() != [])


def test_hidden_tab_lets_go_of_its_socket_says_so_and_is_current_when_seen(look: Look, manager: Any) -> None:
    page = look("/")
    expect(live(page)).to_have_text("Live")
    page.clock.install()
    page.evaluate(HIDE, True)
    page.clock.run_for(299_000)
    until(lambda: manager.do("set")["sockets"] == 1)  # Those of the test before are closed by now, too.

    page.clock.run_for(2_000)

    expect(page).to_have_title("⏸ paused – demo")
    expect(page.locator("#favicon")).to_have_attribute("href", re.compile("icon-unknown"))
    manager.do("move", group="failover1", server="server3")
    page.evaluate(HIDE, False)
    page.clock.run_for(1_000)
    expect(live(page)).to_have_text("Live")
    expect(page.locator('.server-card[data-server="server3"] [data-group="failover1"]')).to_be_visible()
    expect(page).to_have_title(re.compile("demo"))


def test_tab_that_is_hidden_for_a_moment_stays_connected(look: Look, manager: Any) -> None:
    page = look("/")
    expect(live(page)).to_have_text("Live")
    before = manager.do("set")["snapshots"]
    page.evaluate(HIDE, True)
    page.evaluate(HIDE, False)
    manager.do("move", group="failover1", server="server3")
    expect(page.locator('.server-card[data-server="server3"] [data-group="failover1"]')).to_be_visible()
    assert manager.do("set")["snapshots"] == before


def test_browser_that_read_too_slowly_begins_anew_and_says_so(look: Look, manager: Any) -> None:
    page = look("/")
    expect(live(page)).to_have_text("Live")
    before = manager.do("set", code=4008)["snapshots"]

    manager.do("drop")

    expect(page.locator("clp-live .slow")).to_have_text(re.compile(r"began anew at \d\d:\d\d:\d\d"))
    expect(live(page)).to_have_text("Live")
    assert manager.do("set")["snapshots"] == before + 1


def test_servers_that_are_not_heard_are_told_from_a_manager_that_is_not(look: Look, manager: Any) -> None:
    page = look("/")
    expect(live(page)).to_have_text("Live")

    manager.do("set", silent=True)

    expect(page.locator(".banner")).to_have_text(re.compile(r"The manager has heard no server since \d\d:\d\d:\d\d\."))
    expect(live(page)).to_have_text("Live, but no server is heard")
    expect(page.locator("clp-topology[data-stale]")).to_be_visible()
    expect(page).to_have_title("? no server is heard – demo")
    manager.do("set", silent=False)
    expect(page.locator(".banner")).to_be_hidden()
    expect(page.locator("[data-stale]")).to_have_count(0)


def test_page_of_another_version_asks_to_be_loaded_again(look: Look, manager: Any) -> None:
    page = look("/")
    expect(live(page)).to_have_text("Live")
    expect(page.locator(".upgraded")).to_have_count(0)

    manager.do("set", version="0.2.0")
    manager.do("drop")

    expect(page.locator(".upgraded")).to_contain_text("The manager is now version 0.2.0")
    manager.do("set", version="0.1.0")  # What the page that is loaded now says of itself.
    page.evaluate("window.before = true")
    page.locator(".upgraded").get_by_role("link", name="Reload").click()
    expect(page.locator(".upgraded")).to_have_count(0)
    expect(live(page)).to_have_text("Live")
    assert page.evaluate("window.before") is None


def test_browsers_come_back_at_different_times(look: Look, manager: Any) -> None:
    """The pause before the first try is between half and one and a half of a quarter second, by chance."""
    pauses = []
    for chance in (0, 0.999):
        page = look("/", allow="WebSocket")
        expect(live(page)).to_have_text("Live")
        page.evaluate("""(chance) => {
            Math.random = () => chance;
            const later = window.setTimeout;
            window.pauses = [];
            window.setTimeout = (work, ms, ...more) => (window.pauses.push(ms), later(work, ms, ...more));
            window.firstPause = () => new Promise((tell) => {
                const look = () => window.pauses.length ? tell(Math.round(window.pauses[0])) : later(look, 10);
                look();
            });
        }""", chance)  # fmt: skip
        manager.do("drop")
        pauses.append(page.evaluate("window.firstPause()"))
        expect(live(page)).to_have_text("Live")
        page.close()
    assert pauses == [125, 375]


def test_wrong_clock_of_a_server_is_told(look: Look, manager: Any) -> None:
    page = look("/")
    expect(live(page)).to_have_text("Live")
    page.evaluate("""async () => {
        const { store } = await import("/static/js/store.js");
        const agents = { ...store.state.agents, server2: { connected: true, age_s: 0, ahead_s: 3600 } };
        store.state = { ...store.state, agents };
        store.dispatchEvent(new Event("change"));
    }""")
    expect(page.locator("clp-problems")).to_contain_text("The clock of server2 is 1 h 0 min ahead of the manager's.")


def test_page_without_a_snapshot_shows_what_it_has_until_the_socket_brings_one(look: Look, manager: Any) -> None:
    """As of a large cluster."""
    page = look("/404", allow="404")
    page.route_web_socket(re.compile("/ws/console/"), lambda _socket: None)  # It opens and says nothing.
    page.goto(f"{manager.url}/?late")

    expect(page.locator("clp-topology").get_by_role("link", name="server1")).to_be_visible()
    expect(page.locator("clp-problems")).to_contain_text("Reading the live state")
    expect(page.locator("clp-live")).to_contain_text("Connecting")
    expect(page.locator("clp-topology .server-card")).to_have_count(0)
    assert "No server has reported" not in page.content()

    late = look("/?late")
    expect(late.locator("clp-topology .server-card")).to_have_count(3)
    expect(late.locator("clp-problems")).not_to_contain_text("Reading")
