"""The pages without JavaScript, their permissions and headers."""

from __future__ import annotations

import asyncio
import json
import re
import socketserver
import threading
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.webmanager.accounts.visitor import Visitor
from tests.webmanager.stack import PASSWORD, agent, browser, note, report, until
from tests.webmanager.test_rest import reporting
from webmanager.models import Event, Operation
from webmanager.templatetags.pages import pages

pytestmark = pytest.mark.slow
TOKEN = "t" * 32


@pytest.fixture
def page(manager, people, cluster):
    async def ask(path, user="bob", method="GET", form=None, htmx=False):
        cookie = f"openclp_csrf={TOKEN}" + (f"; openclp_session={people[user]}" if user else "")
        headers = {"Cookie": cookie, **({"HX-Request": "true"} if htmx else {})}
        body = None
        if form is not None:
            method, headers["Content-Type"] = "POST", "application/x-www-form-urlencoded"
            body = urlencode({"csrfmiddlewaretoken": TOKEN, **form})
        mark = "&" if "?" in path else "?"
        return await manager.acall(method, f"{path}{mark}cluster={cluster}", body=body, headers=headers)

    return ask


PAGES = [
    "/",
    "/servers/",
    "/servers/server1/",
    "/groups/",
    "/groups/failover1/",
    "/partition/",
    "/events/",
    "/operations/",
]


@pytest.mark.parametrize("path", PAGES)
async def test_pages_are_shown_with_strict_headers(manager, cluster, register, page, path):
    async with reporting(manager, cluster, register("server1")):
        status, text, response = await page(path, "charlie")
    assert status == 200
    assert ("server1" if "servers" in path else "failover1") in text or path in (
        "/operations/",
        "/events/",
        "/partition/",
    )
    policy = response.getheader("Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert response.getheader("X-Frame-Options") == "DENY"
    assert response.getheader("X-Content-Type-Options") == "nosniff"
    assert not re.search(r"<script(?![^>]*(src=|application/json))", text)
    assert not re.search(r"<style|\sstyle=|\son\w+=", text)


@pytest.mark.parametrize("path", [*PAGES, "/operate/?op=group_stop&target=failover1"])
async def test_pages_need_a_login(page, path):
    status, _, response = await page(path, user="")
    assert status == 302
    assert response.getheader("Location").startswith("/login/?next=")


@pytest.mark.parametrize(
    ("path", "form", "place"),
    [
        ("/logs/start", {"kind": "type1", "limit": "8"}, "/logs/"),
        ("/drills/window", {"do": "always"}, "/drills/"),
        ("/availability/failover1/", {"percent": "99.9"}, "/availability/failover1/"),
        ("/builder/change/decide", {"do": "return", "id": "over"}, "/builder/change"),
    ],
)
async def test_form_leads_back_to_its_own_cluster_whatever_another_tab_has_chosen(
    manager, people, cluster, register, path, form, place
):
    """Two clusters have groups of one name: whoever lands in the other one would go on there."""
    alice = Visitor(manager, people["alice"])
    async with reporting(manager, cluster, register("server1")):
        status = await asyncio.to_thread(lambda: alice.post(f"{path}?cluster={cluster}", **form))
    assert (status, alice.place) == (302, f"{place}?cluster={cluster}")


async def test_htmx_without_login_is_sent_to_the_login(page):
    status, _, response = await page("/operate/?op=group_stop&target=failover1", user="", htmx=True)
    assert status == 204
    assert response.getheader("HX-Redirect").startswith("/login/")


async def test_login_logout(manager, people, cluster, page):
    form = {"username": "alice", "password": PASSWORD, "next": "/groups/"}
    status, _, response = await page("/login/", user="", form=form)
    assert (status, response.getheader("Location")) == (302, "/groups/")
    cookies = response.headers.get_all("Set-Cookie")
    assert any(c.startswith("openclp_session=") and "HttpOnly" in c and "SameSite=Lax" in c for c in cookies)
    status, _, response = await page("/login/", user="", form={**form, "next": "//evil.example/"})
    assert response.getheader("Location") == "/"


async def test_wrong_password_stays_on_the_page_and_many_are_stopped(page, environment):
    from redis import Redis

    form = {"username": "mallory", "password": "guess"}
    found = [(await page("/login/", user="", form=form))[0] for _ in range(11)]
    assert found == [200] * 10 + [429]
    with Redis.from_url(environment["REDIS_URL"]) as redis:
        redis.delete(*redis.scan_iter("*login:*"))


async def test_foreign_host_name_is_refused(manager):
    status, text, _ = await manager.acall("GET", "/login/", headers={"Host": "rebound.example"})
    assert status == 400
    assert "OPENCLP_NAMES" in text


async def test_unknown_pages_are_404(manager, cluster, register, page):
    async with reporting(manager, cluster, register("server1")):
        assert (await page("/groups/nobody/"))[0] == 404
        assert (await page("/nowhere/"))[0] == 404


async def test_preview_as_page_and_as_part(manager, cluster, register, page):
    async with reporting(manager, cluster, register("server1")) as one:
        path = "/operate/?op=group_move&target=failover1&server=server2"
        status, whole, _ = await page(path)
        assert status == 200
        assert "clpgrp -m failover1 -a server2" in whole
        assert "/api/v1/groups/failover1/move" in whole
        status, part, _ = await page(path, htmx=True)
        assert status == 200
        assert "<html" in whole
        assert "<html" not in part
        assert one.commands == []


async def test_operation_by_form_without_javascript(manager, cluster, register, page):
    async with reporting(manager, cluster, register("server1")) as one:
        form = {"op": "group_move", "target": "failover1", "server": "server2", "confirm": "1"}
        status, _, response = await page("/operate/", form=form)
        where = response.getheader("Location")
        assert (status, where.startswith("/operations/")) == (302, True)
        key = where.rstrip("/").rpartition("/")[2]
        for _ in range(500):
            status, text, response = await page(where)
            if Operation.objects.get(id=key).state == "done":
                break
            await asyncio.sleep(0.02)
        (command,) = one.commands
        assert command["id"] == key
        status, text, response = await page(where)
        assert response.getheader("Refresh") is None
        assert "on the way" in text


async def test_operation_is_told_to_every_browser(manager, people, cluster, register, page):
    async with reporting(manager, cluster, register("server1")), browser(manager, cluster, people["charlie"]) as view:
        form = {"op": "group_stop", "target": "failover1", "confirm": "1", "typed": "failover1"}
        status, text, _ = await page("/operate/", form=form, htmx=True)
        assert status == 200
        assert "<html" not in text
        await view.until(
            lambda v: v.newest.get("type") == "operation" and v.newest["operation"]["state"] == "done", "the end"
        )
        assert view.newest["operation"]["by"] == "bob@127.0.0.1"


async def test_viewer_may_not_preview_or_operate(manager, cluster, register, page):
    async with reporting(manager, cluster, register("server1")) as one:
        form = {"op": "group_stop", "target": "failover1", "confirm": "1"}
        assert (await page("/operate/?op=group_stop&target=failover1", "charlie"))[0] == 403
        assert (await page("/operate/", "charlie", form=form))[0] == 403
        assert one.commands == []


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"op": "format_disk"}, 400),
        ({"op": "group_stop", "target": "nobody"}, 404),
        ({"op": "group_move", "target": "failover1", "server": "nobody"}, 404),
    ],
)
async def test_bad_operations_are_refused(manager, cluster, register, page, form, status):
    async with reporting(manager, cluster, register("server1")) as one:
        assert (await page("/operate/", form={**form, "confirm": "1"}))[0] == status
        assert one.commands == []


