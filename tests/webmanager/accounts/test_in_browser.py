"""The pages about people in a browser: nobody is shut out of them, and they do what they say."""

from __future__ import annotations

import os

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import async_playwright, expect

from tests.webmanager.accounts.visitor import rows
from tests.webmanager.stack import PASSWORD
from tests.webmanager.test_in_browser import CHROMIUM, FLAGS

pytestmark = [pytest.mark.slow, pytest.mark.browser]
PAGES = ("/account/", "/account/password", "/account/second-factor", "/users/", "/users/{user}/", "/agents/",
         "/audit/?verify=1")  # fmt: skip
# Directory for pictures of every page that was looked at; unset: none are taken.
PICTURES = os.environ.get("OPENCLP_PICTURES", "")


@pytest.fixture
async def chromium():
    if not CHROMIUM:
        pytest.skip("no Chromium: apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        await browser.close()


@pytest.fixture
def signed_in(chromium, manager):
    async def go(session: str, language: str = "en", **settings):
        context = await chromium.new_context(reduced_motion="reduce", **settings)
        context.set_default_timeout(30_000)
        await context.add_cookies(
            [{"name": name, "value": value, "url": f"http://{manager.host}"}
             for name, value in (("openclp_session", session), ("django_language", language))]
        )  # fmt: skip
        return await context.new_page()

    return go


async def findings(page) -> list[str]:
    results = await Axe().run(page)
    return [f"{one['id']}: {node['target']}" for one in results.response["violations"] for node in one["nodes"]]


@pytest.mark.parametrize(
    ("language", "scheme", "width"),
    [pytest.param("ja", "light", 1440, marks=pytest.mark.long), ("en", "dark", 390)],
)  # fmt: skip
async def test_axe_finds_nothing_and_nothing_is_wider_than_the_window(
    manager, user, visitor, signed_in, register, cluster, language, scheme, width
):
    one = user("administrator")
    guest = visitor()
    guest.sign_in(one.get_username())
    register("server1")
    guest.post("/agents/token", node="server2", cluster=cluster, url="http://192.0.2.1:29003/", hours="1")
    page = await signed_in(guest.session, language, color_scheme=scheme, viewport={"width": width, "height": 900})
    for path in PAGES:
        await page.goto(f"http://{manager.host}{path.format(user=one.pk)}")
        assert await page.evaluate("document.documentElement.lang") == language
        assert await findings(page) == [], path
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        if PICTURES:
            name = path.split("?")[0].strip("/").replace("/", "-").format(user="user")
            await page.screenshot(path=f"{PICTURES}/{name}-{language}-{scheme}-{width}.png", full_page=True)


async def test_administrator_lets_somebody_in_with_the_keyboard(manager, people, chromium, signed_in, cluster):
    page = await signed_in(people["alice"])
    await page.goto(f"http://{manager.host}/users/")
    name = f"new-{cluster}"
    await page.get_by_label("User name").focus()
    await page.keyboard.type(name)
    await page.keyboard.press("Tab")
    await page.keyboard.type("oper")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    password = await page.locator("#first").inner_text()

    fresh = await (await chromium.new_context()).new_page()
    await fresh.goto(f"http://{manager.host}/")
    await fresh.get_by_label("User name").fill(name)
    await fresh.get_by_label("Password").fill(password)
    await fresh.get_by_role("button", name="Sign in").click()
    await expect(fresh.get_by_role("heading", name="Change the password")).to_be_visible()
    await fresh.get_by_label("Old password").fill(password)
    await fresh.get_by_label("New password", exact=True).fill(PASSWORD)
    await fresh.get_by_label("New password confirmation").fill(PASSWORD)
    await fresh.get_by_role("button", name="Change", exact=True).click()
    await expect(fresh.get_by_role("heading", name="My account")).to_be_visible()
    await expect(fresh.locator(".facts")).to_contain_text("operator")
    assert [row.detail for row in rows("user.add", target=name)] == [{"role": "operator"}]
    await fresh.goto(f"http://{manager.host}/users/")
    await expect(fresh.get_by_role("heading")).to_have_text("You may not do this")


async def test_token_is_copied(manager, people, signed_in):
    page = await signed_in(people["charlie"], permissions=["clipboard-read", "clipboard-write"])
    await page.goto(f"http://{manager.host}/account/")
    await page.get_by_label("Name").fill("poller")
    await page.get_by_role("button", name="Make a token").click()
    await page.get_by_role("button", name="Copy").click()
    await expect(page.locator("[data-copy][data-done]")).to_be_visible()
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert copied == await page.locator("#token").inner_text()
    status, _, _ = manager.call("GET", "/api/v2/clusters", headers={"Authorization": f"Bearer {copied}"})
    assert status == 200
    await page.get_by_role("button", name="Revoke poller").click()
    await expect(page.get_by_text("The token is revoked.")).to_be_visible()
    assert manager.call("GET", "/api/v2/clusters", headers={"Authorization": f"Bearer {copied}"})[0] == 401
