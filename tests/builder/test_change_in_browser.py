"""A change of the configuration in Chromium: the banner on every page, the countdown, both ways out by keyboard."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser import judge
from tests.builder.states import Trial
from tests.builder.test_in_browser import chromium, look
from tests.webmanager.conftest import cluster, register

__all__ = ["chromium", "cluster", "look", "register"]
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture
def trial(manager: Any, people: Any, cluster: str, register: Callable[..., str]) -> Iterator[Trial]:
    made = Trial(manager, cluster, register)
    made.begin()
    yield made
    made.end()


def tab_to(page: Any, name: str) -> None:
    """By the Tab key alone."""
    for _ in range(80):
        if page.evaluate("document.activeElement.id") == name:
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not lead to {name}")


def test_countdown_goes_down_and_banner_of_the_live_page_comes_and_goes(look, trial, cluster):
    page = look(f"/?cluster={cluster}")
    page.locator("clp-live .state[data-look=good]").wait_for()
    assert page.locator("clp-change aside").count() == 0

    trial.runs()
    page.locator("clp-change clp-countdown").wait_for()
    first = page.locator("clp-change clp-countdown").inner_text()
    assert re.fullmatch(r"[45] min( \d+ s)?", first)
    expect(page.locator("clp-change clp-countdown")).not_to_have_text(first)
    trial.over(state="returned", reason="it was not confirmed within 300 s")
    page.locator("clp-change aside").wait_for(state="detached")


def test_confirmed_by_keyboard_alone(look, trial, cluster):
    trial.runs()
    page = look(f"/servers/?cluster={cluster}")
    page.get_by_role("link", name="Look and decide").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/builder/change*")
    tab_to(page, "confirm-now")
    page.keyboard.press("Enter")

    request = trial.do(trial.servers.asked("config_confirm"))
    assert (request["target"], request["by"].partition("@")[0]) == ("by-a-command", "alice")
    trial.over(state="confirmed")
    page.get_by_text("It is in force on all servers.").wait_for()
    assert judge.axe(page) == []


def test_return_and_its_reason_appear_on_the_open_page(look, trial, cluster):
    trial.runs()
    page = look(f"/builder/change?cluster={cluster}")
    tab_to(page, "return-now")
    with page.expect_response(lambda answer: "/change/decide" in answer.url) as answer:
        page.keyboard.press("Enter")
    # By name: meanwhile another tab of the same person may have chosen another cluster.
    assert answer.value.headers["location"] == f"/builder/change?cluster={cluster}"

    request = trial.do(trial.servers.asked("config_return"))
    assert request["target"] == "by-a-command"
    trial.over(state="returned", reason="alice wanted it")
    page.get_by_text("It was taken back.").wait_for()
    # What the servers wrote is stored a moment later than their state is shown.
    trial.do(trial.servers.wrote(73, cluster, trial.servers.origin, "alice wanted it"))
    expect(page.locator("#change .remark")).to_contain_text("alice wanted it")
    expect(page.get_by_role("button", name="Return now")).to_have_count(0)
    page.locator("#change .notes li").first.wait_for()


def test_change_that_begins_appears_on_the_page_that_showed_none(look, trial, cluster):
    page = look(f"/builder/change?cluster={cluster}")
    page.get_by_text("No change of the configuration is under way.").wait_for()

    trial.runs()

    page.get_by_role("button", name="Return now").wait_for()
    expect(page.get_by_text("root@clpcfctrl")).to_have_count(1)


def test_applied_by_keyboard_alone_and_what_is_wrong_is_said_first(look, trial, cluster, users):
    from builder import services
    from webmanager.models import Cluster

    owner = Cluster.objects.get(name=cluster)
    draft = services.create_draft(bundle=trial.servers.runs, name=cluster, user=users["alice"], cluster=owner)
    comment = "/root/resource/exec@exec1/comment"
    services.change(draft=draft, revision=1, user=users["alice"], text="%(name)s", values={"name": "exec1"},
                    act=lambda work: work.edit.set(comment, "new"))  # fmt: skip
    page = look(f"/builder/drafts/{draft.pk}/apply")
    tab_to(page, "why")
    page.keyboard.type("a test")
    with page.expect_navigation():
        page.keyboard.press("Enter")

    expect(page.get_by_role("alert").get_by_role("strong")).to_have_text("Nothing was applied.")
    expect(page.locator("#anyway")).to_be_focused()
    page.keyboard.type("nobody looked")
    page.keyboard.press("Enter")
    page.wait_for_url("**/builder/applied/*")
    request = trial.do(trial.servers.asked("config_apply"))
    assert (request["why"], request["confirm_s"]) == ("a test", 300.0)
    draft.delete()


def test_page_of_somebody_who_was_signed_out_does_not_grow_old_in_silence(look, trial, cluster):
    trial.runs()
    page = look(f"/builder/change?cluster={cluster}")
    page.get_by_role("button", name="Return now").wait_for()
    page.context.clear_cookies()

    page.wait_for_url("**/login/**")
    expect(page.locator("main")).to_have_count(1)
