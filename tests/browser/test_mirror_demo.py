"""A mirror disk of real servers in Chromium: a copy moves on the page, and a split on purpose is healed there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.bench.web import free_ports
from tests.browser import judge
from tests.browser.demo import several, signed_in
from webmanager.demo.demo import Demo
from webmanager.demo.machine import until

pytestmark = [pytest.mark.browser, pytest.mark.root, pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(400)]
LIMIT_MS = 60_000
HEAL_S = 60.0
FILE = "/run/md1/large"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The service is at home on server1."""
    directory = tmp_path_factory.mktemp("mirrors")
    with (
        several(directory),
        Demo(directory / "demo", ports=free_ports(), resolvers=("witness",), servers=2, mirror=True, say=_silent) as up,
    ):
        yield up


def _silent(text: str) -> None:
    pass


@pytest.fixture
def page(demo: Demo, chromium: Any) -> Iterator[Any]:
    """The page of the mirror disk."""
    with signed_in(demo, chromium, LIMIT_MS) as found:
        assert demo.console
        found.goto(f"{demo.console.url}mirrors/md1/")
        yield found


def side(demo: Demo, server: str) -> dict[str, Any]:
    """As that server's own mirror process says it; {} while it says nothing."""
    found: dict[str, Any] | None = demo.cluster.status(server)["mirrors"]["md1"]["servers"][server]
    return found or {}


def facts(demo: Demo, server: str) -> list[str]:
    """Their codes."""
    return [code for _, code, _ in demo.cluster.status(server)["mirrors"]["md1"]["facts"]]


def write(demo: Demo, server: str, mebibytes: int) -> None:
    """Into a file on the mirror, as far as its stable storage."""
    words = ["dd", "if=/dev/urandom", f"of={FILE}", "bs=1M", f"count={mebibytes}", "conv=fsync"]
    demo.bed[server].run(words, timeout_s=HEAL_S)


def wait_equal(demo: Demo) -> None:
    until(
        lambda: all(side(demo, server).get("relation") == "equal" for server in demo.bed.servers),
        "both sides are equal", HEAL_S, 0.1,
    )  # fmt: skip


def copied(demo: Demo) -> float:
    """The part of what is to be copied, as the source says."""
    source = side(demo, "server1")
    return float(source["copied"] / source["to_copy"]) if source.get("to_copy") else 0.0


def percent(page: Any) -> float:
    return float(page.locator(".recovery progress").get_attribute("value", timeout=LIMIT_MS) or 0)


def seconds_left(page: Any) -> float | None:
    """What the page says; None while nobody can know."""
    text = page.locator(".recovery dt", has_text="Remaining time").locator("xpath=../dd").inner_text()
    found = re.fullmatch(r"(?:(\d+) min)? ?(?:(\d+) s)?", text.strip())
    return 60 * float(found[1] or 0) + float(found[2] or 0) if found and text.strip() else None


def test_progress_of_a_copy_moves_and_its_remaining_time_is_sane(demo: Demo, page: Any):
    run = demo.cluster.run
    run("server1", "clpmdctrl", "-b", "md1", "-h", "server2")
    until(lambda: side(demo, "server1").get("mode") == "alone", "server1 goes on alone", HEAL_S, 0.1)
    expect(page.locator(".said")).to_contain_text("server2", timeout=LIMIT_MS)
    write(demo, "server1", 32)
    # So slow that the page has all the time of a busy machine: 32 MiB take 8 minutes, unless we let them go on.
    run("server1", "clpmdctrl", "--pace", "64K", "md1")
    run("server1", "clpmdctrl", "-r", "md1", "-h", "server2")

    bar = page.locator(".recovery progress")
    expect(bar).to_be_visible(timeout=LIMIT_MS)
    expect(page.get_by_text(re.compile(r"at most 64(\.0+)? KiB/s"))).to_be_visible(timeout=LIMIT_MS)
    until(lambda: seconds_left(page) is not None, "the remaining time is known", HEAL_S, 0.2)
    first, left = percent(page), seconds_left(page)
    assert left is not None
    assert 60 < left < 3600

    run("server1", "clpmdctrl", "--pace", "4M", "md1")
    until(lambda: copied(demo) > 0.5, "half of it is copied", HEAL_S, 0.05)
    run("server1", "clpmdctrl", "--pace", "64K", "md1")
    until(lambda: percent(page) > max(first, 40), "the bar moves", HEAL_S, 0.2)
    later = seconds_left(page)
    assert later is not None
    assert later < left
    judge.picture(page, "mirror-copy", "en")

    page.get_by_role("button", name="As fast as possible …").click()
    page.get_by_role("dialog").get_by_role("button", name="Recover mirror md1 as fast as possible").click()
    expect(bar).to_have_count(0, timeout=LIMIT_MS)
    expect(page.locator(".said")).to_contain_text("Both servers have the same data.", timeout=LIMIT_MS)


def test_split_on_purpose_is_shown_and_healed_with_the_loss_in_view(demo: Demo, page: Any):
    run = demo.cluster.run
    wait_equal(demo)
    # Each side goes on without the other one: server1 until it loses its power, server2 because the operator wants so.
    run("server1", "clpmdctrl", "-b", "md1", "-h", "server2")
    until(lambda: side(demo, "server1").get("mode") == "alone", "server1 goes on alone", HEAL_S, 0.1)
    write(demo, "server1", 6)
    demo.cluster.crash("server1")
    until(lambda: "isolated_unknown" in facts(demo, "server2"), "server2 misses server1", HEAL_S, 0.1)
    run("server2", "clpmdctrl", "-r", "md1")
    until(lambda: not side(demo, "server2").get("isolated", True), "server2 has joined again", HEAL_S, 0.1)
    until(lambda: "doubt" in facts(demo, "server2"), "server2 cannot know how old its data are", HEAL_S, 0.1)
    run("server2", "clpmdctrl", "-f", "md1", "-y")
    mounted = ["mountpoint", "-q", FILE.rpartition("/")[0]]
    until(lambda: not demo.bed["server2"].run(mounted, check=False).code, "server2 serves", HEAL_S, 0.1)
    write(demo, "server2", 3)
    demo.cluster.recover("server1")

    said = page.locator(".said")
    expect(said).to_contain_text("Both servers have written to md1 without the other one", timeout=LIMIT_MS)
    for server in ("server1", "server2"):
        picture = page.locator(f'[data-side="{server}"] .bitmap')
        expect(picture.locator("svg path").first).to_be_attached(timeout=LIMIT_MS)
        expect(picture.locator(".hint")).not_to_have_text("")
    judge.picture(page, "mirror-split", "en")

    page.get_by_role("button", name="Force from server2 …").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(
        re.compile(r"Lost for good: \d+(\.\d+)? [KM]iB that only server1 has"), timeout=LIMIT_MS
    )
    judge.picture(page, "mirror-force", "en")
    dialog.get_by_label("Type md1 to confirm").fill("md1")
    dialog.get_by_role("button", name="Force the recovery of mirror md1 from server2").click()

    expect(said).to_contain_text("Both servers have the same data.", timeout=LIMIT_MS)
    wait_equal(demo)
    assert [side(demo, server)["color"] for server in demo.bed.servers] == ["GREEN", "GREEN"]
    size = demo.bed["server2"].run(["stat", "-c", "%s", FILE]).out.strip()
    assert int(size) == 3 << 20
