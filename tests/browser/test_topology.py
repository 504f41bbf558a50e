"""The picture: lines with measured gaps, arbiters and who reaches them, hundreds of groups, ages that draw nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]
Look = Callable[..., Any]


def wire(page: Any, name: str) -> Any:
    return page.locator(f'.wires [data-wire="{name}"]')


def test_lines_tell_how_near_their_gaps_come_to_the_timeout(look: Look, manager: Any) -> None:
    page = look("/")

    expect(wire(page, "lanhb1")).to_contain_text("worst gap 22 % of the timeout (server1 ← server2)")
    expect(wire(page, "lanhb2")).to_contain_text("worst gap 32 %")
    expect(page.locator(".rails text.share")).to_have_text(["22 %", "32 %"])

    manager.do("mark", cut=[["lanhb1", "server2"]])
    expect(page.locator('.server-card[data-server="server2"] [data-lan="lanhb1"]')).to_contain_text("Error")


def test_witness_is_drawn_and_linked_to_who_reaches_it(look: Look, manager: Any) -> None:
    manager.do("reset", guarded=True)
    page = look("/")
    expect(wire(page, "httpnp1")).to_contain_text("reached by 3 of 3")
    expect(page.locator("rect.knot")).to_have_count(1)

    manager.do("mark", unreached=["server2"])

    expect(wire(page, "httpnp1")).to_contain_text("reached by 2 of 3")
    port = page.locator('.server-card[data-server="server2"] [data-lan="httpnp1"]')
    expect(port).to_have_attribute("data-look", "bad")
    port.click()
    expect(page.locator("#detail-title")).to_have_text("httpnp1")


def test_hundreds_of_groups_are_marks_and_those_in_trouble_are_named(look: Look, manager: Any) -> None:
    manager.do("reset", servers=8, groups=160)
    page = look("/")
    expect(page.locator(".picture")).to_have_attribute("data-density", "many")
    mark = page.locator('.server-card [data-group="failover1"]')
    expect(mark).to_have_attribute("title", "failover1")
    small = mark.bounding_box()
    assert small["width"] < 30

    manager.do("crash", server="server1")
    expect(page.locator('.server-card[data-server="server2"] [data-group="failover1"] .state')).to_have_text(
        "Online Pending"
    )
    wide = page.locator('[data-group="failover1"]').bounding_box()
    assert wide["width"] > 2 * small["width"]


def test_ages_go_on_without_drawing_the_picture(look: Look, manager: Any) -> None:
    page = look("/")
    age = page.locator('.server-card[data-server="server1"] clp-age')
    expect(age).to_have_text(re.compile(r"^[01]\.\d s old$"))
    page.evaluate("""() => {
        window.drawn = 0;
        const pictured = (one) => !one.target.closest?.("clp-age");
        new MutationObserver((records) => { window.drawn += records.filter(pictured).length; })
            .observe(document.querySelector("clp-topology .servers"), {subtree: true, childList: true});
        const age = document.querySelector('.server-card[data-server="server1"] clp-age');
        let last = 0;
        window.born = new Promise((resolve) => new MutationObserver(() => {
            const now = parseFloat(age.textContent);
            if (now < last) resolve();
            last = now;
        }).observe(age, {subtree: true, characterData: true, childList: true}));
    }""")
    page.evaluate("window.born.then(() => true)")  # The manager has said again that it is alive.

    assert page.evaluate("window.drawn") == 0


def test_monitor_tells_its_longest_answer_and_leads_to_its_page(look: Look, manager: Any) -> None:
    page = look("/#/monitor/ipw1")

    detail = page.locator("clp-detail")
    expect(detail).to_contain_text("Proposed: 1 s or more")
    expect(detail.locator("tbody tr").first).to_contain_text("12 ms")
    expect(detail.get_by_role("link", name="Chart, configuration and history")).to_have_attribute(
        "href", "/monitors/ipw1/"
    )
