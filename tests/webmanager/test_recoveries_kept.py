"""Recoveries in the database: found however the events arrive, counted, shown on pages and told to programs."""

from __future__ import annotations

import asyncio
import random
import re

import pytest
from msgspec.structs import replace

from tests.webmanager.stack import agent, config, report
from tests.webmanager.test_recoveries import notes_of
from webmanager.frames import note_dict

pytestmark = pytest.mark.slow
BEGIN = 1_700_000_000.0


def events(story: str, begin: float = BEGIN, until: float = 1e9, life: int = 0) -> list[dict]:
    """`life`: in which the servers wrote it; an id comes once."""
    notes, _ = notes_of(story)

    def name(id_: str) -> str:
        server, _, rest = id_.partition(":")
        return f"{server}:{life}{rest}"

    return [
        note_dict(replace(n, id=name(n.id), causes=tuple(map(name, n.causes)), time=n.time + begin))
        for n in notes
        if n.time < until
    ]


@pytest.fixture
def kept(people, cluster):
    """A cluster of the database with the configuration of the stories."""
    from webmanager.models import Cluster

    return Cluster.objects.create(name=cluster, config=config(cluster))


@pytest.fixture
def store(kept):
    from webmanager import ledger
    from webmanager.recoveries import services

    def put(found: list[dict], now: float = BEGIN + 1000) -> None:
        ledger.store(kept.name, found)
        services.catch_up(cluster=kept, now=now)

    return put


def told(kept) -> list[tuple]:
    from webmanager.recoveries.models import Recovery

    rows = Recovery.objects.filter(cluster=kept).order_by("begun", "group", "key")
    return [
        (r.key, r.group, r.kind, r.trigger, r.planned, r.result, r.source, r.target, r.begun, r.ended, r.outage_from,
         r.outage_to, r.subject, r.rule, r.path, r.data)
        for r in rows
    ]  # fmt: skip


STORY = "monitor_restart_then_failover_then_final"


@pytest.mark.parametrize(("story", "seed"), [(STORY, 2), ("split_majority", 1), ("cluster_stop_and_start", 2)])
def test_parts_in_any_order_give_the_same_as_all_at_once(kept, people, store, story, seed):
    """Each agent brings its own notes, some late, some twice."""
    from webmanager.models import Cluster
    from webmanager.recoveries import services

    other = Cluster.objects.create(name=f"{kept.name}-whole", config=bytes(kept.config))
    from webmanager import ledger

    all_ = events(story)
    ledger.store(other.name, all_)
    services.catch_up(cluster=other, now=BEGIN + 1000)
    chance = random.Random(seed)
    servers = {note["server"] for note in all_}
    waiting = {name: [note for note in all_ if note["server"] == name] for name in servers}
    while any(waiting.values()):
        name = chance.choice(sorted(name for name, left in waiting.items() if left))
        count = chance.randint(5, 25)
        store(waiting[name][:count] + (all_[:3] if chance.random() < 0.2 else []), now=BEGIN + 70)
        del waiting[name][:count]
    services.catch_up(cluster=kept, now=BEGIN + 1000)

    assert len(told(kept)) > 1
    assert told(kept) == told(other)


def test_running_recovery_grows_under_one_address(kept, store):
    from webmanager.recoveries.models import Recovery

    store(events("server_crash", until=18.1), now=BEGIN + 18.1)
    (row,) = Recovery.objects.filter(cluster=kept, kind="failover")
    assert (row.result, row.outage_to) == ("running", None)
    assert [step["result"] for step in row.data["steps"]] == ["ok", "running"]

    store(events("server_crash"), now=BEGIN + 20)
    (same,) = Recovery.objects.filter(cluster=kept, kind="failover")
    assert (same.pk, same.result, same.target) == (row.pk, "online", "server3")
    assert same.outage_s == pytest.approx(3.159, abs=0.001)


def test_steps_that_come_before_their_decision_keep_their_address(kept, store):
    from webmanager.recoveries.models import Recovery

    found = events("server_crash")
    store([note for note in found if note["server"] == "server3"], now=BEGIN + 18)
    first = Recovery.objects.get(cluster=kept, group="failover2", begun__gt=BEGIN + 5)
    store(found)

    row = Recovery.objects.get(cluster=kept, group="failover2", begun__gt=BEGIN + 5)
    assert (row.pk, row.kind, row.trigger) == (first.pk, "failover", "server")


def test_looking_again_changes_nothing_and_asks_little(kept, store, django_assert_max_num_queries):
    from webmanager.recoveries import services

    store(events(STORY))
    before = told(kept)
    with django_assert_max_num_queries(3):
        services.catch_up(cluster=kept)
    assert told(kept) == before


