"""What the page draws, and how often."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]
Look = Callable[..., Any]


DRAWINGS = """async () => {
    const { store } = await import("/static/js/store.js");
    const frame = () => new Promise(requestAnimationFrame);
    const shown = (id) => Boolean(document.querySelector(`clp-events li[data-id="${id}"]`));
    const drawn = { "clp-tree": 0, "clp-events": 0, "clp-topology": 0 };
    for (const tag of Object.keys(drawn)) {
        const element = document.querySelector(tag);
        const draw = element.draw;
        element.draw = () => (drawn[tag] += 1, draw.call(element));
    }
    const tell = (id) => {
        const { events } = store.state;
        store.state = { ...store.state, events: [...events, { ...events.at(-1), id, causes: [] }] };
        store.dispatchEvent(new Event("change"));
    };
    await frame(), await frame();
    tell("one"), tell("two"), tell("three");
    const before = [shown("one"), shown("two"), shown("three"), { ...drawn }];
    await frame(), await frame();
    return [before, [shown("one"), shown("two"), shown("three"), { ...drawn }]];
}"""


def test_news_is_drawn_at_once_and_a_burst_of_it_once_a_frame(look: Look, manager: Any) -> None:
    page = look("/")
    expect(page.locator("clp-live .state")).to_have_text("Live")
    manager.do("set", mute=True)  # What is told is told by the test.

    before, after = page.evaluate(DRAWINGS)

    untouched = {"clp-tree": 0, "clp-topology": 0}
    assert before == [True, False, False, {"clp-events": 1, **untouched}]
    assert after == [True, True, True, {"clp-events": 2, **untouched}]


def test_keys_that_follow_each_other_within_a_frame_all_count(look: Look) -> None:
    page = look("/#/cluster")
    page.get_by_role("treeitem", name="Groups").focus()

    page.evaluate("""() => {
        const press = (key) => new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
        for (const key of ["ArrowLeft", "ArrowRight", "ArrowRight", "ArrowDown"])
            document.activeElement.dispatchEvent(press(key));
    }""")

    expect(page.locator("clp-tree :focus .name")).to_have_text("exec1")
