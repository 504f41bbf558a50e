"""The Builder in Chromium: nobody is shut out, order by keyboard and by drag, nothing typed is lost unasked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser import judge
from tests.builder.conftest import CONF

pytestmark = [pytest.mark.browser, pytest.mark.slow]
GROUP, FIP = "/root/group@failover1", "/root/resource/fip@fip1"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    from tests.browser.conftest import launched

    with launched() as browser:
        yield browser


@pytest.fixture
def look(chromium: Any, manager: Any, people: dict[str, str], draft: Any) -> Iterator[Callable[..., Any]]:
    """look(path) opens a page as Alice; what the console complains of fails the test."""
    from django.conf import settings

    base, contexts, complaints = f"http://127.0.0.1:{manager.port}", [], []

    def open_page(path: str = "", language: str = "en", **more: Any) -> Any:
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **more})
        contexts.append(context)
        context.set_default_timeout(30_000)
        cookies = {settings.SESSION_COOKIE_NAME: people["alice"], "django_language": language}
        context.add_cookies([{"name": name, "value": value, "url": base} for name, value in cookies.items()])
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(f"{path}: {error}"))
        page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
        page.goto(address(path))
        return page

    def address(path: str) -> str:
        return base + (path if path.startswith("/") else f"/builder/drafts/{draft.pk}/{path}")

    allowed = ["409", "422"]
    open_page.address, open_page.allowed = address, allowed  # type: ignore[attr-defined]
    yield open_page
    for context in contexts:
        context.close()
    assert [text for text in complaints if not any(one in text for one in allowed)] == []


def stored(page: Any, button: str = "Save") -> None:
    """And answered: what comes next finds it stored."""
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        page.get_by_role("button", name=button, exact=True).click()


def test_second_of_two_people_sees_both_values(look):
    first, second = look(f"?at={FIP}"), look(f"?at={FIP}")
    for page, address in ((first, "10.0.0.7"), (second, "10.0.0.8")):
        page.get_by_label("IP address").fill(address)
        stored(page)

    expect(second.get_by_role("group", name="IP address")).to_contain_text("10.0.0.7")
    assert judge.axe(second) == []
    second.get_by_label("Yours: 10.0.0.8").check()
    stored(second, "Save what is chosen")
    expect(second.get_by_label("IP address")).to_have_value("10.0.0.8")
    first.reload()
    expect(first.get_by_label("IP address")).to_have_value("10.0.0.8")


@pytest.fixture
def several(environment: dict[str, str]) -> None:
    """Clusters: then each address names the one that is meant."""
    from webmanager import agents

    for name in ("ordered1", "ordered2"):
        agents.add(node="server1", cluster=name)


def test_policy_is_ordered_by_keyboard_and_the_place_is_said(several, look):
    page = look(f"?at={GROUP}")
    page.get_by_role("button", name="server1 later").focus()

    with page.expect_navigation():
        page.keyboard.press("Alt+ArrowDown")

    expect(page.locator("#policy .name")).to_have_text(["server2", "server1", "server3"])
    expect(page.locator("[data-say]")).to_have_text("server1 is number 2 of 3.")
    expect(page.locator(":focus")).to_have_attribute("value", "server1:down")


def test_key_pressed_while_a_move_is_on_its_way_is_not_lost(look):
    page = look(f"?at={GROUP}")
    held = []

    def hold(route):
        held.append(route)
        if len(held) > 1:
            route.continue_()

    page.route("**/policy*", hold)
    page.get_by_role("button", name="server1 later").focus()
    page.keyboard.press("Alt+ArrowDown")
    while not held:
        page.wait_for_timeout(10)

    page.keyboard.press("Alt+ArrowDown")
    held[0].continue_()

    expect(page.locator("[data-say]")).to_have_text("server1 is number 3 of 3.")
    expect(page.locator("#policy .name")).to_have_text(["server2", "server3", "server1"])
    expect(page.locator(":focus")).to_have_attribute("value", re.compile("^server1:"))


def test_policy_is_ordered_by_drag(look):
    page = look(f"?at={GROUP}")

    with page.expect_navigation():
        page.locator("#policy li").nth(2).drag_to(page.locator("#policy li").nth(0))

    expect(page.locator("#policy .name")).to_have_text(["server3", "server1", "server2"])


def test_refused_value_keeps_everything_typed_and_leads_to_the_field(look):
    page = look(f"?at={FIP}")
    page.get_by_label("Comment").fill("kept")
    page.get_by_label("IP address").fill("10.0.0.777")
    page.keyboard.press("Control+s")

    page.get_by_role("alert").get_by_role("link", name="IP address").click()
    expect(page.get_by_label("Comment")).to_have_value("kept")
    expect(page.get_by_label("IP address")).to_have_attribute("aria-invalid", "true")
    assert judge.axe(page) == []
    page.get_by_label("IP address").fill("10.0.0.77")
    stored(page)
    page.wait_for_url("**at=**")
    expect(page.get_by_label("Comment")).to_have_value("kept")
    expect(page.get_by_label("IP address")).to_have_value("10.0.0.77")


def test_what_was_saved_outlives_the_manager(look, manager, draft):
    page = look(f"?at={FIP}")
    page.get_by_label("IP address").fill("10.0.0.42")
    stored(page)
    page.wait_for_url("**at=**")

    look.allowed += ["ERR_", "htmx:"]  # What the open page asks for meanwhile gets no answer.
    while manager.processes:
        manager.kill()
    manager.start()

    page.goto(look.address(f"?at={FIP}"))
    expect(page.get_by_label("IP address")).to_have_value("10.0.0.42")
    draft.refresh_from_db()
    assert draft.bundle.conf == CONF.replace(b"10.0.0.100", b"10.0.0.42")
