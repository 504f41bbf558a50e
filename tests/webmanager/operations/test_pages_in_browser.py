"""The pages of operations and logs in a browser: nobody is shut out of them, and they do what they say."""

from __future__ import annotations

import asyncio
import os

import pytest
from django.utils import timezone
from playwright.async_api import expect

from tests.webmanager.accounts.test_in_browser import chromium, findings, signed_in
from tests.webmanager.reporting import reporting
from webmanager.logs.models import Collection
from webmanager.models import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.browser]
__all__ = ["chromium", "signed_in"]
PICTURES = os.environ.get("OPENCLP_PICTURES", "")  # directory; unset: none are taken
PAGES = {
    "operations": "/operations/?",
    "filter": "/operations/?state=failed&q=nobody&",
    "choose": "/operate/?op=monitor_fail&",
    "move": "/operate/?op=group_move&target=failover1&",
    "stop": "/operate/?op=cluster_stop&",
    "force": "/operate/?op=cluster_force&",
    "logs": "/logs/?",
}


def collections(cluster: str) -> str:
    of = Cluster.objects.get(name=cluster)
    part = {"percent": 100, "error": "", "clock": [0.0213, 0.0004]}
    gone = {"percent": 0, "error": "There is no link from server1 to the agent on server2.", "clock": None}
    common = {"cluster": of, "kind": "type1", "limit_mib": 128, "by": "bob@192.0.2.7"}
    Collection.objects.create(**common, state="running", servers={"server1": part, "server2": part | {"percent": 40}})
    Collection.objects.create(**common, state="failed", servers={"server1": gone}, error="No server gave its logs.")
    done = Collection.objects.create(
        **common, state="done", servers={"server1": part, "server2": gone}, size=1_234_567, notes=421,
        cause="THE CLUSTER NOW\n\nCluster c: Normal\n\nTHE NEWEST FAILOVER\n\nNo server was lost.\n",
    )  # fmt: skip
    return str(done.pk)


@pytest.mark.parametrize(
    ("language", "scheme", "width"),
    [("ja", "light", 390), pytest.param("en", "dark", 1400, marks=pytest.mark.long)],
)
async def test_axe_finds_nothing_and_nothing_is_wider_than_the_window(
    manager, people, signed_in, cluster, register, language, scheme, width
):
    wrong: list[str] = []
    async with reporting(manager, cluster, register("server1")):
        key = await asyncio.to_thread(collections, cluster)
        page = await signed_in(people["alice"], language, color_scheme=scheme, viewport={"width": width, "height": 900})
        for name, path in {**PAGES, "log": f"/logs/{key}/?"}.items():
            await page.goto(f"http://{manager.host}{path}cluster={cluster}")
            assert await page.evaluate("document.documentElement.lang") == language
            if name == "operations":
                await page.locator(".asking summary").click()
            wrong += await findings(page)
            if await page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                wrong.append(f"{path} is wider than the window")
            if PICTURES:
                await page.screenshot(path=f"{PICTURES}/{name}-{language}-{scheme}-{width}.png", full_page=True)
    Collection.objects.all().delete()
    assert wrong == []


async def test_page_of_one_collection_follows_it_without_being_loaded_anew(
    manager, people, signed_in, cluster, register
):
    async with reporting(manager, cluster, register("server1")):
        await asyncio.to_thread(collections, cluster)
        row = await Collection.objects.filter(cluster__name=cluster).aget(state="running")
        page = await signed_in(people["bob"], "en")
        await page.goto(f"http://{manager.host}/logs/{row.pk}/?cluster={cluster}")
        await expect(page.get_by_role("cell", name="40 %")).to_be_visible()
        await page.evaluate("window.kept = document.getElementById('parts').focus() ?? true")

        await Collection.objects.filter(pk=row.pk).aupdate(state="cancelled", ended_at=timezone.now())

        await expect(page.locator("#collection")).to_contain_text("ended")
        assert await page.evaluate("window.kept && document.activeElement.id") == "parts"
    await Collection.objects.all().adelete()


async def test_operation_is_found_previewed_typed_and_done_with_the_keyboard_and_without_javascript(
    manager, people, chromium, cluster, register
):
    """Without JavaScript every step is a page; what stops service wants its name typed."""
    async with reporting(manager, cluster, register("server1")) as one:
        context = await chromium.new_context(java_script_enabled=False)
        await context.add_cookies(
            [{"name": "openclp_session", "value": people["bob"], "url": f"http://{manager.host}"}]
        )
        page = await context.new_page()
        await page.goto(f"http://{manager.host}/operate/?op=group_stop&cluster={cluster}")
        await page.get_by_label("Which one").select_option("failover1")
        await page.get_by_role("button", name="What would happen?").press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Stop group failover1")
        await page.get_by_label("Why (for the logs and the audit)").fill("new cable")
        await page.get_by_label("Type failover1 to confirm").fill("failover2")
        await page.get_by_label("Type failover1 to confirm").press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text("Nothing was done")
        assert one.commands == []
        await expect(page.get_by_label("Why (for the logs and the audit)")).to_have_value("new cable")

        await page.get_by_label("Type failover1 to confirm").fill("failover1")
        await page.get_by_role("button", name="Stop group failover1").press("Enter")
        await expect(page.locator(".outcome")).to_contain_text("Done")
        await page.get_by_role("link", name="Close").click()
        await expect(page.get_by_role("row").nth(1)).to_contain_text("new cable")
        await context.close()
    (command,) = one.commands
    assert (command["request"]["op"], command["request"]["why"]) == ("group_stop", "new cable")


async def test_progress_of_an_operation_is_seen_by_two_people_and_one_cancels(
    manager, people, signed_in, cluster, register
):
    held: list[str] = []

    async def obey(one, command):
        if command["request"]["op"] == "request_cancel":
            await one.result(held[0], 3, reason="cancelled", text="It was cancelled by alice.")
            await one.result(command["id"], text="It was cancelled while it waited. Nothing was done.")
        else:
            held.append(command["id"])
            await one.send({"type": "progress", "id": command["id"], "text": "The request waits: server1 is lost."})

    async with reporting(manager, cluster, register("server1"), obey):
        bob, alice = await signed_in(people["bob"]), await signed_in(people["alice"])
        await bob.goto(f"http://{manager.host}/operate/?op=group_move&target=failover1&cluster={cluster}")
        await alice.goto(f"http://{manager.host}/operations/?cluster={cluster}")
        await alice.locator("#operations-table").focus()
        await bob.get_by_role("button", name="Move group failover1").click()
        row = alice.get_by_role("row").nth(1)
        await expect(row).to_contain_text("The request waits: server1 is lost.")
        await expect(alice.locator("#operations-table")).to_be_focused()
        await row.get_by_role("link").click()
        await alice.get_by_role("button", name="Cancel this operation").click()
        await expect(alice.locator(".outcome")).to_contain_text("Cancelled")
        await expect(bob.locator(".outcome")).to_contain_text("It was cancelled by alice.")
