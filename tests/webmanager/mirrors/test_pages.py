"""Mirror disks in the real manager: pages, REST, and a forced recovery that tells its loss before it is asked for."""

from __future__ import annotations

import asyncio
import contextlib
from urllib.parse import urlencode

import pytest

from tests.agent.cli import mirrors
from tests.webmanager.mirrors import scene
from tests.webmanager.reporting import done, obey
from tests.webmanager.stack import agent

pytestmark = pytest.mark.slow
TOKEN = "t" * 32


@contextlib.asynccontextmanager
async def told(manager, cluster, register, mirror):
    async with agent(manager, cluster, "server1", register("server1")) as one:
        await scene.greet(one, mirror)
        await manager.everywhere(f"/api/v2/clusters/{cluster}/mirrors/md1")
        answering = asyncio.create_task(obey(one, done))
        try:
            yield one
        finally:
            answering.cancel()


async def page(manager, people, path, cluster, who="alice", form=None, htmx=False):
    headers = {"Cookie": f"openclp_session={people[who]}; openclp_csrf={TOKEN}", "X-CSRFToken": TOKEN}
    headers |= {"HX-Request": "true"} if htmx else {}
    if form is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    mark = "&" if "?" in path else "?"
    return await manager.acall(
        "GET" if form is None else "POST", f"{path}{mark}cluster={cluster}", headers=headers,
        body=None if form is None else urlencode(form),
    )  # fmt: skip


async def test_page_tells_both_sides_what_is_wrong_and_what_next(manager, people, cluster, register):
    async with told(manager, cluster, register, mirrors.diverged()):
        status, text, _ = await page(manager, people, "/mirrors/md1/", cluster)
        assert status == 200
        assert "each has what the other one lacks" in text
        assert "Compare what each would lose" in text
        assert "Lost for good: 3.0 MiB that only server2 has" in text
        assert "Lost for good: 12.0 MiB that only server1 has" in text
        assert "op=mirror_force&amp;target=md1&amp;server=server2" in text

        assert (await page(manager, people, "/mirrors/md9/", cluster))[0] == 404
        status, text, _ = await page(manager, people, "/mirrors/", cluster, "charlie")
        assert status == 200
        assert 'href="/mirrors/md1/' in text


async def test_part_of_the_page_is_brought_up_to_date(manager, people, cluster, register):
    async with told(manager, cluster, register, mirrors.copying(10 << 20)) as one:
        _, text, _ = await page(manager, people, "/mirrors/md1/", cluster, htmx=True)
        assert "<html" not in text
        assert 'value="10.0"' in text

        await one.change(*scene.reports(mirrors.copying(90 << 20), 2))
        while 'value="90.0"' not in (await page(manager, people, "/mirrors/md1/", cluster, htmx=True))[1]:
            await asyncio.sleep(0.05)


async def test_viewer_sees_no_buttons_and_operator_cannot_force(manager, people, cluster, register):
    async with told(manager, cluster, register, mirrors.diverged()):
        for who, forces, isolates in (("charlie", False, False), ("bob", False, True), ("alice", True, True)):
            _, text, _ = await page(manager, people, "/mirrors/md1/", cluster, who)
            assert ("op=mirror_force" in text) == forces, who
            assert ("op=mirror_break" in text) == isolates, who
        query = "/operate/?op=mirror_force&target=md1&server=server1"
        assert (await page(manager, people, query, cluster, "bob"))[0] == 403


async def test_force_shows_the_loss_wants_the_name_and_asks_the_server_whose_data_stay(
    manager, people, cluster, register
):
    async with told(manager, cluster, register, mirrors.diverged()) as one:
        asked = {"op": "mirror_force", "target": "md1", "server": "server2"}
        _, text, _ = await page(manager, people, f"/operate/?{urlencode(asked)}", cluster)
        assert "Lost for good: 12.0 MiB that only server1 has" in text
        assert "clpmdctrl -f server2 md1" in text

        _, text, _ = await page(manager, people, "/operate/", cluster, form={**asked, "confirm": "1", "typed": "md"})
        assert "Nothing was done" in text
        assert one.commands == []

        form = {**asked, "confirm": "1", "typed": "md1", "why": "server1 was wrong"}
        await page(manager, people, "/operate/", cluster, form=form)
        while not one.commands:
            await asyncio.sleep(0.02)
        request = one.commands[0]["request"]
        assert (request["op"], request["target"], request["server"]) == ("mirror_force", "md1", "server2")
        assert request["why"] == "server1 was wrong"


async def test_nothing_to_force_is_told_instead_of_a_button(manager, people, cluster, register):
    async with told(manager, cluster, register, mirrors.equal()):
        _, text, _ = await page(manager, people, "/operate/?op=mirror_force&target=md1&server=server1", cluster)
        assert "The cluster would refuse this." in text
        assert "Both servers have the same data already" in text


async def test_without_a_server_it_asks_for_one(manager, people, cluster, register):
    async with told(manager, cluster, register, mirrors.equal()):
        _, text, _ = await page(manager, people, "/operate/?op=mirror_break&target=md1", cluster)
        assert 'name="target" value="md1"' in text
        assert '<option value="server2">' in text
        assert "server3" not in text.partition("<select id=")[2].partition("</select>")[0]


async def test_rest_tells_all_and_operates(manager, cluster, register):
    async with told(manager, cluster, register, mirrors.diverged()) as one:
        base = f"/api/v2/clusters/{cluster}"
        _, found, _ = await manager.acall("GET", f"{base}/mirrors", user="charlie")
        assert [(m["name"], m["status"], m["facts"][0]["code"]) for m in found["mirrors"]] == [
            ("md1", "Abnormal", "diverged"),
        ]  # fmt: skip
        _, found, _ = await manager.acall("GET", f"{base}/mirrors/md1", user="charlie")
        assert [(one["server"], one["lost_bytes"]) for one in found["mirror"]["force"]] == [
            ("server1", 3 << 20), ("server2", 12 << 20),
        ]  # fmt: skip
        assert found["mirror"]["servers"]["server1"]["bitmap"][:7] == [9] * 6 + [0]

        body = {"op": "mirror_slow", "target": "md1"}
        status, reply, _ = await manager.acall("POST", f"{base}/operations?wait=20", user="bob", body=body)
        assert (status, reply["operation"]["state"]) == (200, "done")
        assert sorted(c["request"]["server"] for c in one.commands) == ["server1", "server2"]
        assert {c["request"]["bytes_s"] for c in one.commands} == {10 << 20}
        force = {"op": "mirror_force", "target": "md1", "server": "server1"}
        assert (await manager.acall("POST", f"{base}/operations", user="bob", body=force))[0] == 403
