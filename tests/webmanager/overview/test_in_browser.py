"""Events, overview, search and navigation in Chromium, on the real manager; agents speak the documented frames."""

from __future__ import annotations

import asyncio
import os
import re
import time

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import async_playwright, expect

from tests.webmanager.overview.conftest import stored
from tests.webmanager.stack import agent, note, report, until
from tests.webmanager.test_in_browser import CHROMIUM, FLAGS
from tests.webmanager.test_sockets import until_known

pytestmark = [pytest.mark.slow, pytest.mark.browser]
# Directory for pictures of every page that was looked at; unset: none are taken.
PICTURES = os.environ.get("OPENCLP_PICTURES", "")


@pytest.fixture
async def look(manager, people):
    """await look("bob", "/events/?…") -> a page of a browser of his own."""
    if not CHROMIUM:
        pytest.skip("no Chromium: apt-get install chromium")
    complaints = []
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)

        async def open_page(who, path, language="en", **settings):
            context = await chromium.new_context(
                **{"viewport": {"width": 1400, "height": 900}, "reduced_motion": "reduce", **settings}
            )
            context.set_default_timeout(30_000)
            await context.add_cookies(
                [{"name": name, "value": value, "url": f"http://{manager.host}"}
                 for name, value in (("openclp_session", people[who]), ("django_language", language))]
            )  # fmt: skip
            page = await context.new_page()
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("console", lambda said: said.type == "error" and complaints.append(said.text))
            await page.goto(f"http://{manager.host}{path}")
            return page

        yield open_page
        await chromium.close()
    assert complaints == []


def row(page, number):
    return page.locator(f'[id="server1:1:{number}"]')


async def numbers(page):
    return [
        key.rpartition(":")[2] for key in await page.locator("#log li").evaluate_all("all => all.map(one => one.id)")
    ]


async def test_new_events_appear_by_themselves_and_move_nothing_that_is_read(reported, look, cluster):
    async with reported() as one:
        page = await look("bob", f"/events/?cluster={cluster}&severity=error")
        await expect(page.locator("#log-live")).to_have_text("Live: new events appear by themselves.")
        await one.change(notes=(note(6, severity="error"), note(7)))
        await expect(row(page, 6)).to_be_visible()
        assert await numbers(page) == ["6", "5", "3"]  # What does not match the filter stays away.
        await expect(page.locator("#open-events .number")).to_have_text("3")

        button = row(page, 3).get_by_role("button", name="and all before")
        await button.focus()
        before = await button.bounding_box()
        await one.change(notes=(note(8, severity="error"),))
        shown = page.get_by_role("button", name="Show 1 new event")
        await expect(shown).to_be_visible()
        assert await numbers(page) == ["6", "5", "3"]
        await expect(button).to_be_focused()
        after = await button.bounding_box()
        assert abs(after["y"] - before["y"]) < 60  # Only the line that says so came above it.
        await shown.click()
        await expect(row(page, 8)).to_be_visible()
        assert await numbers(page) == ["8", "6", "5", "3"]


async def test_acknowledgement_shows_in_every_browser(reported, look, cluster):
    async with reported():
        bob = await look("bob", f"/events/?cluster={cluster}")
        charlie = await look("charlie", f"/events/?cluster={cluster}")
        alice = await look("alice", f"/?cluster={cluster}")
        for page in (bob, charlie):
            await expect(page.locator("#log-live")).to_contain_text("Live")
        await expect(alice.locator("clp-live .state")).to_have_text("Live")
        await expect(row(charlie, 3).locator(".ack")).to_have_text("not acknowledged")

        await bob.get_by_label("Comment").fill("disk is ordered")
        await row(bob, 3).get_by_role("button", name="Acknowledge").click()

        for page in (bob, charlie):
            await expect(row(page, 3).locator(".ack")).to_have_text(
                re.compile(r"bob, .*\d\d:\d\d:\d\d disk is ordered")
            )
        await expect(alice.locator('clp-events li[data-id="server1:1:3"] .ack')).to_contain_text("disk is ordered")
        for page in (bob, charlie, alice):
            await expect(page.locator("#open-events .number")).to_have_text("1")
        await alice.locator('clp-events li[data-id="server1:1:5"]').get_by_role("button", name="Acknowledge").click()
        await expect(row(bob, 5).locator(".ack")).to_contain_text("alice, ")
        await expect(bob.locator("#open-events .number")).to_have_count(0)


