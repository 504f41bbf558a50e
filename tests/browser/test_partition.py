"""At three in the morning: who serves, why, what next; what a resolver, a fence device and a quarantine look like."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]
Look = Callable[..., Any]


@pytest.fixture
def guarded(manager: Any) -> Any:
    manager.do("reset", guarded=True, servers=2)
    return manager


def line(page: Any, text: str) -> Any:
    return page.locator("clp-problems li", has_text=text)


def test_lost_server_is_told_as_who_may_act_by_which_votes_and_what_to_do(look: Look, guarded: Any) -> None:
    page = look("/#/cluster")
    guarded.do("crash", server="server1")
    guarded.do("finish")

    told = line(page, "Only server2 may run groups (2 of 2 run there); server1 may not.")
    expect(told).to_contain_text("They have 2 of 3 votes: server2 and httpnp1; missing: server1.")
    expect(told).to_contain_text("its lease has run out and it has stopped its groups")
    expect(told.locator(".next")).to_contain_text("See whether server1 has power.")
    expect(page.locator("clp-problems li")).to_have_count(2)  # And the device that was never tested; no line twice.
    expect(page.locator('.server-card[data-server="server1"]')).to_contain_text("Not heard")
    expect(page.locator("clp-detail")).to_contain_text("2 of 3, needed 2")


def test_losing_side_that_still_reports_is_not_taken_for_acting(look: Look, guarded: Any) -> None:
    page = look("/#/cluster")
    guarded.do("put", group="failover1", server="server2")
    guarded.do("mark", idle=["server1"])

    told = line(page, "Only server2 may run groups (2 of 2 run there); server1 may not.")
    expect(told).to_contain_text("server1: Not enough votes.")
    expect(told.locator(".next")).to_contain_text("Mend the network of server1")
    expect(page.locator('.server-card[data-server="server1"]')).to_contain_text("May not run groups")
    expect(page.locator("clp-detail .facts")).to_contain_text(["Coordinator", re.compile("Alive, not acting.*server1")])


def test_nobody_may_act_is_the_worst_news(look: Look, guarded: Any) -> None:
    page = look("/")
    guarded.do("crash", server="server2")
    guarded.do("mark", idle=["server1"])

    told = line(page, "No server may run groups")
    expect(told).to_have_attribute("data-look", "bad")
    expect(told.locator(".next")).to_contain_text("clpcl --force-quorum -h server1")


def test_without_a_resolver_nothing_is_said_to_be_forbidden(look: Look, manager: Any) -> None:
    page = look("/")
    manager.do("crash", server="server3")

    told = line(page, "server3 is not heard, and nothing proves that it has stopped.")
    expect(told).to_have_attribute("data-look", "warn")
    expect(told).to_contain_text("If server3 still runs, it runs its groups as well.")
    expect(told.locator(".next")).to_contain_text("Make sure that server3 is off")


def test_resolver_that_is_not_reached_shows_where_since_when_and_why(look: Look, guarded: Any) -> None:
    page = look("/#/resolver/httpnp1")
    expect(page.locator("#detail-title")).to_have_text("httpnp1")
    expect(page.locator('[data-id="resolver/httpnp1"]')).to_contain_text("Normal")
    guarded.do("mark", unreached=["server2"])

    expect(page.locator('[data-id="resolver/httpnp1"]')).to_contain_text("Caution")
    row = page.locator("clp-detail tbody tr", has_text="server2")
    expect(row).to_contain_text("Error")
    expect(row).to_contain_text("no answer in time")
    expect(line(page, "httpnp1 is not reached by server2.")).to_contain_text("mend the way to it")


def test_fence_device_says_when_it_was_proven_and_is_tested_after_a_preview(look: Look, guarded: Any) -> None:
    page = look("/#/fence/bmc1")
    expect(page.locator("clp-detail")).to_contain_text("It has never been tested")
    expect(line(page, "Fence device bmc1 has never been tested.")).to_be_visible()

    page.get_by_role("button", name="Test …").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Nothing is switched off.")
    expect(dialog.get_by_role("button", name="Test fence device bmc1")).to_be_enabled()
    page.keyboard.press("Escape")

    guarded.do("mark", tested=["server1"])
    rows = page.locator("clp-detail tbody tr")
    expect(rows.nth(0)).to_contain_text("Normal")
    expect(rows.nth(1)).to_contain_text("Never tested")
    expect(line(page, "never been tested")).to_have_count(0)


def test_quarantine_tells_reason_end_and_way_out(look: Look, guarded: Any) -> None:
    guarded.do("mark", quarantined=["server2"])
    page = look("/#/server/server2")

    expect(line(page, "server2 is in quarantine until")).to_contain_text("release it when that is mended")
    told = page.locator("clp-detail .remark", has_text="In quarantine until")
    expect(told).to_contain_text("lost 3 times within 600 s")
    told.get_by_role("button", name="Release …").click()
    expect(page.get_by_role("dialog")).to_contain_text("may start groups on server2 by itself again")


def test_viewer_sees_it_all_and_has_no_button(look: Look, guarded: Any) -> None:
    guarded.do("set", role="viewer")
    guarded.do("mark", quarantined=["server2"])
    for path in ("/#/fence/bmc1", "/#/server/server2", "/#/monitor/pidw1", "/#/cluster"):
        page = look(path)
        expect(page.locator("#detail-title")).to_be_visible()
        expect(page.locator("[data-operate]")).to_have_count(0)


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1440, "dark")])
def test_nothing_is_wider_than_the_window(look: Look, guarded: Any, scheme: str, width: int) -> None:
    guarded.do("crash", server="server1")
    for path in ("/#/cluster", "/#/fence/bmc1", "/#/resolver/httpnp1", "/partition/"):
        page = look(path, viewport={"width": width, "height": 844}, color_scheme=scheme)
        expect(page.locator("h1, #detail-title").first).to_be_attached()
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_page_without_javascript_tells_the_same(look: Look, guarded: Any) -> None:
    guarded.do("crash", server="server1")
    page = look("/partition/", java_script_enabled=False)

    expect(page.locator("main")).to_contain_text("server2 may act: 2 of 3 votes agreed")
    expect(page.locator("main")).to_contain_text("Never tested")
    page.get_by_role("button", name="Test …").click()
    expect(page.locator("main")).to_contain_text("Nothing is switched off.")


def test_monitor_can_be_suspended_after_a_preview(look: Look, guarded: Any) -> None:
    page = look("/#/monitor/pidw1")
    page.get_by_role("button", name="Suspend …").click()

    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("checks nothing and recovers nothing")
    expect(dialog).to_contain_text("clpmonctrl -s -m pidw1 -a")


def test_japanese_page_tells_it_in_japanese(look: Look, guarded: Any) -> None:
    page = look("/#/cluster", locale="ja")
    guarded.do("crash", server="server1")
    guarded.do("finish")

    expect(line(page, "グループを実行できるのは server2 だけです")).to_contain_text("3 票中 2 票")
