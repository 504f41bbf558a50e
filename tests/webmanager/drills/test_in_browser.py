"""The pages of drills in a browser: for everybody, in both languages, on a phone; from the form to the report."""

from __future__ import annotations

import os

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import async_playwright, expect

from tests.webmanager.drills.test_drills import CRASH, Servers, ended, told
from tests.webmanager.test_in_browser import CHROMIUM, FLAGS

pytestmark = [pytest.mark.slow, pytest.mark.browser]
PICTURES = os.environ.get("OPENCLP_PICTURES", "")


@pytest.fixture
async def signed_in(manager, people):
    if not CHROMIUM:
        pytest.skip("no Chromium: apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)

        async def go(name: str, language: str = "en", **settings):
            context = await browser.new_context(reduced_motion="reduce", **settings)
            context.set_default_timeout(30_000)
            cookies = (("openclp_session", people[name]), ("django_language", language))
            await context.add_cookies(
                [{"name": one, "value": value, "url": f"http://{manager.host}"} for one, value in cookies]
            )
            return await context.new_page()

        yield go
        await browser.close()


@pytest.mark.parametrize(
    ("language", "scheme", "width"),
    [
        ("ja", "dark", 390),
        pytest.param("en", "light", 1400, marks=pytest.mark.long),
        pytest.param("ja", "light", 1400, marks=pytest.mark.long),
    ],
)
async def test_axe_finds_nothing_and_nothing_is_wider_than_the_window(
    manager, cluster, register, signed_in, language, scheme, width
):
    async with told(manager, cluster, register, Servers()):
        path = f"/api/v2/clusters/{cluster}/drills"
        later = {**CRASH, "at": "2099-01-01T03:00:00Z", "weekly": True}
        await manager.acall("POST", f"/api/v2/clusters/{cluster}/drill-schedules", user="alice", body=later)
        found = (await manager.acall("POST", path, user="alice", body=CRASH))[1]["drill"]
        await ended(manager, found["id"])
        page = await signed_in("alice", language, color_scheme=scheme, viewport={"width": width, "height": 900})
        asked = f"kind=crash&server=server1&bound_s=5&cluster={cluster}"
        for name, place in (
            ("list", f"/drills/?cluster={cluster}"), ("report", f"/drills/{found['id']}/"),
            ("form", f"/drills/new/?cluster={cluster}"), ("check", f"/drills/new/?{asked}"),
            ("wrong", f"/drills/new/?{asked}&bound_s=0"),
        ):  # fmt: skip
            await page.goto(f"http://{manager.host}{place}")
            if PICTURES:
                await page.screenshot(path=f"{PICTURES}/{name}-{language}-{scheme}-{width}.png", full_page=True)
            results = await Axe().run(page)
            wrong = [(one["id"], node["target"]) for one in results.response["violations"] for node in one["nodes"]]
            assert wrong == [], name
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name


async def test_from_the_form_to_the_report_by_keyboard(manager, cluster, register, signed_in):
    servers = Servers(tells=False)
    async with told(manager, cluster, register, servers) as one:
        page = await signed_in("alice", viewport={"width": 1400, "height": 900})
        await page.goto(f"http://{manager.host}/drills/?cluster={cluster}")
        await page.get_by_role("button", name="New drill …").press("Enter")
        await page.get_by_role("radio", name="Crash of a server").press("Space")
        await page.get_by_label("At most, in seconds").fill("5")
        await page.get_by_role("button", name="Check").press("Enter")
        await expect(page.get_by_text("Safe now")).to_be_visible()
        await page.get_by_role("button", name="Start the drill now").press("Enter")
        await expect(page.get_by_role("button", name="End it now")).to_be_visible()
        await expect(page.locator(".outcome")).to_have_text("Running")
        (row,) = (await manager.acall("GET", f"/api/v2/clusters/{cluster}/drills", user="charlie"))[1]["drills"]
        await servers.fail_over(one, row["id"])
        await expect(page.locator(".outcome")).to_have_text("Passed", timeout=30_000)
        await expect(page.get_by_text("Where the time of failover1 went")).to_be_visible()
