"""Timeline, availability and report in a browser: large, printed, and while a failover goes on.

Whether the pages are good for everybody is asked in test_every_page.py."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser import judge
from tests.builder.test_in_browser import chromium
from tests.webmanager.stack import agent, config, report, until
from tests.webmanager.test_recoveries_kept import events
from webmanager.demo.configuration import GroupPlan, Plan, clp_conf

__all__ = ["chromium"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]
DAY = 86400.0
TWO, MANY = "recovered", "manifold"


class Reported:
    """A cluster that one agent reports from a thread of its own, for as long as a module of tests."""

    def __init__(self, manager: Any, cluster: str, data: bytes, reports: tuple, notes: tuple = ()) -> None:
        from webmanager import agents

        self._manager, self._cluster, self._secret = manager, cluster, agents.add(node="server1", cluster=cluster)
        self._data, self._reports, self._notes = data, reports, notes
        self._loop = asyncio.new_event_loop()
        self._ready, self._over = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))
        self._thread.start()
        assert self._ready.wait(30)

    async def _run(self) -> None:
        async with agent(self._manager, self._cluster, "server1", self._secret) as self._one:
            digest = hashlib.sha256(self._data).hexdigest()
            await self._one.hello(config=base64.b64encode(self._data).decode(), config_hash=digest)
            await self._one.snapshot(*self._reports, notes=self._notes)
            self._ready.set()
            await self._over.wait()

    def say(self, notes: list[dict], *reports: dict) -> None:
        asyncio.run_coroutine_threadsafe(self._one.change(*reports, notes=tuple(notes)), self._loop).result(10)

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(20)
        self._loop.close()


def stored(cluster: str, count: int) -> None:
    from webmanager.models import Event

    until(lambda: Event.objects.filter(cluster__name=cluster).count() >= count, "stored events")


def history(cluster: str, now: float) -> None:
    """A year in which the manager listened, with a gap, and crashes some of which took long."""
    from webmanager import ledger
    from webmanager.models import Cluster
    from webmanager.recoveries import services
    from webmanager.recoveries.models import FirstSight, Listening

    owner = Cluster.objects.get(name=cluster)
    Listening.objects.create(cluster=owner, begun=now - 200 * DAY, until=now - 22 * DAY)
    Listening.objects.create(cluster=owner, begun=now - 20 * DAY, until=now)
    FirstSight.objects.filter(cluster=owner).delete()
    for name in ("failover1", "failover2"):
        FirstSight.objects.create(cluster=owner, group=name, at=now - 200 * DAY, server="server1")
    for life, (story, days) in enumerate(
        (("server_crash", 150), ("operator_move", 25), ("start_order_at_failover", 19)), 1
    ):
        ledger.store(cluster, events(story, now - days * DAY, life=life))
    services.catch_up(cluster=owner)


def large() -> bytes:
    servers = tuple(f"server{n}" for n in range(1, 33))
    return clp_conf(Plan(
        addresses={name: (f"10.1.0.{n}", f"10.2.0.{n}") for n, name in enumerate(servers, 1)},
        groups=tuple(
            GroupPlan(f"failover{n}", f"10.3.{n // 250}.{n % 250 + 1}", (servers[n % 32], servers[(n + 1) % 32]))
            for n in range(1, 501)
        ),
        name=MANY, majority=False,
    ))  # fmt: skip


@pytest.fixture(scope="module")
def clusters(manager: Any, people: Any) -> Iterator[dict[str, Reported]]:
    now = time.time()
    notes = tuple(events("server_crash", now - 3600))
    runs = report("server1", runs=("failover1",)), report("server3", runs=("failover2",))
    two = Reported(manager, TWO, config(TWO), runs, notes)
    all_ = tuple(f"failover{n}" for n in range(1, 501))
    many = Reported(manager, MANY, large(), (report("server1", runs=all_),))
    stored(TWO, len(notes))
    history(TWO, now)
    yield {TWO: two, MANY: many}
    for one in (two, many):
        one.end()
    from webmanager.models import Cluster

    Cluster.objects.filter(name__in=(TWO, MANY)).delete()


@pytest.fixture
def window(chromium: Any, manager: Any, people: dict[str, str]) -> Iterator[Any]:
    """Bob's; anything that a page complains of fails the test."""
    from django.conf import settings

    context = chromium.new_context()
    context.set_default_timeout(45_000)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: said.type in ("error", "warning") and complaints.append(said.text))

    def look(path: str, language: str = "en", cluster: str = TWO) -> Any:
        base = f"http://{manager.host}"
        cookies = {settings.SESSION_COOKIE_NAME: people["bob"], "django_language": language}
        context.add_cookies([{"name": name, "value": value, "url": base} for name, value in cookies.items()])
        mark = "&" if "?" in path else "?"
        page.goto(f"{base}{path}{mark}cluster={cluster}")
        return page

    yield look
    context.close()
    assert complaints == []


def test_large_cluster_is_one_page_that_does_not_scroll_sideways(clusters: Any, window: Any) -> None:
    page = window("/availability/", cluster=MANY)
    expect(page.locator("table.board tbody tr")).to_have_count(500)
    assert judge.too_wide(page) == []


def pages_of(pdf: bytes) -> int:
    return pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page ")


def test_report_of_a_small_cluster_is_one_sheet(clusters: Any, window: Any) -> None:
    page = window("/report/")
    expect(page.locator("main")).to_contain_text("printed by bob@")
    assert pages_of(page.pdf(prefer_css_page_size=True)) == 1
    assert pages_of(window("/report/", "ja").pdf(prefer_css_page_size=True)) == 1


def test_report_of_a_large_cluster_is_a_few_sheets(clusters: Any, window: Any) -> None:
    page = window("/report/", cluster=MANY)
    assert 2 <= pages_of(page.pdf(prefer_css_page_size=True)) <= 16


def test_running_failover_grows_in_list_and_timeline_without_a_reload(clusters: Any, window: Any) -> None:
    begin = time.time() - 18
    story = events("server_crash", begin, life=50)
    early, late = [n for n in story if n["time"] < begin + 18.1], [n for n in story if n["time"] >= begin + 18.1]
    page = window("/recoveries/?kind=failover&group=failover2")
    rows = page.locator("table.recoveries tbody tr")
    before = rows.count()
    page.evaluate("window.same = true")

    clusters[TWO].say(early)
    expect(rows).to_have_count(before + 1)
    expect(rows.first).to_contain_text("Running")
    rows.first.get_by_role("link").first.click()
    expect(page.locator(".lanes")).to_contain_text("Activate exec2")
    expect(page.locator(".heading")).to_contain_text("Running")
    page.evaluate("window.same = true")

    clusters[TWO].say(late)
    expect(page.locator(".heading")).to_contain_text("Online")
    expect(page.locator("tfoot")).to_contain_text("3.16 s")
    assert page.evaluate("window.same") is True


def test_operator_sets_an_objective(clusters: Any, window: Any) -> None:
    page = window("/availability/failover2/")
    page.get_by_label("Recovery time, at most (seconds)").fill("2,5")
    page.get_by_role("button", name="Store").click()
    expect(page.get_by_role("status")).to_contain_text("The objective of failover2 is stored.")
    expect(page.locator("main")).to_contain_text("Back within 2.5 s.")
