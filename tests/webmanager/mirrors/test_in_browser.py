"""The mirror helper in Chromium: it moves by itself, is good for everybody, and force asks with the loss in view."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.agent.cli import mirrors
from tests.browser import judge
from tests.builder.test_in_browser import chromium
from tests.webmanager.mirrors import scene
from tests.webmanager.reporting import obey
from tests.webmanager.stack import FakeAgent, agent, until

__all__ = ["chromium"]
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]
CLUSTER = "mirrored"
STATES = {
    "diverged": mirrors.diverged(), "copying": mirrors.copying(), "alone": mirrors.alone(), "equal": mirrors.equal(),
    "doubtful": mirrors.doubtful(), "empty": mirrors.empty(), "silent": mirrors.mirror(None, None),
    "differs": mirrors.differing(), "separated": mirrors.separated(), "restoring": mirrors.restoring(),
}  # fmt: skip
RICHEST = ("diverged", "copying", "restoring")  # all that a page can have; the others are judged with all other pages
OWN = ("Data of the shop", "No route to host.")


class Told:
    """The servers, which say what a test wants, from a thread of their own."""

    def __init__(self, manager: Any) -> None:
        from webmanager import agents

        self._manager, self._secret = manager, agents.add(node="server1", cluster=CLUSTER)
        self._loop, self._ready, self._over = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
        self._seq = 1
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))
        self._thread.start()
        assert self._ready.wait(30)

    async def _run(self) -> None:
        async with agent(self._manager, CLUSTER, "server1", self._secret) as self.one:
            data = scene.config(CLUSTER)
            digest = hashlib.sha256(data).hexdigest()
            await self.one.hello(config=base64.b64encode(data).decode(), config_hash=digest)
            await self.one.snapshot(*scene.reports(mirrors.equal()))
            answering = asyncio.create_task(obey(self.one, _done))
            self._ready.set()
            await self._over.wait()
            answering.cancel()

    def say(self, mirror: dict[str, Any]) -> None:
        self._seq += 1
        work = self.one.change(*scene.reports(mirror, self._seq))
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(20)
        self._loop.close()


async def _done(one: FakeAgent, command: dict[str, Any]) -> None:
    await one.result(command["id"], text="Given up.")


@pytest.fixture(scope="module")
def servers(manager: Any, people: Any) -> Iterator[Told]:
    from webmanager.models import Cluster

    made = Told(manager)
    yield made
    made.end()
    Cluster.objects.filter(name=CLUSTER).delete()


@pytest.fixture
def window(chromium: Any, manager: Any, people: dict[str, str]) -> Iterator[Callable[..., Any]]:
    """window("ja"): Alice's page, in that language."""
    from django.conf import settings

    base = f"http://127.0.0.1:{manager.port}"
    context = chromium.new_context(base_url=base)
    context.set_default_timeout(30_000)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: said.type == "error" and complaints.append(said.text))

    def speak(language: str) -> Any:
        cookies = {settings.SESSION_COOKIE_NAME: people["alice"], "django_language": language}
        context.add_cookies([{"name": name, "value": value, "url": base} for name, value in cookies.items()])
        return page

    yield speak
    context.close()
    assert complaints == []


def shown(manager: Any, mirror: dict[str, Any]) -> bool:
    path = f"/api/v2/clusters/{CLUSTER}/mirrors/md1"
    _, found, _ = manager.call("GET", path, user="charlie")
    codes = [one["code"] for one in found.get("mirror", {}).get("facts", ())]
    return codes == [code for _, code, _ in mirror["facts"]]


@pytest.mark.parametrize(
    ("state", "language"),
    [
        pytest.param(state, language, marks=() if state in RICHEST else pytest.mark.long)
        for state, language in judge.shared_out(STATES)
    ],
)
def test_helper_is_good_for_everybody_in_each_state(
    servers: Told, manager: Any, window: Any, state: str, language: str
) -> None:
    servers.say(STATES[state])
    until(lambda: shown(manager, STATES[state]), "the state")
    page = window(language)
    assert page.goto(f"/mirrors/md1/?cluster={CLUSTER}").status == 200
    judge.picture(page, f"mirror-{state}", language)
    assert judge.faults(page, language, own=OWN) == []


