"""The live page in a real browser: it follows, it notices when it cannot, and everybody can use it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]
Look = Callable[..., Any]


def card(page: Any, server: str) -> Any:
    return page.locator(f'.server-card[data-server="{server}"]')


def group(page: Any, server: str, name: str) -> Any:
    return card(page, server).locator(f'[data-group="{name}"]')


def watch_moves(page: Any) -> None:
    """Remember every group that was seen gliding."""
    page.evaluate("""() => {
        window.moved = [];
        new MutationObserver((records) => records.forEach((one) => {
            if (one.target.hasAttribute("data-moving")) window.moved.push(one.target.dataset.group);
        })).observe(document.querySelector("clp-topology"), {subtree: true, attributeFilter: ["data-moving"]});
    }""")


def test_group_moves_to_other_server_without_reload(look: Look, manager: Any) -> None:
    page = look("/#/group/failover1")
    expect(group(page, "server1", "failover1")).to_be_visible()
    page.evaluate("window.sameDocument = true")
    watch_moves(page)

    manager.do("crash", server="server1")

    expect(group(page, "server2", "failover1")).to_contain_text("Online Pending")
    expect(group(page, "server2", "failover1")).to_contain_text("10.20.0.11")
    expect(card(page, "server1")).to_contain_text("Offline")
    manager.do("finish")
    expect(group(page, "server2", "failover1").locator(".state")).to_have_text("Online")
    expect(page.locator('[data-group="failover1"]')).to_have_count(1)
    assert page.evaluate("window.moved") == ["failover1"]
    assert page.evaluate("window.sameDocument") is True


def test_reduced_motion_moves_nothing_on_the_way(look: Look, manager: Any) -> None:
    page = look("/", reduced_motion="reduce")
    expect(group(page, "server1", "failover1")).to_be_visible()
    watch_moves(page)

    manager.do("move", group="failover1", server="server3")

    expect(group(page, "server3", "failover1")).to_be_visible()
    assert page.evaluate("window.moved") == []
    assert page.evaluate("document.getAnimations().length") == 0


def test_why_here_tells_the_chain_of_causes(look: Look, manager: Any) -> None:
    page = look("/#/group/failover1")
    manager.do("crash", server="server1")
    manager.do("finish")

    story = page.locator("clp-detail .story")

    expect(story).to_contain_text("Group failover1 is online on server2.")
    nested = story.locator(".because").first
    expect(nested).to_contain_text("because")
    expect(nested.locator(".because .because .because li")).to_have_text(
        [re.compile("Heartbeat lanhb1 to server server1 is lost"), re.compile("Heartbeat lanhb2")]
    )


def test_events_are_listed_filtered_and_explained(look: Look, manager: Any) -> None:
    page = look("/")
    manager.do("crash", server="server1")
    rows = page.locator("clp-events .notes > li")
    expect(rows).to_have_count(6)
    expect(rows.first).to_contain_text("Group failover1 fails over from server1 to server2.")

    rows.first.get_by_text("Why?").click()
    expect(rows.first.locator(".story")).to_contain_text("Server server1 is down")
    manager.do("finish")
    expect(rows.nth(1).locator(".story")).to_be_visible()  # Still open although the list grew above it.

    page.get_by_label("Find in events").fill("lanhb2")
    expect(rows).to_have_count(1)
    page.get_by_label("Find in events").fill("")
    page.get_by_label("Severity").select_option("warning")
    expect(rows).to_have_count(4)


def test_gap_in_the_numbers_leads_to_a_new_snapshot(look: Look, manager: Any) -> None:
    page = look("/")
    expect(page.locator("clp-live")).to_have_text("Live")
    manager.do("set", mute=True)  # Else the message of each second may notice the gap first.
    before = manager.do("set")["snapshots"]

    manager.do("lose", act="move", group="failover1", server="server3")
    manager.do("set", mute=False)
    manager.do("move", group="failover2", server="server3")

    expect(group(page, "server3", "failover1")).to_be_visible()
    expect(group(page, "server3", "failover2")).to_be_visible()
    assert manager.do("set")["snapshots"] == before + 1


def test_lost_change_without_another_is_noticed_by_the_alive_message(look: Look, manager: Any) -> None:
    page = look("/")
    expect(page.locator("clp-live")).to_have_text("Live")

    manager.do("lose", act="move", group="failover1", server="server3")

    expect(group(page, "server3", "failover1")).to_be_visible()


def test_death_of_the_socket_is_said_and_recovered_from(look: Look, manager: Any) -> None:
    page = look("/", allow="WebSocket")
    expect(page.locator("clp-live")).to_have_text("Live")

    manager.do("set", refuse=True)
    manager.do("drop")
    expect(page.locator(".banner")).to_have_text(re.compile(r"Not live since \d\d:\d\d:\d\d\."))
    expect(page.locator("clp-live")).to_have_text("Not live")
    expect(page.locator("clp-topology[data-stale]")).to_be_visible()
    expect(page.locator("clp-problems")).to_contain_text("When last heard")
    expect(page).to_have_title(re.compile("not live"))

    manager.do("set", refuse=False)
    manager.do("move", group="failover1", server="server3")
    expect(page.locator("clp-live")).to_have_text("Live")
    expect(page.locator(".banner")).to_be_hidden()
    expect(page.locator("[data-stale]")).to_have_count(0)
    expect(group(page, "server3", "failover1")).to_be_visible()


def test_silence_of_an_open_socket_is_noticed_too(look: Look, manager: Any) -> None:
    page = look("/")
    expect(page.locator("clp-live")).to_have_text("Live")

    manager.do("set", mute=True)
    expect(page.locator(".banner")).to_be_visible()

    manager.do("set", mute=False)
    expect(page.locator(".banner")).to_be_hidden()


def test_age_grows_while_nothing_is_heard_of_a_server(look: Look, manager: Any) -> None:
    page = look("/")
    manager.do("crash", server="server3")  # The manager tells no age of it any more.

    expect(card(page, "server3").locator("clp-age[data-old]")).to_have_text(re.compile(r"([3-9]\.\d|\d\d) s old"))
    expect(card(page, "server1").locator("clp-age")).to_have_text(re.compile(r"[01]\.\d s old"))


def test_title_and_icon_follow_the_worst_state(look: Look, manager: Any) -> None:
    page = look("/")
    icon = page.locator("#favicon")
    expect(page).to_have_title("✓ demo")
    expect(icon).to_have_attribute("href", re.compile("icon-good"))

    manager.do("crash", server="server3")
    expect(page).to_have_title("▲ 1 problem – demo")
    expect(icon).to_have_attribute("href", re.compile("icon-warn"))

    manager.do("monitor", name="ipw1", server="server1", detail="No answer from 10.20.0.1.")
    expect(page).to_have_title("✕ 2 problems – demo")
    expect(icon).to_have_attribute("href", re.compile("icon-bad"))


def test_problems_say_what_since_when_and_what_next(look: Look, manager: Any) -> None:
    page = look("/")
    expect(page.locator("clp-problems")).to_have_text("Nothing is wrong: 3 servers online, 2 groups running.")

    manager.do("also", group="failover1", server="server3")
    manager.do("mark", cut=[["lanhb1", "server2"]])
    manager.do("nowhere", group="failover2")

    lines = page.locator("clp-problems li")
    expect(lines.nth(0)).to_contain_text("failover1 is active on server1 and server3 at the same time.")
    expect(lines.nth(0)).to_contain_text("Stop it on all but one of them now")
    expect(lines.nth(0).locator(".since")).to_have_text(re.compile(r"for 1 h \d+ min"))
    expect(lines.nth(1)).to_contain_text("failover2 runs nowhere.")
    expect(lines.nth(2)).to_contain_text("lanhb1: server2 is cut off.")
    expect(page.locator('[data-group="failover1"][data-twice]')).to_have_count(2)
    expect(page.locator('.shelf [data-group="failover2"]')).to_be_visible()


def test_cut_lan_is_seen_at_the_server_that_is_cut_off(look: Look, manager: Any) -> None:
    page = look("/")
    manager.do("mark", cut=[["lanhb1", "server2"]])
    manager.do("mark", deaf=[["lanhb2", "server1", "server3"]])

    def port(server: str, lan: str) -> Any:
        return card(page, server).locator(f'.port[data-lan="{lan}"]')

    expect(port("server2", "lanhb1")).to_have_text(re.compile("Error"))
    expect(port("server1", "lanhb1")).to_have_text(re.compile("Normal"))
    expect(port("server3", "lanhb2")).to_have_text(re.compile("One way"))
    expect(page.locator('.rails [data-look="bad"].stub')).to_have_count(2)  # The interrupted line and its cross.
    port("server3", "lanhb2").click()
    cells = page.locator("clp-detail tbody tr").nth(2).locator("td")
    expect(cells.first).to_contain_text("Error")


def test_server_shows_its_silences_and_that_it_suspects_itself(look: Look, manager: Any) -> None:
    page = look("/#/server/server1")
    detail = page.locator("clp-detail")
    expect(detail.get_by_role("row", name="server2").nth(1)).to_contain_text("320 ms, 32 % of the timeout")
    silences = detail.locator("section", has_text="Silences today").get_by_role("row", name="server2")
    expect(silences).to_contain_text("110 ms110 ms176 ms220 ms")
    expect(silences).to_contain_text("22 %")
    expect(detail.locator(".remark")).to_have_count(0)

    manager.do("mark", starved=["server1"])

    expect(detail.locator(".remark")).to_contain_text("suspects itself first")


def test_cluster_shows_how_near_the_timeout_is_and_proposes_one(look: Look, manager: Any) -> None:
    page = look("/#/")
    fact = page.locator("clp-detail .facts div", has_text="Heartbeat timeout")

    expect(fact).to_contain_text("1000 ms; the worst silence today was 220 ms, 22 % of it")
    expect(fact).to_contain_text("Proposed: 600 ms or more (three intervals)")


def test_each_object_has_an_address_for_back_and_forward(look: Look) -> None:
    page = look("/#/group/failover1")
    title = page.locator("#detail-title")
    expect(title).to_have_text("failover1")
    card(page, "server2").locator(".head a").click()
    expect(title).to_have_text("server2")
    page.get_by_role("treeitem", name="fip2").click()
    expect(title).to_have_text("fip2")
    page.go_back()
    expect(title).to_have_text("server2")
    page.go_back()
    expect(title).to_have_text("failover1")
    page.go_forward()
    expect(title).to_have_text("server2")


def test_tree_is_worked_by_keys_alone(look: Look) -> None:
    page = look("/#/cluster")
    tree = page.get_by_role("tree")
    expect(tree.get_by_role("treeitem", name="demo")).to_have_attribute("tabindex", "0")
    expect(tree.locator('[tabindex="0"]')).to_have_count(1)

    def focused() -> Any:
        return page.locator("clp-tree :focus .name")

    tree.get_by_role("treeitem", name="demo").focus()
    for key, name in [
        ("ArrowDown", "Servers"), ("ArrowRight", "server1"), ("ArrowDown", "server2"), ("ArrowLeft", "Servers"),
        ("End", "lanhb2"), ("Home", "demo"), ("f", "failover1"), ("ArrowUp", "Groups"),
    ]:  # fmt: skip
        page.keyboard.press(key)
        expect(focused()).to_have_text(name)
    page.keyboard.press("ArrowLeft")
    expect(tree.get_by_role("treeitem", name="Groups")).to_have_attribute("aria-expanded", "false")
    expect(tree.get_by_role("treeitem", name="failover1")).to_have_count(0)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(focused()).to_have_text("failover1")
    page.keyboard.press("Enter")
    expect(page.locator("#detail-title")).to_have_text("failover1")
    expect(focused()).to_have_text("failover1")


def test_focus_stays_on_a_group_that_moves(look: Look, manager: Any) -> None:
    page = look("/")
    group(page, "server1", "failover1").focus()

    manager.do("move", group="failover1", server="server2")

    expect(group(page, "server2", "failover1")).to_be_focused()


def test_operation_shows_preview_progress_and_result(look: Look, manager: Any) -> None:
    page = look("/#/group/failover1")
    page.get_by_role("button", name="Move …").click()
    dialog = page.get_by_role("dialog", name="Move group failover1")
    expect(dialog).to_contain_text("failover1 starts on server2")
    expect(dialog.locator(".downtime")).to_have_text("failover1 1.2 s")

    dialog.get_by_label("server3").check()
    dialog = page.get_by_role("dialog", name="Move group failover1 to server3")
    dialog.get_by_text("The same without this page").click()
    expect(dialog).to_contain_text("clpgrp -m failover1 -a server3")
    expect(dialog).to_contain_text('POST /api/v1/groups/failover1/move {"target": "server3"}')
    dialog.get_by_role("button", name="Move group failover1 to server3").click()

    expect(dialog).to_contain_text("Asked by admin@127.0.0.1")
    expect(dialog.locator(".outcome")).to_contain_text("Done")
    expect(dialog.locator(".progress li").last).to_have_text("failover1 is online")
    dialog.get_by_role("button", name="Close").or_(dialog.get_by_role("link", name="Close")).click()
    expect(group(page, "server3", "failover1")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_refused_operation_cannot_be_confirmed(look: Look, manager: Any) -> None:
    manager.do("crash", server="server3")
    page = look("/#/group/failover1")
    page.get_by_role("button", name="Move …").click()
    page.get_by_role("dialog").get_by_label("server3").check()

    dialog = page.get_by_role("dialog", name="Move group failover1 to server3")
    expect(dialog).to_contain_text("The cluster would refuse this. server3 is offline.")
    expect(dialog.get_by_role("button", name="Move group failover1 to server3")).to_be_disabled()


def test_viewer_gets_no_buttons(look: Look, manager: Any) -> None:
    manager.do("reset", role="viewer", demo=True)
    page = look("/#/group/failover1")
    expect(page.locator("#detail-title")).to_have_text("failover1")
    expect(page.locator("[data-operate], .breakers button")).to_have_count(0)


def test_pages_are_complete_without_javascript(look: Look, manager: Any) -> None:
    page = look("/", java_script_enabled=False)
    page.get_by_role("link", name="failover1").last.click()
    page.get_by_role("button", name="Move …").click()
    page.get_by_label("server3").check()
    page.get_by_role("button", name="Preview this choice").click()
    expect(page.locator("h1")).to_have_text("Move group failover1 to server3")
    page.get_by_role("button", name="Move group failover1 to server3").click()
    expect(page.locator(".operation")).to_contain_text("Running")
    for name in ("Servers", "Groups", "Events", "Operations"):
        page.get_by_role("navigation").get_by_role("link", name=name, exact=True).click()
        expect(page.locator("h1")).to_have_text(name)


def test_demo_says_who_answers_and_breaks_on_request(look: Look, manager: Any) -> None:
    manager.do("reset", demo=True)
    page = look("/")
    outage = {"outage_s": 1.12, "from": "server1", "to": "server2", "at": time.time() - 5}
    clients = {
        "failover1": {"answering": "server2", "outages": [outage]},
        "failover2": {"answering": "", "since": time.time(), "outages": []},
    }
    manager.do("set", outage={"clients": clients, "faults": ["server1 is crashed"]})
    rows = page.locator("clp-outage .clients li")
    expect(rows.first).to_contain_text("answered by server2")
    expect(rows.first).to_contain_text("last outage 1.12 s, from server1 to server2")
    expect(rows.first.locator(".timeline .down")).to_have_count(1)
    expect(rows.last).to_contain_text("no answer")

    page.get_by_role("button", name="Crash server1").click()

    expect(page.locator("#fault-result")).to_have_text("crash server1: done.")
    expect(group(page, "server2", "failover1")).to_be_visible()


def test_text_from_outside_is_never_markup(look: Look, manager: Any) -> None:
    page = look("/#/monitor/ipw1")
    evil = '<img src=x onerror="window.broken=1"><b>bold</b>'
    manager.do("monitor", name="ipw1", server="server1", detail=evil)

    expect(page.locator("clp-detail")).to_contain_text(evil)
    expect(page.locator("clp-problems")).to_contain_text(evil)
    assert page.evaluate("window.broken") is None


def test_thirty_two_servers_with_two_hundred_groups_are_drawn_and_followed(look: Look, manager: Any) -> None:
    manager.do("reset", servers=32, groups=200)
    page = look("/")
    expect(page.locator(".server-card")).to_have_count(32)
    expect(page.locator(".group-card")).to_have_count(200)
    expect(page.locator(".rails .knot")).to_have_count(64)

    manager.do("move", group="failover1", server="server32")

    expect(group(page, "server32", "failover1")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_one_server_alone_is_drawn(look: Look, manager: Any) -> None:
    manager.do("reset", servers=1, groups=1)
    page = look("/")
    expect(group(page, "server1", "failover1")).to_be_visible()
    expect(page.locator("clp-problems")).to_contain_text("1 server online, 1 group running")


def test_no_server_is_said_honestly_and_the_first_appears_by_itself(look: Look, manager: Any) -> None:
    manager.do("reset", empty=True)
    page = look("/")
    expect(page.locator("clp-topology")).to_contain_text("No server has reported to this manager yet.")
    expect(page.locator("clp-topology")).to_contain_text("manage.py agent add")

    manager.do("reset", servers=3)

    expect(page.locator(".server-card")).to_have_count(3)


def test_split_brain_risk_is_told_on_every_page(look: Look) -> None:
    page = look("/")
    for path in ("/", "/servers/", "/groups/failover1/", "/events/", "/operations/"):
        page.goto(page.url.split("/", 3)[0] + "//" + page.url.split("/")[2] + path)
        expect(page.locator(".risk")).to_contain_text("no majority resolver is configured")


def test_page_is_in_japanese_for_japanese(look: Look, manager: Any) -> None:
    page = look("/#/group/failover1", locale="ja-JP")
    manager.do("crash", server="server1")
    expect(page.locator("html")).to_have_attribute("lang", "ja")
    expect(card(page, "server1")).to_contain_text("停止済")
    expect(page.locator("clp-detail")).to_contain_text("現在の状態の理由")
    expect(page.locator("clp-events li").first).to_contain_text("グループ failover1 を server1 から")


def test_phone_width_never_scrolls_sideways(look: Look, manager: Any) -> None:
    manager.do("reset", demo=True)
    manager.do("crash", server="server1")
    for path in ("/#/group/failover1", "/#/server/server2", "/servers/", "/groups/failover1/", "/events/", "/login/"):
        page = look(path, viewport={"width": 390, "height": 844})
        expect(page.locator("main")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") == 0, path


def test_each_change_is_in_the_page(look: Look, manager: Any) -> None:
    """20 times; how long each took is told, and judged by `bin/bench dom`."""
    page = look("/")
    expect(page.locator("clp-live")).to_have_text("Live")
    page.evaluate("""async () => {
        const {store} = await import("/static/js/store.js");
        window.took = [];
        let came = 0;
        store.addEventListener("change", () => { came ||= performance.now(); });
        new MutationObserver(() => { if (came) window.took.push(performance.now() - came); came = 0; })
            .observe(document.querySelector("clp-topology .servers"), {subtree: true, childList: true});
    }""")
    for turn in range(20):
        server = f"server{turn % 3 + 1}"
        manager.do("move", group="failover1", server=server)
        expect(group(page, server, "failover1")).to_be_visible()
    took = sorted(page.evaluate("window.took"))
    print(f"message to DOM: median {took[len(took) // 2]:.1f} ms, worst {took[-1]:.1f} ms")
    assert took


def test_picture_for_the_readme(look: Look, manager: Any, tmp_path: Path) -> None:
    """OPENCLP_PICTURES names where to keep it: how static/img/dashboard.png is made."""
    manager.do("reset", demo=True)
    page = look("/#/group/failover1", reduced_motion="reduce", viewport={"width": 1440, "height": 1010})
    expect(page.locator("clp-live")).to_have_text("Live")
    manager.do("crash", server="server1")
    manager.do("finish")
    clients = {
        "failover1": {
            "answering": "server2",
            "outages": [{"outage_s": 1.12, "from": "server1", "to": "server2", "at": time.time() - 5}],
        },
        "failover2": {"answering": "server2", "outages": []},
    }
    manager.do("set", outage={"clients": clients, "faults": ["server1 is crashed"]})
    expect(page.locator("clp-detail .story .because").first).to_be_visible()
    expect(page.locator("clp-outage .timeline .down")).to_have_count(1)
    picture = Path(os.environ.get("OPENCLP_PICTURES") or tmp_path) / "dashboard.png"

    page.screenshot(path=str(picture))

    assert picture.stat().st_size > 50_000
