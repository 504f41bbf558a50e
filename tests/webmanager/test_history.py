"""The time machine: what is recorded, by whom, what was not, and how it is asked for."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from agent.wire.status import apply
from tests.webmanager.recorded import EMPTY, LONG_AGO
from tests.webmanager.stack import agent, browser, config, note, report
from tests.webmanager.test_sockets import until_known
from webmanager.history import tape

# Recording, by a real manager.

slow = pytest.mark.slow


@pytest.fixture
def past(manager: Any, cluster: str) -> Any:
    """past("/changes?...") -> (status, body) as Charlie, who looks."""

    async def ask(path: str = "", user: str = "charlie") -> tuple[int, Any]:
        status, body, _ = await manager.acall("GET", f"/api/v2/clusters/{cluster}/history{path}", user=user)
        return status, body

    return ask


async def eventually(ask: Any, path: str, wanted: Any, limit_s: float = 20) -> Any:
    async with asyncio.timeout(limit_s):
        while True:
            status, body = await ask(path)
            assert status in (200, 404), body
            if status == 200 and (found := wanted(body)):
                return found
            await asyncio.sleep(0.1)


def current(body: Any, group: str = "failover1") -> str:
    return body["status"]["groups"][group]["current"] if body["status"] else ""


def fresh(number: int, text: str = "", **more: Any) -> dict[str, Any]:
    return note(number, text, **{"time": time.time(), **more})


def tapes_of(cluster: str) -> list[Any]:
    from webmanager.history.models import Tape

    return list(Tape.objects.filter(cluster__name=cluster).order_by("began"))


@slow
async def test_states_are_recorded_and_found_again(manager, people, cluster, register, past):
    async with agent(manager, cluster, "server1", register("server1")) as one:
        await one.hello()
        await one.snapshot(report("server1", runs=("failover1",)), report("server2"), report("server3"))
        begun = await eventually(past, "", lambda b: current(b) == "server1" and b["range"])
        await one.change(
            report("server1", 2), report("server2", 2, runs=("failover1",)),
            notes=(fresh(1, module="rc", event=60, severity="warning"), fresh(2, causes=["server1:1:1"], event=11)),
        )  # fmt: skip
        moved = await eventually(past, "?event=server1:1:2", lambda b: b if current(b) == "server2" else None)
        assert current((await past(f"?at={begun['begin']}"))[1]) == "server1"
        assert [e["id"] for e in moved["events"]] == ["server1:1:1", "server1:1:2"]
        assert (moved["previous"]["id"], moved["next"], moved["recorded"]) == ("server1:1:1", None, True)

        query = f"?after={begun['begin']}&until={moved['at']}"
        steps = (await past(f"/changes{query}"))[1]
        assert told(steps) == ["server1:1:1", "server1:1:2"]
        assert (steps["more"], steps["gaps"]) == (False, [])
        then = (await past(f"?at={begun['begin']}"))[1]["status"]
        for step in steps["changes"]:
            then = apply(then, step["changes"])
        assert then == moved["status"]

        line = (await past(f"/line?begin={begun['begin'] - 60}&end={moved['at'] + 1}"))[1]
        assert [(m["kind"], m["id"]) for m in line["marks"]] == [("failover", "server1:1:1")]
        assert line["gaps"][0]["end"] == pytest.approx(begun["begin"])


@slow
async def test_event_that_has_just_appeared_is_waited_for(manager, people, cluster, register, past):
    """Browsers see it before it is stored: who clicks it at once must not be told that there is none."""
    from django.db import transaction

    from webmanager.models import Cluster

    async with agent(manager, cluster, "server1", register("server1")) as one:
        await one.hello()
        await one.snapshot(report("server1", runs=("failover1",)), report("server2"), report("server3"))
        await eventually(past, "", lambda b: b["range"])
        async with browser(manager, cluster, people["bob"]) as view:
            await view.until(lambda v: v.status, "the cluster")
            with transaction.atomic():  # Nobody can store events while this row is being changed.
                Cluster.objects.filter(name=cluster).update(name=cluster)
                new = fresh(1, module="rc", event=60, severity="warning")
                await one.change(report("server1", 2), report("server2", 2, runs=("failover1",)), notes=(new,))
                await view.until(lambda v: v.events, "the event")
                asking = asyncio.create_task(past("?event=server1:1:1"))
                acknowledging = asyncio.create_task(manager.acall(
                    "POST", f"/api/v2/clusters/{cluster}/events/acknowledge", user="bob", body={"ids": [new["id"]]},
                ))  # fmt: skip
                done, _ = await asyncio.wait((asking, acknowledging), timeout=1)
                assert not done, [task.result() for task in done]
            status, found = await asking
            assert (status, current(found)) == (200, "server2")
            assert (await acknowledging)[1]["count"] == 1
    assert (await past("?event=server1:1:77"))[0] == 404


@slow
async def test_pages_of_changes_join_without_a_seam(manager, people, cluster, register, past):
    async with agent(manager, cluster, "server1", register("server1")) as one:
        await one.hello()
        await one.snapshot(report("server1"), report("server2"), report("server3"))
        begun = await eventually(past, "", lambda b: b["range"])
        for number in range(2, 9):
            await one.change(report("server1", number, runs=("failover1",) * (number % 2)), notes=(fresh(number),))
            await asyncio.sleep(0.05)
        wanted = [f"server1:1:{n}" for n in range(2, 9)]
        query = f"/changes?after={begun['begin']}&until={time.time() + 30}"
        whole = await eventually(past, query, lambda b: b if told(b) == wanted else None)
        # The event itself is written by another hand than the state that came with it.
        last = await eventually(past, "?event=server1:1:8", lambda b: b)
        steps, after = [], begun["begin"]
        for _ in range(50):
            page = (await past(f"/changes?after={after}&until={last['at']}&limit=2"))[1]
            steps += page["changes"]
            after = page["until"]
            if not page["more"]:
                break
        assert steps == whole["changes"]


@slow
async def test_what_was_not_recorded_is_told_and_no_event_is_missing(
    manager, environment, people, cluster, register, past, tmp_path
):
    from tests.webmanager.stack import Server

    doomed = Server(environment, tmp_path / "web.log").start()
    secret = register("server1")
    async with agent(doomed, cluster, "server1", secret) as one:
        await one.hello()
        await one.snapshot(report("server1", runs=("failover1",)), report("server2"), report("server3"))
        await eventually(past, "", lambda b: current(b) == "server1")
        doomed.kill()
    lost = fresh(1, module="rc", event=60)
    await asyncio.sleep(2.5)  # The gap itself: what is shorter than the way from one tape to the next is none.
    async with agent(manager, cluster, "server1", secret) as one:
        await one.hello()
        await one.snapshot(report("server1"), report("server2", runs=("failover1",)), report("server3"), notes=(lost,))
        now = await eventually(past, "", lambda b: b if current(b) == "server2" else None)
        line = (await past(f"/line?begin={now['range']['begin']}&end={now['at']}"))[1]
        ((begin, end),) = [(gap["begin"], gap["end"]) for gap in line["gaps"]]
        assert begin < lost["time"] < end
        assert [m["id"] for m in line["marks"]] == [lost["id"]]
        there = (await past(f"?at={(begin + end) / 2}"))[1]
        assert (there["recorded"], there["gap"], current(there)) == (False, {"begin": begin, "end": end}, "server1")
        page = (await past(f"/changes?after={begin}&until={now['at']}"))[1]
        assert page["gaps"] == [{"begin": begin, "end": end}]
        assert page["changes"][0]["at"] == end
    first, then, *_ = tapes_of(cluster)
    assert first.writer != then.writer


@slow
async def test_one_of_two_processes_records(manager, second, people, cluster, register, past):
    async with (
        agent(manager, cluster, "server1", register("server1")) as one,
        agent(second, cluster, "server2", register("server2")) as two,
    ):
        for node, number in ((one, 1), (two, 1)):
            await node.hello()
            await node.snapshot(report("server1", number), report("server2", number), report("server3"))
        await until_known(second, cluster)
        await eventually(past, "", lambda b: b["range"])
        for number in range(2, 6):
            await one.change(report("server1", number, runs=("failover1",) * (number % 2)), notes=(fresh(number),))
            await two.change(report("server2", number), notes=(fresh(number, server="server2", id=f"b{number}"),))
        begin = (await past())[1]["range"]["begin"]
        wanted = {f"server1:1:{n}" for n in range(2, 6)} | {f"b{n}" for n in range(2, 6)}
        await eventually(
            past, f"/changes?after={begin}&until={time.time() + 30}", lambda b: sorted(told(b)) == sorted(wanted)
        )
        async with asyncio.timeout(20):
            while [row.closed for row in tapes_of(cluster)].count(False) != 1:
                await asyncio.sleep(0.1)


def told(page: Any) -> list[str]:
    return [key for step in page["changes"] for key in step["events"]]


@slow
async def test_wrong_clock_of_an_agent_shuffles_nothing(manager, people, cluster, register, past):
    """An hour fast: its event stands after its cause, and where the state shows it."""
    async with agent(manager, cluster, "server1", register("server1")) as one:

        async def send(kind: str, rev: int, *reports: Any, notes: Any = ()) -> None:
            known = {r["server"]: {"report": r, "age_s": 0.0} for r in reports}
            frame = {"type": kind, "rev": rev, "at": time.time() + 3600, "reports": known, "notes": list(notes)}
            await one.send(frame | ({"table": None} if kind == "snapshot" else {}))

        def fast(number: int, **more: Any) -> dict[str, Any]:
            return fresh(number, time=time.time() + 3600, **more)

        await one.hello()
        await send("snapshot", 1, report("server1", runs=("failover1",)), report("server2"), report("server3"))
        await eventually(past, "", lambda b: current(b) == "server1")
        await send("change", 2, report("server1", 2), notes=(fast(1, event=20),))
        stopped = await eventually(past, "?event=server1:1:1", lambda b: b if current(b) == "" else None)
        await send("change", 3, report("server2", 2, runs=("failover1",)), notes=(fast(2, causes=["server1:1:1"]),))
        found = await eventually(past, "?event=server1:1:2", lambda b: b if current(b) == "server2" else None)
        assert [e["id"] for e in found["events"]][-2:] == ["server1:1:1", "server1:1:2"]
        assert time.time() - 60 < stopped["at"] < found["at"] <= time.time()


@slow
async def test_bad_questions_are_refused_with_the_place(manager, people, cluster, register, past):
    async with agent(manager, cluster, "server1", register("server1")) as one:
        await one.hello()
        await until_known(manager, cluster)
        for wrong in ("?at=x", "?at=-1", "?at=nan", "?at=1e30", "/changes", "/changes?after=5&until=3",
                      "/changes?after=0&until=4e9", "/changes?after=1&until=2&limit=0", "/line?begin=1"):  # fmt: skip
            assert (await past(wrong))[0] == 400, wrong
        assert (await past("?event=nothing"))[0] == 404
        assert (await past("?at=5"))[1]["status"] is None
        assert (await past(user="nobody"))[0] == 401


@slow
def test_old_tapes_go_by_age_and_by_size(environment, cluster, settings):
    from webmanager.history import services
    from webmanager.history.models import Tape
    from webmanager.models import Cluster

    settings.HISTORY_DAYS, settings.HISTORY_MB = 30, 1
    row = Cluster.objects.create(name=cluster)
    now = time.time()
    for days, size in ((40, 1), (20, 700_000), (10, 300_000), (1, 300_000)):
        at = now - days * 86400
        Tape.objects.create(cluster=row, writer="w", began=at - 600, ended=at, size_bytes=size, closed=True)
    left = Tape.objects.create(cluster=row, writer="w", began=now - 9000, ended=now - 8000)
    for number, data in enumerate((b"ab", b"c")):
        left.pieces.create(number=number, data=data)

    services.prune(now=now)

    assert [round((now - tape.ended) / 86400) for tape in Tape.objects.filter(cluster=row)] == [10, 1, 0]
    left.refresh_from_db()
    assert (bytes(left.data), left.closed, left.pieces.count()) == (b"abc", True, 0)


@pytest.fixture
def kept(environment, cluster):
    """A tape that is being written."""
    from webmanager.history.services import OpenTape
    from webmanager.models import Cluster

    Cluster.objects.create(name=cluster)
    one = OpenTape(cluster, "w", LONG_AGO)
    one.grow(b"begin", LONG_AGO + 1, tape.Recorder(LONG_AGO, EMPTY, {}))
    return one


@slow
def test_a_tape_grows_piece_by_piece_and_is_one_when_it_is_closed(kept):
    from webmanager.history.services import store

    def rows():
        return [
            (bytes(row.data), [bytes(p.data) for p in row.pieces.all()], row.ended) for row in tapes_of(kept.cluster)
        ]

    made = tape.Recorder(LONG_AGO, EMPTY, {})
    assert store([kept]) == []
    assert rows() == [(b"", [b"begin"], LONG_AGO + 1)]
    kept.grow(b"", LONG_AGO + 5, made)
    store([kept])
    assert rows() == [(b"", [b"begin"], LONG_AGO + 5)]
    kept.grow(b"more", LONG_AGO + 9, made)
    store([kept])
    assert rows() == [(b"", [b"begin", b"more"], LONG_AGO + 9)]
    kept.closed = True
    store([kept])
    assert rows() == [(b"beginmore", [], LONG_AGO + 9)]


@slow
def test_what_the_database_refused_is_written_later_and_what_was_deleted_anew(kept, monkeypatch):
    from django.db import OperationalError

    from webmanager.history import services
    from webmanager.history.models import Piece
    from webmanager.models import Cluster

    def refuse(*_: Any, **__: Any) -> None:
        raise OperationalError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(Piece.objects, "bulk_create", refuse)
        with pytest.raises(OperationalError):
            services.store([kept])
    assert tapes_of(kept.cluster) == []
    assert kept.unwritten_bytes == 5
    services.store([kept])
    tapes_of(kept.cluster)[0].delete()
    kept.grow(b"more", LONG_AGO + 9, tape.Recorder(LONG_AGO, EMPTY, {}))
    services.store([kept])
    assert [bytes(p.data) for p in tapes_of(kept.cluster)[0].pieces.all()] == [b"begin", b"more"]
    Cluster.objects.filter(name=kept.cluster).delete()
    assert services.store([kept]) == [kept.cluster]


# The recorder, in this process.


@pytest.fixture
async def recording(environment, cluster, monkeypatch):
    """(the recorder, tell(number)): a hub with one cluster, of which one agent has told."""
    from tests.webmanager.test_reducer import frame
    from webmanager import configs
    from webmanager.history.recorder import Recorder
    from webmanager.hub import Hub, Room
    from webmanager.models import Cluster

    Cluster.objects.create(name=cluster)
    hub = Hub()
    room = hub.rooms[cluster] = Room(cluster)
    room.reducer.configure(*configs.load(config(cluster)))
    room.reducer.hello("server1", "h", 0.0)
    hub.take(cluster, "server1", frame("snapshot", 1, report("server1"), report("server2"), report("server3")))
    room.publish()
    monkeypatch.setattr(Recorder, "_is_ours", lambda self, name: True)

    def tell(number: int) -> None:
        hub.take(cluster, "server1", frame("change", number, report("server1", number), notes=(fresh(number),)))
        room.publish()

    return Recorder(hub), tell


@slow
async def test_a_manager_that_ends_closes_its_tapes(recording, cluster):
    recorder, tell = recording
    running = asyncio.create_task(recorder.run())
    async with asyncio.timeout(20):
        while not tapes_of(cluster):
            await asyncio.sleep(0.05)
    tell(2)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    (row,) = tapes_of(cluster)
    assert row.closed
    assert [frame.events for frame in tape.read([bytes(row.data)])][1:] == [["server1:1:2"]]


@slow
async def test_a_database_that_fails_for_a_while_costs_no_state(recording, cluster, monkeypatch):
    from django.db import OperationalError

    from webmanager.history import services

    recorder, tell = recording
    await recorder.look()

    def refuse(*_: Any) -> None:
        raise OperationalError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(services, "store", refuse)
        for number in range(2, 5):
            tell(number)
            with pytest.raises(OperationalError):
                await recorder.look()
    tell(5)
    await recorder.look()
    (row,) = tapes_of(cluster)
    read = tape.read([bytes(piece.data) for piece in row.pieces.all()])
    assert [frame.events for frame in read][1:] == [[f"server1:1:{n}"] for n in range(2, 6)]


@slow
async def test_what_cannot_be_kept_any_more_is_a_gap_and_no_lie(recording, cluster, monkeypatch):
    from webmanager.history import recorder as module

    recorder, tell = recording
    await recorder.look()
    monkeypatch.setattr(module, "_WAITING_MOST", 2)
    for number in range(2, 7):
        tell(number)
    await recorder.look()
    await recorder.look()
    first, then = tapes_of(cluster)
    assert first.ended < then.began
    assert len(list(tape.read([bytes(piece.data) for piece in then.pieces.all()]))) == 1


@slow
async def test_full_tapes_are_followed_by_the_next_without_a_seam(recording, cluster, monkeypatch):
    from webmanager.history import recorder as module
    from webmanager.history import selectors
    from webmanager.models import Cluster

    monkeypatch.setattr(module, "TAPE_FRAMES", 2)
    recorder, tell = recording
    await recorder.look()
    for number in range(2, 10):
        tell(number)
        await recorder.look()
    rows = tapes_of(cluster)
    assert [row.closed for row in rows] == [True] * len(rows)
    assert [row.frames for row in rows] == [2, 2, 2, 2]
    of = Cluster.objects.get(name=cluster)
    assert selectors.gaps_between(cluster=of, begin=rows[0].began, end=rows[-1].ended) == []
    page = selectors.changes(cluster=of, after=rows[0].began, until=rows[-1].ended, limit=100)
    assert [key for step in page.steps for key in step.events] == [f"server1:1:{n}" for n in range(2, 10)]


@slow
def test_a_damaged_tape_is_a_time_that_was_not_recorded(environment, cluster):
    from webmanager.history import answers
    from webmanager.history.models import Tape
    from webmanager.models import Cluster

    row = Cluster.objects.create(name=cluster)
    values = {"cluster": row, "writer": "w", "closed": True}
    Tape.objects.create(**values, began=LONG_AGO, ended=LONG_AGO + 9, data=b"no tape")
    good = tape.Recorder(LONG_AGO + 9, EMPTY, {})
    Tape.objects.create(**values, began=LONG_AGO + 9, ended=LONG_AGO + 20, data=good.cut())

    found = answers.state(cluster=row, at=LONG_AGO + 5)

    assert found is not None
    assert (found["recorded"], found["status"]) == (False, None)
    assert found["gap"] == {"begin": LONG_AGO, "end": LONG_AGO + 9}
    page = answers.changes(cluster=row, after=LONG_AGO + 1, until=LONG_AGO + 20, limit=10)
    assert (page["until"], page["more"]) == (LONG_AGO + 20, False)
