"""The pages of what was measured in Chromium: for everybody, in both languages, wide and narrow."""

from __future__ import annotations

import time

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import async_playwright, expect

from tests.webmanager.measures.test_pages import measured
from tests.webmanager.stack import agent
from tests.webmanager.test_in_browser import CHROMIUM, FLAGS

pytestmark = [pytest.mark.slow, pytest.mark.browser]
PAGES = ("/monitors/", "/monitors/pidw1/", "/heartbeats/", "/heartbeats/lanhb1/", "/resources/exec1/",
         "/servers/server1/", "/groups/failover1/")  # fmt: skip
READERS = [
    ("en", {"viewport": {"width": 1400, "height": 900}, "color_scheme": "light"}),
    ("ja", {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"}),
]


@pytest.fixture
async def browser():
    if not CHROMIUM:
        pytest.skip("no Chromium: apt-get install chromium")
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        await chromium.close()


@pytest.fixture
async def reader(manager, people, cluster, register, browser):
    """await reader("en", …) -> a page of Bob's browser, on a cluster that was measured."""
    from webmanager.measures import keeping, samples

    complaints: list[str] = []
    async with agent(manager, cluster, "server1", register("server1")) as one:
        await one.hello()
        await one.snapshot(measured("server1"), measured("server2"), measured("server3"))
        while (await manager.acall("GET", f"/api/v1/groups/failover1?cluster={cluster}", user="bob"))[0] != 200:
            pass
        now = int(time.time())
        for minute in range(1, 30):
            kinds = (("monitor", "pidw1"), ("heartbeat", "lanhb1"), ("server", "server1"))
            sample = {(kind, name, "server1"): (1.0, 20.0, 300.0, int(minute == 5)) for kind, name in kinds}
            keeping.store(cluster, 60, (now - 60 * minute) // 60 * 60, samples.packed(sample))

        async def open_browser(language, **settings):
            context = await browser.new_context(**settings)
            await context.add_cookies(
                [{"name": name, "value": value, "url": f"http://{manager.host}"}
                 for name, value in (("openclp_session", people["bob"]), ("django_language", language))]
            )  # fmt: skip
            page = await context.new_page()
            page.set_default_timeout(30_000)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("console", lambda said: said.type == "error" and complaints.append(said.text))
            page.at = lambda path: page.goto(
                f"http://{manager.host}{path}{'&' if '?' in path else '?'}cluster={cluster}"
            )
            return page

        yield open_browser
    assert complaints == []


@pytest.mark.parametrize(
    ("language", "settings"), [pytest.param(*READERS[0], marks=pytest.mark.long), READERS[1]], ids=("en", "ja")
)
async def test_pages_are_for_everybody(reader, language, settings) -> None:
    page = await reader(language, **settings)
    for path in PAGES:
        await page.at(path)
        await page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        found = await Axe().run(page)
        assert [(path, one["id"], one["nodes"][0]["html"]) for one in found.response["violations"]] == []
        assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path


async def test_chart_has_its_threshold_its_failure_and_the_same_as_a_table(reader) -> None:
    page = await reader("en", **READERS[0][1])
    await page.at("/monitors/pidw1/")

    chart = page.locator(".chart")
    words = "server1: longest 300 ms, 0 interruptions of the record; the table below says the same."
    await expect(chart.locator("svg")).to_have_attribute("aria-label", words)
    await expect(chart.locator(".threshold text").first).to_contain_text("timeout")
    await expect(chart.locator(".failed")).to_have_count(1)
    await chart.get_by_text("As a table").click()
    await expect(chart.locator("tbody tr").first).to_contain_text("300 ms")
    await page.get_by_role("link", name="30 days").click()
    await expect(page.locator("#chart")).to_contain_text("Nothing was recorded in this span yet")


async def test_list_is_sorted_and_filtered_by_keyboard_and_monitor_is_suspended_from_its_page(reader) -> None:
    page = await reader("en", **READERS[0][1])
    await page.at("/monitors/")
    await page.get_by_role("link", name="Longest").press("Enter")
    await expect(page.locator("th[aria-sort=ascending]")).to_have_text("Longest")
    await page.get_by_label("near the limit").check()
    await page.get_by_role("button", name="Show").press("Enter")
    await expect(page.get_by_text("No monitor fits this filter.")).to_be_visible()
    await page.get_by_role("link", name="Show all").press("Enter")
    await page.locator("tbody").get_by_role("link", name="pidw1").first.press("Enter")
    # And loaded: before that, the link leads to a page with the same.
    await page.wait_for_url(lambda url: "/monitors/pidw1/" in url)

    await page.get_by_role("button", name="Suspend …").press("Enter")
    await expect(page.get_by_role("dialog")).to_contain_text("Monitor pidw1 checks nothing")