async def test_agent_with_a_clock_an_hour_ahead_is_in_the_right_order_and_told(manager, look, cluster, register):
    """Both servers tell of the same failover; one has a clock that is an hour ahead."""
    async with (
        agent(manager, cluster, "server1", register("server1")) as one,
        agent(manager, cluster, "server2", register("server2")) as two,
    ):

        async def tell(who, rev, ahead_s, *notes, kind="change"):
            who.rev = rev
            known = {who.node: {"report": report(who.node, rev), "age_s": 0.0}}
            await who.send(
                {"type": kind, "rev": rev, "at": time.time() + ahead_s, "reports": known, "notes": list(notes)}
            )

        async def alive(**ages):
            await two.send({"type": "alive", "rev": two.rev, "at": time.time() + 3600, "ages": ages})

        two.alive = alive
        for who, ahead_s in ((one, 0.0), (two, 3600.0)):
            await who.hello()
            await tell(who, 1, ahead_s, kind="snapshot")
            who.ages = {who.node: 0.0}
        living = [asyncio.create_task(who.keep_alive()) for who in (one, two)]
        await until_known(manager, cluster)
        now = time.time()
        step = {"module": "rc", "event": 60, "kind": "group", "name": "failover1", "params": ["failover1", "a", "b"]}
        for number, server, ahead_s in (
            (1, "server1", 0.0),
            (2, "server2", 3600.0),
            (3, "server1", 0.0),
            (4, "server2", 3600.0),
        ):
            told = note(number, id=f"{server}:1:{number}", server=server, time=now - 20 + number * 2 + ahead_s, **step)
            who = one if server == "server1" else two
            await tell(who, who.rev + 1, ahead_s, told)
        await asyncio.to_thread(until, lambda: stored(cluster) == 4, "the events in the database")

        page = await look("bob", f"/?cluster={cluster}")
        rows = page.locator("clp-events .notes > li")
        await expect(rows).to_have_count(4)
        assert [key[-1] for key in await rows.evaluate_all("all => all.map(one => one.dataset.id)")] == [
            "4",
            "3",
            "2",
            "1",
        ]
        await expect(page.locator("clp-problems")).to_contain_text("The clock of server2 is 1 h 0 min ahead")
        await page.goto(f"http://{manager.host}/events/?cluster={cluster}")
        assert await numbers(page) == ["4", "3", "2", "1"]
        for task in living:
            task.cancel()


async def test_overview_is_live_and_sorted_worst_first(manager, look, cluster, register):
    from webmanager import agents

    other = f"a-{cluster}"
    async with (
        agent(manager, cluster, "server1", register("server1")) as one,
        agent(manager, other, "server1", agents.add(node="server1", cluster=other)) as two,
    ):
        for name, who in ((cluster, one), (other, two)):
            await who.hello()
            await who.snapshot(report("server1", runs=("failover1", "failover2")), report("server2"), report("server3"))
            await until_known(manager, name)
        page = await look("bob", "/overview/")
        card = page.locator(f'.cluster-card[data-cluster="{cluster}"]')
        await expect(page.locator("clp-overview-live")).to_have_text("Live")
        await expect(card.locator(".standing")).to_have_text("All is well")

        await one.change(report("server1", 2, runs=("failover1",)), notes=(note(1, severity="error"),))

        await expect(card).to_contain_text("Group failover2 runs nowhere.")
        await expect(card).to_contain_text("1 error is not acknowledged")
        later = f'.cluster-card[data-cluster="{cluster}"] ~ .cluster-card[data-cluster="{other}"]'
        await expect(page.locator(later)).to_have_count(1)
        await expect(page).to_have_title(re.compile(r"^✕ \d+/\d+ – "))
        await card.get_by_role("link", name="Group failover2 runs nowhere.").click()
        await expect(page.locator("#detail-title")).to_have_text("failover2")
        assert f"cluster={cluster}" in page.url  # A link that is shown to a colleague shows the same.


