"""The event log: what is shown of it, who has seen what, and the same for programs."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
from urllib.parse import quote

import pytest

from tests.webmanager.accounts.visitor import rows
from tests.webmanager.stack import browser, note, until
from tests.webmanager.test_sockets import until_known

pytestmark = pytest.mark.slow


@pytest.fixture
def page(manager, people, visitor, cluster):
    """await page("q=x") -> numbers of the events that /events/ shows, newest first (as of their notes)."""

    async def look(query="", who="bob", path="/events/", **more):
        guest = visitor(people[who])
        await asyncio.to_thread(guest.get, f"{path}?cluster={cluster}&{query}")
        assert guest.status == 200, guest.text[:500]
        look.guest = guest
        return [int(key) for key in re.findall(r'<li data-severity="\w+" id="server1:1:(\d+)"', guest.text)]

    return look


@pytest.fixture
def acknowledge(people, visitor, cluster):
    async def post(who="bob", **form):
        guest = visitor(people[who])
        await asyncio.to_thread(guest.post, f"/events/acknowledge?cluster={cluster}", **form)
        return guest

    return post


def open_events(cluster):
    from webmanager.models import Event

    found = Event.objects.filter(cluster__name=cluster, acked_at=None).exclude(severity="info")
    return sorted(int(key.rpartition(":")[2]) for key in found.values_list("note_id", flat=True))


def number(cluster, key):
    from webmanager.models import Event

    return str(Event.objects.get(cluster__name=cluster, note_id=f"server1:1:{key}").pk)


FILTERS = {
    "": [5, 4, 3, 2, 1],
    "severity=error": [5, 3],
    "severity=attention": [5, 3, 2],
    "severity=error&name=failover2": [5, 3],
    "name=failover1": [4, 2],
    "server=server2": [],
    "kind=group&module=rc": [5, 4, 3, 2, 1],
    "module=nm": [],
    "q=to+server4": [4],
    "q=rc:60": [5, 4, 3, 2, 1],
    "since=1700000003": [5, 4, 3],
    "until=1700000002": [2, 1],
    "since=2023-11-14+22:13:23%2B00:00&until=2023-11-14T22:13:24Z": [4, 3],
    "ack=open": [5, 3, 2],
    "ack=done": [],
    "before=1700000003.0~server1:1:3": [2, 1],
    "before=nonsense": [],
}


async def test_filter(reported, page):
    async with reported():
        assert {query: await page(query) for query in FILTERS} == FILTERS


async def test_japanese_words_are_found_as_the_page_shows_them(reported, page, visitor, people, cluster):
    async with reported():
        guest = visitor(people["bob"], Cookie=f"openclp_session={people['bob']}; django_language=ja")
        await asyncio.to_thread(guest.get, f"/events/?cluster={cluster}&q={quote('フェイルオーバ')}")
        assert len(re.findall(r'id="server1:1:', guest.text)) == 5


async def test_what_cannot_be_understood_is_said_and_filters_nothing(reported, page):
    async with reported():
        assert len(await page("since=yesterday&severity=loud")) == 5
        assert "“yesterday” is no time" in page.guest.words()
        assert "There is no severity “loud”" in page.guest.words()


async def test_one_event_is_acknowledged_once_by_whoever_was_first(reported, page, acknowledge, cluster):
    async with reported():
        guest = await acknowledge(one=number(cluster, 3), comment="disk is ordered")
        assert (guest.status, guest.place) == (302, f"/events/?cluster={cluster}")
        await acknowledge("alice", one=number(cluster, 3), comment="mine")

        assert open_events(cluster) == [2, 5]
        assert await page("ack=done") == [3]
        assert "bob, " in page.guest.words()
        assert "disk is ordered" in page.guest.words()
        (told,) = rows("events.acknowledge", cluster=cluster)
        assert (told.who, told.detail["count"], told.detail["comment"]) == ("bob", 1, "disk is ordered")


async def test_up_to_an_event_means_it_and_those_before_that_match(reported, acknowledge, cluster):
    async with reported():
        await acknowledge(upto=number(cluster, 3), severity="error")
        assert open_events(cluster) == [2, 5]
        await acknowledge(upto=number(cluster, 3))
        assert open_events(cluster) == [5]


async def test_all_means_what_somebody_has_seen(reported, page, acknowledge, cluster):
    async with reported() as one:
        await page()
        seen = re.search(r'name="seen" value="(\d+)"', page.guest.text)[1]
        await one.change(notes=(note(6, severity="error"),))
        await asyncio.to_thread(until, lambda: open_events(cluster) == [2, 3, 5, 6], "the sixth event")
        await acknowledge(scope="all", seen=seen)
        assert open_events(cluster) == [6]


async def test_those_shown_are_named_one_by_one(reported, visitor, people, cluster):
    async with reported():
        guest = visitor(people["bob"])
        form = [("scope", "shown"), ("number", number(cluster, 2)), ("number", number(cluster, 5))]
        body = "&".join(f"{key}={value}" for key, value in [("csrfmiddlewaretoken", "t" * 32), *form])
        await asyncio.to_thread(guest._ask, "POST", f"/events/acknowledge?cluster={cluster}", body)
        assert open_events(cluster) == [3]


async def test_viewer_may_not_and_has_no_buttons(reported, page, acknowledge, cluster):
    async with reported():
        assert (await acknowledge("charlie", one=number(cluster, 3))).status == 403
        assert open_events(cluster) == [2, 3, 5]
        await page(who="charlie")
        assert "not acknowledged" in page.guest.words()
        assert 'name="one"' not in page.guest.text


async def test_event_of_another_cluster_is_not_touched(reported, people, visitor, cluster):
    from webmanager.models import Cluster

    async with reported():
        other = Cluster.objects.create(name=f"other-{cluster}")
        guest = visitor(people["bob"])
        await asyncio.to_thread(guest.post, f"/events/acknowledge?cluster={other}", one=number(cluster, 3))
        assert open_events(cluster) == [2, 3, 5]
        await asyncio.to_thread(guest.get, f"/events/{number(cluster, 3)}/?cluster={other}")
        assert guest.status == 404


async def test_browsers_of_all_processes_learn_of_it(reported, manager, second, people, acknowledge, cluster):
    async with reported():
        await until_known(second, cluster)
        async with (
            browser(manager, cluster, people["charlie"]) as near,
            browser(second, cluster, people["alice"]) as far,
        ):
            for view in (near, far):
                await view.until(lambda v: v.newest.get("open") == {"error": 2, "warning": 1} or _told(v), "the count")
            await acknowledge(one="server1:1:3")
            for view in (near, far):
                await view.until(lambda v: _told(v).get("server1:1:3", {}).get("by") == "bob", "the acknowledgement")
                assert view.newest["open"] == {"error": 1, "warning": 1}


def _told(view):
    return view.newest.get("acknowledged", {})


async def test_new_errors_count_at_once(reported, manager, people, cluster):
    async with reported() as one, browser(manager, cluster, people["bob"]) as view:
        await view.until(lambda v: v.status, "the snapshot")
        await one.change(notes=(note(6, severity="error"), note(7)))
        await view.until(lambda v: v.newest.get("open", {}).get("error") == 3, "the count with the event")
        assert view.newest["type"] == "change"


async def test_badge_counts_errors(reported, page):
    async with reported():
        await page(path="/servers/")
        assert "2 errors are not acknowledged" in page.guest.words()


async def test_cause_chain_of_an_event(reported, page, cluster):
    async with reported():
        await page(path=f"/events/{number(cluster, 3)}/")
        words = page.guest.words()
        because, followed = words.index("Because"), words.index("What followed from it")
        assert because < words.index("to server2.") < words.index("to server1.") < followed < words.index("to server4.")


async def test_rows_that_came_since(reported, page, cluster):
    async with reported() as one:
        after = number(cluster, 5)
        assert await page(f"after={after}", path="/events/rows") == []
        await one.change(notes=(note(6, severity="error"), note(7)))
        await asyncio.to_thread(until, lambda: open_events(cluster)[-1] == 6, "the sixth event")
        assert await page(f"after={after}", path="/events/rows") == [7, 6]
        assert await page(f"after={after}&severity=error", path="/events/rows") == [6]
        assert "<ol" not in page.guest.text


async def test_downloads_are_what_is_filtered(reported, manager, people, cluster, acknowledge):
    async with reported():
        await acknowledge(one="server1:1:3", comment='=HYPERLINK("http://x")')

        async def get(form):
            headers = {"Cookie": f"openclp_session={people['bob']}"}
            path = f"/events/export?cluster={cluster}&severity=error&format={form}"
            status, text, response = await manager.acall("GET", path, headers=headers)
            assert status == 200
            return text, response.getheader("Content-Disposition")

        text, disposition = await get("csv")
        table = list(csv.DictReader(io.StringIO(text)))
        assert [row["id"] for row in table] == ["server1:1:5", "server1:1:3"]
        assert table[1]["acknowledged_by"] == "bob"
        assert table[1]["comment"] == '\'=HYPERLINK("http://x")'  # No formula for a spreadsheet.
        assert disposition == f'attachment; filename="{cluster}-events.csv"'
        lines = [json.loads(line) for line in (await get("json"))[0].splitlines()]
        assert [line["id"] for line in lines] == ["server1:1:5", "server1:1:3"]
        assert lines[1]["acknowledged"]["by"] == "bob"


async def test_download_goes_on_page_after_page(reported, cluster, monkeypatch):
    from webmanager.models import Cluster
    from webmanager.overview import export
    from webmanager.overview.filters import Filter

    async with reported():
        monkeypatch.setattr(export, "_PART", 2)
        answer = export.respond(Cluster.objects.get(name=cluster), Filter.of({}), "json")
        text = b"".join([part async for part in answer]).decode()
        assert [json.loads(line)["id"][-1] for line in text.splitlines()] == ["5", "4", "3", "2", "1"]
        monkeypatch.setattr(export, "ROWS_MOST", 3)
        answer = export.respond(Cluster.objects.get(name=cluster), Filter.of({}), "json")
        assert len(b"".join([part async for part in answer]).splitlines()) == 3


# The same for programs.


async def test_rest_acknowledges_and_tells_who(reported, manager, cluster):
    async with reported():
        path = f"/api/v2/clusters/{cluster}/events"

        async def post(body, user="bob"):
            return (await manager.acall("POST", f"{path}/acknowledge", user=user, body=body))[:2]

        assert (await post({"ids": ["server1:1:3"]}, "charlie"))[0] == 403
        status, body = await post({"ids": ["server1:1:3", "nosuch:1:1"], "comment": "seen"})
        assert (status, body["count"]) == (200, 1)
        assert (await post({"ids": ["server1:1:3"]}))[1]["count"] == 0
        assert (await post({"until": "server1:1:4", "filter": {"severity": "warning"}}))[1]["count"] == 1
        assert open_events(cluster) == [5]
        found = (await manager.acall("GET", path, user="charlie"))[1]["events"]
        assert {one["id"][-1]: one["acknowledged"] and one["acknowledged"]["comment"] for one in found} == {
            "1": None, "2": "", "3": "seen", "4": None, "5": None,
        }  # fmt: skip


NONSENSE = (
    ({}, 400), ({"ids": [], "comment": ""}, 400), ({"ids": ["a:1:1"], "until": "a:1:1"}, 400),
    ({"until": "a:1:1"}, 404), ({"ids": ["a:1:1"], "filter": {}}, 400),
    ({"until": "server1:1:3", "filter": {"since": "yesterday"}}, 400), ([], 400),
)  # fmt: skip


async def test_rest_refuses_what_it_does_not_understand(reported, manager, cluster):
    async with reported():
        for body, expected in NONSENSE:
            path = f"/api/v2/clusters/{cluster}/events/acknowledge"
            status, answer, _ = await manager.acall("POST", path, user="bob", body=body)
            assert status == expected, (body, answer)
        assert open_events(cluster) == [2, 3, 5]
