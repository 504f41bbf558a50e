"""The real manager and a real browser, an agent that speaks the documented frames: signing in, watching, moving."""

from __future__ import annotations

import asyncio
import re
import shutil

import pytest
from playwright.async_api import async_playwright, expect

from tests.webmanager.stack import PASSWORD, agent, report

pytestmark = [pytest.mark.slow, pytest.mark.browser]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--no-first-run"]  # fmt: skip


@pytest.fixture
async def page():
    if not CHROMIUM:
        pytest.skip("no Chromium: apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = await browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(30_000)
        complaints = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: said.type == "error" and complaints.append(said.text))
        yield page
        await browser.close()
    assert complaints == []


async def sign_in(page, manager, cluster, name):
    await page.goto(f"http://{manager.host}/?cluster={cluster}#/group/failover1")
    await page.get_by_label("User name").fill(name)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url(lambda url: "/login/" not in url)  # Else the session is still on its way.
    await page.goto(f"http://{manager.host}/?cluster={cluster}#/group/failover1")
    await expect(page.locator("clp-live")).to_have_text("Live")


async def test_group_moves_in_the_page_and_on_request(manager, people, cluster, register, page):
    async with agent(manager, cluster, "server1", register("server1")) as one:
        await one.hello()
        await one.snapshot(report("server1", runs=("failover1",)), report("server2"), report("server3"))
        await sign_in(page, manager, cluster, "bob")
        await expect(page.locator('[data-server="server1"] [data-group="failover1"]')).to_contain_text("10.3.0.1")

        await one.change(report("server1", 2), report("server2", 2, runs=("failover1",)))
        await expect(page.locator('[data-server="server2"] [data-group="failover1"]')).to_contain_text("Online")

        await page.get_by_role("button", name="Move …").click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("server3").check()
        confirm = dialog.get_by_role("button", name="Move group failover1 to server3")
        await asyncio.gather(confirm.click(), serve(one))

        await expect(dialog.locator(".outcome")).to_contain_text("Done")
        await expect(dialog.locator(".progress")).to_contain_text("failover1 stops on server2")
        await expect(page.locator('[data-server="server3"] [data-group="failover1"]')).to_be_visible()


async def serve(one):
    """What an agent does with the request: progress, the change, the result."""
    command = await one.command()
    asked = command["request"]
    assert (asked["op"], asked["target"], asked["server"]) == ("group_move", "failover1", "server3")
    await one.send({"type": "progress", "id": command["id"], "text": "failover1 stops on server2"})
    await one.change(report("server2", 3), report("server3", 2, runs=("failover1",)))
    await one.result(command["id"], text="Done.")


async def test_viewer_watches_but_has_no_buttons(manager, people, cluster, register, page):
    async with agent(manager, cluster, "server1", register("server1")) as one:
        await one.hello()
        await one.snapshot(report("server1", runs=("failover1",)), report("server2"), report("server3"))
        await sign_in(page, manager, cluster, "charlie")
        await expect(page.locator("#detail-title")).to_have_text("failover1")
        await expect(page.locator("[data-operate]")).to_have_count(0)


async def test_agent_that_goes_is_told(manager, people, cluster, register, page):
    async with agent(manager, cluster, "server1", register("server1")) as one:
        await one.hello()
        await one.snapshot(report("server1", runs=("failover1",)), report("server2"), report("server3"))
        await sign_in(page, manager, cluster, "bob")
    old = page.locator('[data-server="server1"] clp-age[data-old]')
    await expect(old).to_have_text(re.compile(r"\d s old"))