async def test_two_tabs_with_two_clusters_stay_apart(manager, look, cluster, register):
    from webmanager import agents

    other = f"b-{cluster}"
    async with (
        agent(manager, cluster, "server1", register("server1")) as one,
        agent(manager, other, "server1", agents.add(node="server1", cluster=other)) as two,
    ):
        for name, who in ((cluster, one), (other, two)):
            await who.hello()
            await who.snapshot(report("server1", runs=("failover1",)), report("server2"), report("server3"))
            await until_known(manager, name)
        page = await look("bob", f"/groups/failover1/?cluster={cluster}")
        second = await page.context.new_page()
        await second.goto(f"http://{manager.host}/?cluster={other}")  # The session's newest choice.

        await page.get_by_role("navigation", name="Pages").get_by_role("link", name="Servers").click()
        await page.wait_for_url(f"**/servers/?cluster={cluster}")
        await page.goto(
            f"http://{manager.host}/operate/?op=group_move&target=failover1&server=server2&cluster={cluster}"
        )
        await second.reload()
        await page.get_by_role("button", name="Move group failover1 to server2").click()
        command = await one.command()
        assert command["request"]["target"] == "failover1"
        await one.result(command["id"])
        assert two.commands == []


async def test_search_by_keys_alone(reported, look, cluster):
    async with reported():
        page = await look("charlie", f"/?cluster={cluster}")
        await expect(page.locator("clp-live .state")).to_have_text("Live")
        await page.keyboard.press("/")
        await page.keyboard.type(f"fip1 {cluster}")
        options = page.get_by_role("listbox", name="Found objects").get_by_role("option")
        await expect(options).to_have_count(1)
        await page.keyboard.press("ArrowDown")
        await expect(options.first).to_have_attribute("aria-selected", "true")
        await page.keyboard.press("Enter")
        await expect(page.locator("#detail-title")).to_have_text("fip1")
        await page.keyboard.press("/")
        await page.keyboard.type("zzz")
        await expect(page.locator(".found")).to_contain_text("0 objects")
        await page.keyboard.press("Escape")
        await expect(page.locator(".found")).to_be_hidden()


async def findings(page):
    results = await Axe().run(page)
    return [f"{one['id']}: {node['target']}" for one in results.response["violations"] for node in one["nodes"]]


SEEN = {
    1400: ("/overview/", "/events/?cluster={}&since=2023-01-01&severity=loud", "event", "/search/?q={}", "keys"),
    390: ("/overview/", "/events/?cluster={}", "menu"),
}


@pytest.mark.parametrize(
    ("language", "scheme", "width"),
    [pytest.param("ja", "light", 1400, marks=pytest.mark.long), ("en", "dark", 390)],
)
async def test_axe_finds_nothing_and_nothing_is_wider_than_the_window(
    reported, manager, look, cluster, language, scheme, width
):
    async with reported() as one:
        await one.change(report("server1", 2, runs=("failover1",)))
        page = await look("bob", "/overview/", language, color_scheme=scheme, viewport={"width": width, "height": 900})
        await expect(page.locator(f'.cluster-card[data-cluster="{cluster}"][data-look="bad"]')).to_be_visible()
        for path in SEEN[width]:
            await go(page, manager, path.format(cluster))
            assert await page.evaluate("document.documentElement.lang") == language
            assert await findings(page) == [], path
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
            if PICTURES:
                name = re.sub(r"\W+", "-", path).strip("-")
                await page.screenshot(path=f"{PICTURES}/{name}-{language}-{scheme}-{width}.png")


async def go(page, manager, path):
    steps = {"event": "#log .causes a", "menu": "button.menu", "keys": "#keys-open"}
    if path in steps:
        await page.locator(steps[path]).first.click()
    else:
        await page.goto(f"http://{manager.host}{path}")