def test_what_was_pruned_since_is_kept(kept, store):
    from webmanager.models import Event

    store(events("server_crash"))
    before = told(kept)
    Event.objects.filter(cluster=kept).delete()
    store(events("operator_move", begin=BEGIN + 100_000, life=7), now=BEGIN + 200_000)

    assert told(kept)[: len(before)] == before
    assert len(told(kept)) > len(before)


def test_outage_that_lasts_ends_with_a_later_start(kept, store):
    from webmanager.recoveries.models import Recovery

    story = events("cluster_stop_and_start")
    store([note for note in story if note["time"] < BEGIN + 20], now=BEGIN + 5000)
    assert Recovery.objects.get(cluster=kept, group="failover1", kind="stop").outage_to is None
    # Days later; the events of the stop are gone.
    from webmanager.models import Event

    Event.objects.filter(cluster=kept).delete()
    late = [{**note, "time": note["time"] + 900_000} for note in story if note["time"] > BEGIN + 20]
    store(late, now=BEGIN + 1_000_000)

    row = Recovery.objects.get(cluster=kept, group="failover1", kind="stop")
    assert row.outage_s == pytest.approx(900_011.2, abs=0.1)


def test_drill_counts_as_planned(kept, store):
    from webmanager.recoveries import selectors, services

    services.saw(cluster=kept, running={"failover2": "server2"}, now=BEGIN + 10)
    services.listened(cluster=kept, now=BEGIN + 10)
    store(events("server_crash"))
    services.claim(cluster=kept, groups=["failover2"], since=BEGIN + 10, until=BEGIN + 30, drill="Crash of server2")
    store(events("operator_move", begin=BEGIN + 5000, life=7), now=BEGIN + 6000)

    board = selectors.account(cluster=kept, period_s=6000, now=BEGIN + 6000).board("failover2", 6000)
    assert (round(board.planned_s, 2), board.unplanned_s, board.recoveries) == (3.16, 0.0, 0)


def test_board_needs_the_same_queries_for_any_number_of_groups(kept, store, django_assert_num_queries):
    from webmanager.recoveries import selectors, services

    store(events("server_crash"))
    services.saw(cluster=kept, running={f"g{n}": "server1" for n in range(50)}, now=BEGIN)
    with django_assert_num_queries(6):
        account = selectors.account(cluster=kept, period_s=86400, now=BEGIN + 1000)
    with django_assert_num_queries(0):
        for n in range(50):
            account.board(f"g{n}", 86400)


def test_listening_goes_on_and_breaks(kept):
    from webmanager.recoveries import services
    from webmanager.recoveries.models import Listening

    for at in (0, 10, 20, 200, 210):
        services.listened(cluster=kept, now=BEGIN + at)

    spans = [(one.begun - BEGIN, one.until - BEGIN) for one in Listening.objects.filter(cluster=kept)]
    assert spans == [(0, 20), (200, 210)]


async def test_manager_notes_whom_it_hears_and_what_runs(kept):
    """Only while an agent is connected, and only what is sure."""
    import asyncio
    import json
    import time
    from types import SimpleNamespace

    from webmanager import configs, frames
    from webmanager.hub import Room
    from webmanager.recoveries.models import FirstSight, Listening
    from webmanager.recoveries.watch import watch

    room, silent = Room(kept.name), Room("silent")
    room.reducer.configure(*configs.load(bytes(kept.config)))
    now = asyncio.get_running_loop().time()
    room.reducer.hello("server1", "hash", now)
    sent = {"server1": report("server1", runs=("failover1",)), "server2": report("server2")}  # Not of server3.
    known = {name: {"report": one, "age_s": 0.0} for name, one in sent.items()}
    text = json.dumps({"type": "snapshot", "rev": 1, "at": time.time(), "reports": known, "table": None, "notes": []})
    room.reducer.feed("server1", frames.decode(text), now)
    watching = asyncio.create_task(watch(SimpleNamespace(rooms={"silent": silent, kept.name: room})))
    try:
        async with asyncio.timeout(20):
            while not await asyncio.to_thread(FirstSight.objects.filter(cluster=kept).exists):
                await asyncio.sleep(0.02)
    finally:
        watching.cancel()
    found = await asyncio.to_thread(
        lambda: list(FirstSight.objects.filter(cluster=kept).values_list("group", "server"))
    )
    assert found == [("failover1", "server1")]  # failover2 may run on server3, which has not told.
    assert await asyncio.to_thread(Listening.objects.filter(cluster=kept).count) == 1


def test_old_ones_are_forgotten_and_too_many(kept, store, settings):
    from webmanager.recoveries import services
    from webmanager.recoveries.models import Recovery

    store(events(STORY))
    settings.RECOVERIES_KEPT = 3
    services.prune(now=BEGIN + 1000)
    assert Recovery.objects.filter(cluster=kept).count() == 3
    services.prune(now=BEGIN + 500 * 86400)
    assert not Recovery.objects.filter(cluster=kept).exists()


# Pages and REST.


