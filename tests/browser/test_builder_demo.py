"""The Builder on a real cluster, in Chromium: wizard, check, what-if, apply; and a harmful change takes itself back."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.demo import demo, signed_in
from webmanager.demo.configuration import SERVICE
from webmanager.demo.demo import Demo
from webmanager.demo.machine import until

__all__ = ["demo"]
pytestmark = [pytest.mark.browser, pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(300)]
LIMIT_MS = 30_000
CHANGE_MS = 90_000


@pytest.fixture(scope="module")
def page(demo: Demo, chromium: Any) -> Iterator[Any]:
    with signed_in(demo, chromium, LIMIT_MS) as found:
        yield found


def go(demo: Demo, page: Any, path: str) -> None:
    assert demo.console
    page.goto(demo.console.url + path)


def tab(page: Any, name: str) -> None:
    page.get_by_role("navigation", name="Parts of the draft").get_by_role("link", name=name, exact=True).click()


def save(page: Any) -> None:
    with page.expect_navigation():
        page.get_by_role("button", name="Save", exact=True).click()


def apply(page: Any, why: str) -> None:
    tab(page, "Apply")
    page.get_by_label("Why").fill(why)
    assert page.get_by_role("alert").all_inner_texts() == []
    page.get_by_label("Time to confirm").select_option("30")
    with page.expect_navigation():
        page.get_by_role("button", name="Check on the servers and apply").click()
    if page.get_by_label("Apply anyway, because").count():
        page.get_by_label("Apply anyway, because").fill("it is a test")
        page.get_by_role("button", name="Check on the servers and apply").click()
    page.wait_for_url("**/builder/applied/*")


def kill_web(demo: Demo) -> None:
    """The manager's supervisor starts it again."""
    port = str(demo.console.ports[0]) if demo.console else ""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            line = _read(entry / "cmdline")
            if b"webmanager.serve" in line and str(demo.directory).encode() in _read(entry / "environ"):
                os.kill(int(entry.name), signal.SIGKILL)
                return
    raise AssertionError(f"no web server of the demo at port {port}")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_wizard_makes_a_cluster_that_is_checked_played_applied_and_runs(demo: Demo, page: Any):
    address = demo.plan.groups[0].address
    go(demo, page, "builder/wizard/?kind=service&count=3")
    page.get_by_role("button", name="Read network cards and disks from the servers").click()
    expect(page.get_by_label("Name of the cluster")).to_have_value(demo.plan.name)
    page.get_by_label("Majority", exact=False).check()
    page.get_by_label("Floating address of failover1").fill(address)
    program = f"{sys.executable} -I -S {SERVICE} failover1 8081"
    page.get_by_label("Command that starts the service").fill(f"{program} >/dev/null 2>&1 & echo $! >/run/own.pid")
    page.get_by_label("Command that stops the service").fill("kill $(cat /run/own.pid); exit 0")
    page.get_by_role("button", name="Make the draft and check it").click()
    expect(page.get_by_text("Errors 0")).to_have_count(1)

    tab(page, "What if")
    page.get_by_role("button", name="Play it").click()
    page.get_by_role("heading", name="As it runs now").wait_for(timeout=CHANGE_MS)
    apply(page, "a cluster by the wizard")
    page.get_by_role("button", name="Confirm: it stays").click(timeout=CHANGE_MS)
    page.get_by_text("It is in force on all servers.").wait_for(timeout=CHANGE_MS)

    assert demo.client
    until(lambda: demo.client.seen("failover1").answering, "an answer of the new service", 60)  # type: ignore[union-attr]
    status = demo.cluster.status()
    assert list(status["groups"]) == ["failover1"]
    assert {one["config"] for one in status["cluster"]["configuration"]["servers"].values()} == {
        status["cluster"]["configuration"]["to"]
    }


def test_edited_draft_outlives_reload_and_the_managers_death(demo: Demo, page: Any):
    go(demo, page, "builder/")
    page.get_by_role("button", name="From the running configuration").click()
    page.get_by_role("navigation", name="Objects").get_by_role("link", name=re.compile("failover1")).click()
    page.get_by_label("Comment").fill("kept whatever happens")
    save(page)
    here = page.url

    page.reload()
    expect(page.get_by_label("Comment")).to_have_value("kept whatever happens")
    kill_web(demo)
    until(lambda: _loads(page, here), "the manager to be back", 60)
    expect(page.get_by_label("Comment")).to_have_value("kept whatever happens")
    page.get_by_label("Comment").fill("and gone on with")
    save(page)
    tab(page, "Scripts")
    expect(page.get_by_text("start.sh").first).to_be_visible()


def _loads(page: Any, url: str) -> bool:
    from playwright.sync_api import Error

    try:
        return bool(page.goto(url).ok)
    except Error:
        return False


def test_harmful_change_takes_itself_back_and_the_log_says_why(demo: Demo, page: Any):
    before = demo.cluster.status()["cluster"]["configuration"]["servers"]
    go(demo, page, "builder/")
    page.get_by_role("button", name="From the running configuration").click()
    page.get_by_role("navigation", name="Objects").get_by_role("link", name=re.compile("server2")).click()
    for number in (0, 1):
        page.locator(f'input[name="value:device@{number}/info"]').fill(f"10.99.{number}.2")
    save(page)
    apply(page, "a wrong address")
    page.get_by_text("It was taken back.").wait_for(timeout=CHANGE_MS)

    expect(page.locator("#change")).to_contain_text("was not heard with the new configuration")
    demo.cluster.wait_online(60)
    now = demo.cluster.status()["cluster"]["configuration"]["servers"]
    assert {name: one["config"] for name, one in now.items()} == {name: one["config"] for name, one in before.items()}
    assert "was not heard with the new configuration" in demo.cluster.run("server1", "clpstat", "--long")
