"""What is wrong is told whole in the reader's language, also what servers say in it; what is not known is marked."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser import judge

pytestmark = [pytest.mark.browser, pytest.mark.slow]
Look = Callable[..., Any]


IN_USE = "address 10.20.0.12 is in use by 02:00:00:00:00:09 on the LAN of pub; free it there or choose another one"


def trouble(manager: Any) -> None:
    manager.do("reset", guarded=True, servers=3)
    manager.do(
        "put",
        group="failover1",
        server="server1",
        state="Online Failure",
        detail="exec1: the process of exec1 has ended",
    )
    manager.do(
        "put",
        group="failover2",
        server="server2",
        state="Offline Failure",
        detail=f"fip2: {IN_USE}",
    )
    manager.do("mark", unreached=["server2"], quarantined=["server2"], cut=[["lanhb1", "server3"]])
    manager.do("monitor", name="ipw1", server="server1", detail="no answer to ping from 10.20.0.1")
    manager.do("monitor", name="ipw1", server="server3", detail="the moon is in the way")


def line(page: Any, text: str) -> Any:
    return page.locator("clp-problems li .what", has_text=text)


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), pytest.param(390, "dark", marks=pytest.mark.long)])
def test_details_within_problems_are_japanese_on_a_japanese_page(
    look: Look, manager: Any, width: int, scheme: str
) -> None:
    trouble(manager)
    page = look("/", locale="ja-JP", viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.locator("clp-problems button").click()

    expect(line(page, "ipw1")).to_have_count(2)
    expect(line(page, "server1 の ipw1")).to_contain_text("10.20.0.1 から ping の応答がありません")
    expect(line(page, "failover1")).to_contain_text("exec1: exec1 のプロセスが終了しました")
    expect(line(page, "failover2")).to_contain_text(
        "アドレス 10.20.0.12 は pub の LAN で 02:00:00:00:00:09 が使用中です"
    )
    expect(line(page, "httpnp1")).to_contain_text("時間内に応答がありません")
    expect(line(page, "server3 の ipw1").locator('[lang="en"]')).to_have_text("the moon is in the way")
    expect(page.locator('clp-problems [lang="en"]')).to_have_count(1)
    assert [one for one in judge.english(page) if "clp-problems" in one] == []
    if shots := os.environ.get("OPENCLP_SHOTS"):
        page.screenshot(path=f"{shots}/problems-{width}-{scheme}.png", full_page=True)


def test_english_page_says_it_as_the_servers_do_and_marks_nothing(look: Look, manager: Any) -> None:
    trouble(manager)
    page = look("/")

    expect(line(page, "ipw1 on server1: no answer to ping from 10.20.0.1")).to_be_visible()
    expect(page.locator("clp-problems [lang]")).to_have_count(0)