async def test_post_without_confirmation_only_shows_the_preview(manager, cluster, register, page):
    async with reporting(manager, cluster, register("server1")) as one:
        assert (await page("/operate/", form={"op": "group_stop", "target": "failover1"}))[0] == 200
        assert one.commands == []


async def test_form_of_a_foreign_page_is_refused(manager, people, cluster, register):
    async with reporting(manager, cluster, register("server1")) as one:
        headers = {"Cookie": f"openclp_session={people['bob']}", "Content-Type": "application/x-www-form-urlencoded"}
        form = urlencode({"op": "group_stop", "target": "failover1", "confirm": "1"})
        status, _, _ = await manager.acall("POST", f"/operate/?cluster={cluster}", body=form, headers=headers)
        assert status == 403
        assert one.commands == []


class _Demo(socketserver.StreamRequestHandler):
    def handle(self):
        self.server.asked.append(json.loads(self.rfile.readline()))
        self.wfile.write(b'{"ok":true}\n')


@pytest.fixture
def demo(environment):
    path = Path(environment["OPENCLP_DEMO"]) / "control.sock"
    with socketserver.UnixStreamServer(str(path), _Demo) as server:
        server.asked = []
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server.asked
        server.shutdown()
        thread.join()
    path.unlink()


async def test_demo_fault_is_for_administrators(manager, cluster, register, page, demo):
    form = {"op": "crash", "server": "server1"}
    async with reporting(manager, cluster, register("server1")):
        assert (await page("/demo/fault", "bob", form=form))[0] == 403
        assert demo == []
        assert (await page("/demo/fault", "alice", form=form, htmx=True))[0] == 200
    assert demo == [{"op": "crash", "server": "server1", "lan": ""}]


async def test_events_page_filters_and_pages(manager, cluster, register, page):
    async with agent(manager, cluster, "server1", register("server1")) as one:
        await one.hello()
        notes = tuple(
            note(n, f"word{n:03d}", module="unlisted", severity="error" if n == 7 else "info") for n in range(150)
        )
        await one.snapshot(report("server1"), notes=notes)
        stored = Event.objects.filter(cluster__name=cluster)
        await asyncio.to_thread(until, lambda: stored.count() == 150, "150 stored events")
        _, text, _ = await page("/events/?q=ord149")
        assert "word149" in text
        assert "word148" not in text
        _status, text, _ = await page("/events/?severity=error")
        assert "word007" in text
        assert "word008" not in text
        _status, text, _ = await page("/events/")
        assert "word149" in text
        assert "word049" not in text
        cursor = re.search(r"before=([^\"&]+)", text).group(1)
        _status, text, _ = await page(f"/events/?before={cursor}")
        assert "word049" in text
        assert "word050" not in text


async def test_japanese(manager, people):
    headers = {"Accept-Language": "ja"}
    status, _text, response = await manager.acall("GET", "/login/", headers=headers)
    assert (status, response.getheader("Content-Language")) == (200, "ja")


def test_page_of_the_past_leads_on_to_where_one_operates():
    """Nobody operates there (`may_operate`); the role says where somebody may go."""

    def names(role: str) -> set[str]:
        return {link["name"] for group in pages({"role": role, "may_operate": False}) for link in group["links"]}

    assert "logs" in names("operator")
    assert "logs" not in names("viewer")
