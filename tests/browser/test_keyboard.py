"""The keyboard map of docs/keyboard.md, worked with the keyboard only."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]
Look = Callable[..., Any]
MAP = Path(__file__).parents[2] / "docs" / "keyboard.md"


def test_question_mark_shows_the_map_and_escape_closes_it(look: Look) -> None:
    page = look("/servers/")
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard")
    expect(dialog).to_be_visible()
    expect(dialog).to_contain_text("Find an object in all clusters")
    expect(dialog.locator("div", has_text="Events").last).to_have_text("g eEvents")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_map_in_the_documentation_is_that_of_the_pages(look: Look) -> None:
    page = look("/servers/")
    shown = page.locator(".pages a[data-key]").evaluate_all("all => all.map(one => [one.dataset.key, one.textContent])")
    told = dict(re.findall(r"\| `g` `(\w)` \| ([^|]+?) \|", MAP.read_text()))
    assert {key: told.get(key) for key, _ in shown} == dict(shown)
    assert len(shown) == len({key for key, _ in shown})


def test_g_and_a_letter_goes_to_a_page(look: Look) -> None:
    page = look("/")
    for letter, path in (("s", "/servers/"), ("e", "/events/"), ("l", "/")):
        page.keyboard.press("g")
        page.keyboard.press(letter)
        page.wait_for_url(re.compile(f"{path}(#.*)?$"))
    page.keyboard.press("x")  # Means nothing, and does nothing.
    expect(page).to_have_url(re.compile("/$"))


def test_letters_in_a_field_are_text(look: Look) -> None:
    page = look("/")
    field = page.get_by_label("Find in events")
    field.focus()
    page.keyboard.type("g?e/s")
    expect(field).to_have_value("g?e/s")
    expect(page).to_have_url(re.compile("/$"))
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_single_letters_can_be_switched_off(look: Look) -> None:
    page = look("/servers/")
    page.keyboard.press("?")
    box = page.get_by_label("Single letters are shortcuts on this browser")
    expect(box).to_be_checked()
    box.press("Space")
    page.keyboard.press("Escape")
    page.reload()
    page.keyboard.press("g")
    page.keyboard.press("e")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page).to_have_url(re.compile("/servers/$"))
    page.get_by_role("button", name="Keyboard").press("Enter")  # The way back.
    box.press("Space")
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("e")
    page.wait_for_url(re.compile("/events/$"))


def test_first_tab_skips_to_the_content(look: Look) -> None:
    page = look("/servers/")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the content")
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_menu_of_a_phone_opens_and_closes_by_keys_and_traps_nobody(look: Look) -> None:
    page = look("/servers/", viewport={"width": 390, "height": 844})
    pages = page.get_by_role("navigation", name="Pages")
    expect(pages).to_be_hidden()
    menu = page.get_by_role("button", name="Menu Servers")
    menu.press("Enter")
    expect(pages).to_be_visible()
    page.keyboard.press("Escape")
    expect(pages).to_be_hidden()
    menu.press("Enter")
    pages.get_by_role("link", name="Events").press("Enter")
    page.wait_for_url(re.compile("/events/$"))


def test_tab_goes_through_the_whole_page_and_out_of_it(look: Look) -> None:
    """Nothing holds the focus: from the first control one gets to the last one."""
    page = look("/")
    expect(page.locator("clp-live .state")).to_have_text("Live")
    seen = []
    for _ in range(150):
        page.keyboard.press("Tab")
        where = page.evaluate("document.activeElement.id || document.activeElement.outerHTML.slice(0, 80)")
        seen.append(where)
        if where == "keys-open":
            break
    assert seen[-1] == "keys-open"