@pytest.fixture
async def shown(manager, people, cluster, register):
    """One agent that told of a crash a minute ago, and asks for pages as somebody."""
    import time

    from webmanager.models import Event

    begin = time.time() - 80
    notes = tuple(events("server_crash", begin))
    async with agent(manager, cluster, "server1", register("server1")) as one:
        await one.hello()
        runs = report("server1", runs=("failover1",)), report("server3", runs=("failover2",))
        await one.snapshot(*runs, report("server2"), notes=notes)
        while await asyncio.to_thread(Event.objects.filter(cluster__name=cluster).count) < len(notes):
            await asyncio.sleep(0.02)

        async def ask(path: str, user: str = "charlie", method: str = "GET", form: dict | None = None):
            from urllib.parse import urlencode

            token = "t" * 32
            headers = {"Cookie": f"openclp_session={people[user]}; openclp_csrf={token}"}
            body = None
            if form is not None:
                method, headers["Content-Type"] = "POST", "application/x-www-form-urlencoded"
                body = urlencode({"csrfmiddlewaretoken": token, **form})
            mark = "&" if "?" in path else "?"
            where = path if path.startswith("/api/") else f"{path}{mark}cluster={cluster}"
            return await manager.acall(method, where, headers=headers, body=body)

        yield ask


async def test_pages_tell_of_the_failover(shown, cluster):
    status, text, _ = await shown("/recoveries/")
    assert status == 200
    assert "Server server2 was lost" in text
    assert "3.16 s" in text
    assert not re.search(r"<style|\sstyle=|\son\w+=", text)
    key = re.findall(r"/recoveries/(\d+)/", text.split("Server server2 was lost")[0])[-1]

    status, text, _ = await shown(f"/recoveries/{key}/")
    assert status == 200
    assert "Activate exec2" in text
    assert "were spent on noticing the loss. The heartbeat timeout is" in text
    assert "Group failover2 fails over from server2 to server3" in text
    assert (await shown("/recoveries/?group=nobody"))[1].count("No recovery matches.") == 1
    assert (await shown("/recoveries/?kind=nonsense"))[0] == 400
    assert (await shown("/recoveries/999999999/"))[0] == 404


async def test_objective_is_set_by_operators_and_judged(shown, cluster):
    path = "/availability/failover2/"
    assert (await shown(path, form={"recovery_s": "1", "percent": ""}))[0] == 403
    assert (await shown(path, "bob", form={"recovery_s": "soon", "percent": ""}))[0] == 400
    assert (await shown(path, "bob", form={"recovery_s": "1", "percent": "99.9"}))[0] == 302
    while "No server has reported yet" in (text := (await shown(path))[1]):  # One of two processes hears it later.
        await asyncio.sleep(0.02)
    assert "Back within 1 s." in text
    assert "missed" in text
    assert "1 group misses its objective." in (await shown("/availability/"))[1]
    assert (await shown(path, "bob", form={"recovery_s": "", "percent": ""}))[0] == 302
    assert "None is set." in (await shown(path))[1]


async def test_group_page_explains_in_words(shown, cluster):
    _, text, _ = await shown("/groups/failover2/")
    assert "/groups/failover2/explain/" in text
    status, text, _ = await shown("/groups/failover2/explain/")
    assert status == 200
    assert "Group failover2 fails over from server2 to server3" in text
    assert "Server server2 is down" in text
    assert "If server3 is lost" in text


async def test_report_names_who_printed_it(shown, cluster):
    status, text, _ = await shown("/report/")
    assert status == 200
    assert "printed by charlie@127.0.0.1" in text
    assert "failover2" in text


async def test_programs_read_the_same(shown, cluster):
    base = f"/api/v2/clusters/{cluster}"
    _, body, _ = await shown(f"{base}/recoveries?limit=1")
    (one,) = body["recoveries"]
    assert (one["group"], one["kind"], one["from"], one["to"]) == ("failover2", "failover", "server2", "server3")
    assert sum(part["lasted_s"] for part in one["path"]) == pytest.approx(one["ended"] - one["begun"], abs=1e-5)
    _, older, _ = await shown(f"{base}/recoveries?before={body['next']}")
    assert one["id"] not in [other["id"] for other in older["recoveries"]]
    _, body, _ = await shown(f"{base}/recoveries/{one['id']}")
    assert body["recovery"]["id"] == one["id"]
    assert {(note["module"], note["event"]) for note in body["events"]} >= {("nm", 2), ("rc", 60), ("rc", 11)}
    status, body, _ = await shown(f"{base}/availability?period=24h")
    assert (status, [group["group"] for group in body["groups"]]) == (200, ["failover1", "failover2"])
    assert (await shown(f"{base}/availability?period=2y"))[0] == 400


def test_note_of_another_version_is_left_out(kept, store):
    found = events("server_crash")
    store([*found, {**found[0], "id": "server1:1:99999", "params": 7}])
    assert any(row[2] == "failover" for row in told(kept))