def test_what_changes_while_the_page_is_on_its_way_is_shown(servers: Told, manager: Any, window: Any) -> None:
    servers.say(mirrors.equal())
    page = window("en")

    def later(route: Any) -> None:
        servers.say(mirrors.copying(10 << 20))
        until(lambda: shown(manager, mirrors.copying(10 << 20)), "the state")
        route.continue_()

    until(lambda: shown(manager, mirrors.equal()), "the state")
    page.route("**/mirrors-live.js*", later, times=1)
    page.goto(f"/mirrors/md1/?cluster={CLUSTER}")
    expect(page.locator(".recovery progress")).to_have_attribute("value", "10.0")


def test_progress_moves_without_loading_the_page(servers: Told, window: Any) -> None:
    servers.say(mirrors.copying(10 << 20))
    page = window("en")
    page.goto(f"/mirrors/md1/?cluster={CLUSTER}")
    page.evaluate("window.same = true")
    bar = page.locator(".recovery progress")
    expect(bar).to_have_attribute("value", "10.0")

    page.get_by_role("button", name="As fast as possible …").focus()
    servers.say(mirrors.copying(75 << 20))
    expect(bar).to_have_attribute("value", "75.0")
    expect(page.get_by_text("75 % (75.0 MiB of 100 MiB)")).to_be_visible()
    expect(page.get_by_role("button", name="As fast as possible …")).to_be_focused()

    servers.say(mirrors.equal())
    expect(bar).to_have_count(0)
    expect(page.locator(".said")).to_contain_text("Both servers have the same data.")
    assert page.evaluate("window.same")


def test_force_asks_with_the_loss_and_the_name(servers: Told, manager: Any, window: Any) -> None:
    servers.say(mirrors.diverged())
    until(lambda: shown(manager, mirrors.diverged()), "the state")
    page = window("en")
    page.goto(f"/mirrors/md1/?cluster={CLUSTER}")
    page.get_by_role("button", name="Force from server2 …").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Lost for good: 12.0 MiB that only server1 has")

    dialog.get_by_label("Type md1 to confirm").fill("md1")
    dialog.get_by_role("button", name="Force the recovery of mirror md1 from server2").click()
    expect(dialog).to_contain_text("Done")
    request = servers.one.commands[-1]["request"]
    assert (request["op"], request["server"]) == ("mirror_force", "server2")


def test_live_page_shows_mirrors_what_is_wrong_and_leads_there(servers: Told, window: Any) -> None:
    servers.say(mirrors.alone())
    page = window("en")
    page.goto(f"/?cluster={CLUSTER}")
    disk = page.locator('[data-mirror="md1"]')
    expect(disk).to_contain_text("server2 lacks 12.0 MiB")
    expect(page.locator("clp-problems")).to_contain_text("Mend server2 or the mirror connect")

    servers.say(mirrors.copying(40 << 20))
    expect(disk.locator("progress")).to_have_attribute("value", "40")
    judge.picture(page, "live-mirror", "en")
    disk.get_by_role("link").click()
    expect(page.get_by_role("heading", name="md1")).to_be_visible()


def test_detail_of_the_resource_says_how_its_mirror_is_and_leads_there(servers: Told, window: Any) -> None:
    servers.say(mirrors.alone())
    page = window("en")
    page.goto(f"/?cluster={CLUSTER}#/resource/md1")
    row = page.locator("clp-detail dl.facts > div", has_text="Mirror disk")
    expect(row).to_contain_text("server2 lacks 12.0 MiB")
    row.get_by_role("link", name="Both sides").click()
    expect(page.get_by_role("heading", name="md1")).to_be_visible()


def test_list_follows(servers: Told, window: Any) -> None:
    servers.say(mirrors.equal())
    page = window("en")
    page.goto(f"/mirrors/?cluster={CLUSTER}")
    row = page.locator("tbody tr")
    expect(row).to_contain_text("Normal")
    servers.say(mirrors.diverged())
    expect(row).to_contain_text("Abnormal")
